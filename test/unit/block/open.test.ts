import { DEFAULT_LIMITS } from '../../../src/block/limits.ts';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import type { GraphContext } from '../../../src/block/graph/context.ts';
import type { FormatDriver } from '../../../src/block/format.ts';
import type { ProtocolDriver } from '../../../src/block/protocol.ts';
import { closedGate, type ImplicitReference } from '../../../src/block/graph/gate.ts';
import { openImage } from '../../../src/block/graph/open.ts';
import { passThroughDriver } from '../../../src/block/graph/passThrough.ts';
import { DriverRegistry } from '../../../src/block/graph/registry.ts';
import type { Services } from '../../../src/block/services.ts';
import { CheckedStorage } from '../../../src/storage/checked.ts';
import { MemoryDriver } from '../../../src/storage/memory.ts';

/** Files by name; an image of the format `link` holds `LINK <backing> <format>`. */
type Files = Record<string, string>;

function context(files: Files, closed: string[] = []): GraphContext {
  const memory: ProtocolDriver = {
    name: 'file',
    prefixes: ['file'],
    openOptions: { filename: { kind: 'string', help: '' } },
    parseFilename: (name) => ({ filename: name.replace(/^file:/, '') }),
    open: async (_, options) => {
      const name = String(options['filename']);
      const content = files[name];
      if (content === undefined)
        throw new BlockError('not-found', `Could not open '${name}': No such file or directory`);
      const driver = new MemoryDriver(new TextEncoder().encode(content));
      driver.close = () => void closed.push(name);
      const storage = new CheckedStorage(driver, { name, readOnly: false });
      return Object.assign(storage, { identity: name });
    },
  };
  const raw: FormatDriver = {
    name: 'raw',
    openOptions: {},
    open: async ({ file }) => passThroughDriver(file),
  };
  const link: FormatDriver = {
    name: 'link',
    openOptions: { mode: { kind: 'string', help: '' } },
    open: async (opening) => {
      const { file } = opening;
      const bytes = new Uint8Array(file.size());
      await file.read(0, bytes);
      const [, target, format] = new TextDecoder().decode(bytes).split(' ');
      if (format === 'data') await opening.openChild('data-file', target);
      const backing = target && format !== 'data' ? { file: target, ...(format ? { format } : {}) } : undefined;
      return {
        virtualSize: 100,
        map: (_: number, length: number) => ({ kind: 'unallocated' as const, length }),
        flush: () => {},
        close: () => {},
        info: () => ({}),
        backing: { reference: backing },
      };
    },
  };
  const drivers = new DriverRegistry(
    [
      {
        name: 'link',
        probe: (head) => (new TextDecoder().decode(head).startsWith('LINK') ? 100 : 0),
        load: async () => link,
      },
      { name: 'raw', load: async () => raw },
    ],
    [{ name: 'file', prefixes: ['file'], load: async () => memory }],
  );
  return { drivers, services: { limits: DEFAULT_LIMITS } as Services, gate: () => {} };
}

const message = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'opened',
    (error: Error) => error.message,
  );

describe('opening images', () => {
  it('probes, follows the chain, and counts relative names from the image', async () => {
    const node = await openImage(context({ 'd/top': 'LINK mid', 'd/mid': 'LINK base raw', 'd/base': 'data' }), {
      filename: 'd/top',
    });
    expect([node.format, node.backing?.format, node.backing?.backing?.format]).toEqual(['link', 'link', 'raw']);
    expect(node.backing?.backing?.name).toBe('d/base');
  });

  it('says at which depth of a chain a file is missing, and closes the rest', async () => {
    const closed: string[] = [];
    const files = context({ top: 'LINK mid', mid: 'LINK gone' }, closed);
    expect(await message(openImage(files, { filename: 'top' }))).toBe(
      "Could not open 'top': Could not open backing file: Could not open backing file: " +
        "Could not open 'gone': No such file or directory",
    );
    expect(closed.sort()).toEqual(['mid', 'top']);
  });

  it('ends a loop of backing files', async () => {
    const files = context({ a: 'LINK b link', b: 'LINK a link' });
    expect(await message(openImage(files, { filename: 'a' }))).toMatch(/infinite loop/);
    expect(await message(openImage(context({ a: 'LINK a' }), { filename: 'a' }))).toMatch(/infinite loop/);
  });

  it('takes options for the backing image, and null for none', async () => {
    const files = context({ top: 'LINK mid', mid: 'x', other: 'y' });
    const tree = { driver: 'link', file: { filename: 'top' } };
    expect((await openImage(files, { filename: 't', tree: { ...tree, backing: null } })).backing).toBeUndefined();
    const other = await openImage(files, { filename: 't', tree: { ...tree, 'backing.file.filename': 'other' } });
    expect(other.backing?.name).toBe('other');
    expect(other.name).toContain('"backing"');
  });

  it('refuses options that nobody knows, in the words of the real tool', async () => {
    const files = context({ top: 'LINK' });
    const open = (tree: Record<string, string>): Promise<string> => message(openImage(files, { filename: 'T', tree }));
    const base = { driver: 'link', 'file.filename': 'top' };
    expect(await open({ ...base, foo: '1' })).toBe(
      "Could not open 'T': Block format 'link' does not support the option 'foo'",
    );
    expect(await open({ ...base, 'file.foo': '1' })).toBe(
      "Could not open 'T': Block protocol 'file' doesn't support the option 'foo'",
    );
    expect(await open({ ...base, 'cache.direct': 'x' })).toMatch(/expects 'on' or 'off'/);
    expect(await open({ driver: 'link' })).toBe('Could not open \'T\': A block device must be specified for "file"');
    expect(await open({ driver: 'nope' })).toBe("Could not open 'T': Unknown driver 'nope'");
    expect(await open({ driver: 'link', file: 'x' })).toMatch(/Cannot find device='x' nor node-name='x'/);
    expect(await open({ ...base, mode: 'a', 'node-name': 'n', discard: 'unmap' })).toBe('opened');
  });

  it('says that the file or the driver is missing before it looks at the name of the node', async () => {
    const files = context({ top: 'LINK' });
    const open = (tree: Record<string, string>): Promise<string> => message(openImage(files, { filename: 'T', tree }));
    const named = { driver: 'link', 'node-name': '0bad' };
    expect(await open({ ...named, 'file.filename': 'top' })).toBe("Could not open 'T': Invalid node-name: '0bad'");
    expect(await open({ ...named, 'file.filename': 'gone' })).toMatch(/No such file/);
    expect(await open({ ...named, driver: 'nope' })).toMatch(/Unknown driver 'nope'/);
    expect(await open({ driver: 'link', 'file.node-name': '0bad', 'file.filename': 'gone' })).toMatch(
      /Invalid node-name/,
    );
  });

  it('asks the gate for everything that an image names, and for nothing that the user names', async () => {
    const asked: ImplicitReference[] = [];
    const files = { top: 'LINK mid', mid: 'LINK disk data', disk: 'x' };
    const open: GraphContext = { ...context(files), gate: (reference) => void asked.push(reference) };
    await openImage(open, { filename: 'top' });
    expect(asked.map(({ role, parent, reference }) => [role, parent, reference])).toEqual([
      ['backing', 'top', 'mid'],
      ['data-file', 'mid', 'disk'],
    ]);
    const shut: GraphContext = { ...context(files), gate: closedGate };
    expect(await message(openImage(shut, { filename: 'top' }))).toMatch(/not allowed/);
    expect(await message(openImage(shut, { filename: 'top', noBacking: true }))).toBe('opened');
  });

  it('never takes a data file name for json: or a protocol', async () => {
    const files = context({ top: 'LINK json:{"driver":"file","filename":"x"} data', x: 'secret' });
    expect(await message(openImage(files, { filename: 'top' }))).toMatch(/No such file/);
  });
});
