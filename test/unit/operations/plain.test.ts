/** What every operation of `qimg/node` gives back and throws: plain data, and errors that say what they are about. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as qimg from '../../../src/node.ts';
import { MemoryLibrary } from '../../../src/testing.ts';

const directory = mkdtempSync(join(tmpdir(), 'qimg-plain-'));
const at = (name: string): string => join(directory, name);
const follow: qimg.NodeSettings = { implicitOpen: 'same-directory' };

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

beforeAll(async () => {
  await qimg.createImage({ filename: at('disk'), format: 'qcow2', size: '4M' });
  await qimg.createImage({ filename: at('raw'), size: '4M' });
  const backing = { filename: 'disk', format: 'qcow2' };
  await qimg.createImage({ filename: at('top'), format: 'qcow2', backing });
  await qimg.bitmap({ image: at('top'), bitmap: 'b', actions: [{ kind: 'add' }] });
  await qimg.snapshot({ image: at('disk'), action: 'create', name: 'first' });
  const node = await qimg.openImage(at('top'), { writable: true }, follow);
  await node.write(65536, new Uint8Array(100_000).fill(7));
  await node.close();
});

afterAll(() => rmSync(directory, { recursive: true }));

/** Every function of the entry point that takes what is to be done, and does it in the given order. */
const GOOD: readonly (readonly [name: string, run: () => Promise<unknown>])[] = [
  ['createImage', () => qimg.createImage({ filename: at('new'), format: 'qcow2', size: 512 })],
  ['info', () => qimg.info({ image: at('top'), backingChain: true, limits: true }, follow)],
  ['check', () => qimg.check({ image: at('top') }, follow)],
  ['check', () => qimg.check({ image: { filename: at('raw'), format: 'raw' } })],
  ['inspect', () => qimg.inspect({ image: at('top') }, follow)],
  ['map', () => qimg.map({ image: at('top') }, follow)],
  ['mapExtents', () => all(qimg.mapExtents({ image: at('top') }, follow))],
  ['measure', () => qimg.measure({ image: at('top'), format: 'qcow2' }, follow)],
  ['resize', () => qimg.resize({ image: at('new'), size: '+1M' })],
  ['convert', () => qimg.convert({ source: at('top'), target: at('copy') }, follow)],
  ['compare', () => qimg.compare({ first: at('top'), second: { filename: at('copy'), format: 'raw' } }, follow)],
  ['compare', () => qimg.compare({ first: at('top'), second: { filename: at('raw'), format: 'raw' } }, follow)],
  ['dd', () => qimg.dd({ source: at('top'), target: at('blocks'), count: 4 }, follow)],
  ['snapshot', () => qimg.snapshot({ image: at('disk') })],
  ['bitmap', () => qimg.bitmap({ image: at('top'), bitmap: 'b', actions: [{ kind: 'clear' }, { kind: 'remove' }] })],
  ['amend', () => qimg.amend({ image: at('disk'), options: { lazy_refcounts: true } })],
  ['commit', () => qimg.commit({ image: at('top') }, follow)],
  ['rebase', () => qimg.rebase({ image: at('top') }, follow)],
];

describe('results are plain data', () => {
  it.each(GOOD)('of %s', async (_, run) => {
    const result = await run();
    expect(JSON.parse(JSON.stringify(result))).toStrictEqual(result);
    expect(structuredClone(result)).toStrictEqual(result);
  });

  it('of all functions there are', () => {
    // What `serve` gives is a server at work.
    const internal = [
      'serve',
      'bench',
      'create',
      'createOptionTables',
      'openImage',
      'hintText',
      'nameOfBytes',
      'bytesOfName',
    ];
    const functions = Object.entries(qimg).flatMap(([name, value]) => {
      const plain = typeof value === 'function' && !/^class\b/.test(String(value));
      return plain && !/^[A-Z]|Gate$|^node|^blockStatus$|^walkChain$|Size$/.test(name) ? [name] : [];
    });
    expect(functions.filter((name) => !internal.includes(name)).sort()).toEqual(
      [...new Set(GOOD.map(([name]) => name))].sort(),
    );
  });
});

describe('snapshots in results', () => {
  it('keep clocks and counts that no number could hold', async () => {
    const library = new MemoryLibrary();
    await library.createImage({ filename: 'a', format: 'qcow2', size: '1M' });
    await library.snapshot({ image: 'a', action: 'create', name: 'odd' });
    const bytes = library.files.bytes('a').slice();
    const view = new DataView(bytes.buffer);
    const table = Number(view.getBigUint64(64));
    view.setBigUint64(table + 24, 18_446_744_073_709_551_615n);
    view.setBigUint64(table + 56, 9_007_199_254_740_993n);
    library.files.put('a', bytes);
    const { snapshots } = await library.snapshot({ image: 'a' });
    expect(snapshots[0]).toMatchObject({
      vmClockSeconds: 18_446_744_073,
      vmClockNanoseconds: 709_551_615,
      instructionCount: '9007199254740993',
    });
    view.setBigInt64(table + 56, -1n);
    library.files.put('a', bytes);
    expect((await library.info({ image: 'a' })).images[0]?.snapshots[0]).not.toHaveProperty('instructionCount');
  });
});

/** One operation on one image, by the name that errors have for it. */
const ON_IMAGE: readonly (readonly [operation: string, run: (image: qimg.ImageInput) => Promise<unknown>])[] = [
  ['open', (image) => qimg.openImage(image)],
  ['info', (image) => qimg.info({ image, backingChain: true })],
  ['check', (image) => qimg.check({ image })],
  ['map', (image) => qimg.map({ image })],
  ['map', (image) => all(qimg.mapExtents({ image }))],
  ['measure', (image) => qimg.measure({ image })],
  ['resize', (image) => qimg.resize({ image, size: '+1M' })],
  ['convert', (source) => qimg.convert({ source, target: at('out') })],
  ['compare', (first) => qimg.compare({ first, second: at('raw') })],
  ['compare', (second) => qimg.compare({ first: at('raw'), second })],
  ['dd', (source) => qimg.dd({ source, target: at('out') })],
  ['commit', (image) => qimg.commit({ image })],
  ['rebase', (image) => qimg.rebase({ image })],
  ['snapshot', (image) => qimg.snapshot({ image })],
  ['bitmap', (image) => qimg.bitmap({ image, bitmap: 'b', actions: [{ kind: 'clear' }] })],
  ['amend', (image) => qimg.amend({ image, options: { compat: '1.1' } })],
];

describe('errors', () => {
  it.each(ON_IMAGE)('of %s say what they are about', async (operation, run) => {
    const failures: readonly (readonly [image: qimg.ImageInput, kind: qimg.ErrorKind, filename: string])[] = [
      [at('missing'), 'not-found', at('missing')],
      [directory, 'is-directory', directory],
      [{ filename: at('raw'), format: 'qcow2' }, 'wrong-format', at('raw')],
      [{ filename: at('raw'), format: 'none' }, 'unsupported', at('raw')],
      [{ options: { driver: 'raw', file: { driver: 'file', filename: at('gone') } } }, 'not-found', at('gone')],
    ];
    for (const [image, kind, filename] of failures) {
      await expect(run(image)).rejects.toMatchObject({ name: 'BlockError', kind, context: { operation, filename } });
    }
  });

  it('that name a refused file say how it can be allowed', async () => {
    const filename = at('refused');
    const backing = { filename: 'disk', format: 'qcow2' };
    await qimg.createImage({ filename, format: 'qcow2', backing });
    for (const [operation, run] of ON_IMAGE) {
      if (operation === 'bitmap') continue;
      await expect(run(filename)).rejects.toMatchObject({
        kind: 'denied',
        hint: "'implicitOpen' says which files an image may have opened: 'same-directory', 'allow', or a function",
        hints: [{ about: 'implicit-open' }],
        context: { operation, filename },
      });
    }
  });

  const copy = (target: qimg.ImageInput) => () =>
    qimg.convert({ source: { filename: at('raw'), format: 'raw' }, target });
  const disk = at('disk');
  const others: readonly (readonly [what: string, run: () => Promise<unknown>, kind: qimg.ErrorKind, more: object])[] =
    [
      ['a target that is a directory', copy(directory), 'is-directory', { context: { filename: directory } }],
      [
        'a full disk',
        copy({ filename: '/dev/full', format: 'qcow2' }),
        'no-space',
        { context: { operation: 'convert', filename: '/dev/full', access: 'write', offset: 0 } },
      ],
      [
        'an unknown format',
        copy({ filename: at('x'), format: 'none' }),
        'unsupported',
        { context: { filename: at('x'), format: 'none' } },
      ],
      [
        'a missing directory',
        () => qimg.createImage({ filename: at('no/x'), size: 1 }),
        'not-found',
        { context: { operation: 'create', filename: at('no/x') } },
      ],
      [
        'a missing snapshot',
        () => qimg.snapshot({ image: disk, action: 'delete', name: 'none' }),
        'not-found',
        { context: { operation: 'snapshot', filename: disk, snapshot: 'none' } },
      ],
      [
        'a missing bitmap',
        () => qimg.bitmap({ image: disk, bitmap: 'none', actions: [{ kind: 'remove' }] }),
        'not-found',
        { context: { operation: 'bitmap', filename: disk, bitmap: 'none' } },
      ],
      [
        'a size that is none',
        () => qimg.resize({ image: disk, size: 'x' }),
        'invalid-argument',
        { context: { operation: 'resize', filename: disk } },
      ],
      [
        'a smaller size',
        () => qimg.resize({ image: disk, size: 512 }),
        'invalid-argument',
        {
          hint: "Everything beyond the new end is lost; 'shrink: true' allows it",
          context: { operation: 'resize', filename: disk },
        },
      ],
      [
        'another backing file',
        () => qimg.amend({ image: disk, options: { backing_file: 'x' } }),
        'invalid-argument',
        { hint: "'rebase' does that", context: { operation: 'amend', filename: disk } },
      ],
      [
        'an operation that is stopped before it begins',
        () => qimg.check({ image: disk }, { signal: AbortSignal.abort(new Error('enough')) }),
        'aborted',
        { context: { operation: 'check', filename: disk } },
      ],
    ];
  it.each(others)('about %s have their kind and context', async (_, run, kind, more) => {
    await expect(run()).rejects.toBeInstanceOf(qimg.BlockError);
    await expect(run()).rejects.toMatchObject({ kind, ...more });
  });

  it('about an image that is in use', async () => {
    const node = await qimg.openImage(disk, { writable: true });
    await expect(qimg.compare({ first: at('raw'), second: disk })).rejects.toMatchObject({
      kind: 'locked',
      context: { operation: 'compare', filename: disk },
    });
    await node.close();
  });

  it('keep what an exception of the caller was', async () => {
    const cause = new Error('mine');
    const settings = {
      onProgress() {
        throw cause;
      },
    };
    const source = { filename: at('raw'), format: 'raw' };
    await expect(qimg.convert({ source, target: at('never') }, settings)).rejects.toMatchObject({
      kind: 'internal',
      message: 'mine',
      cause,
      context: { operation: 'convert' },
    });
  });
});

describe('warnings', () => {
  it('speak of what the library can do', async () => {
    const warnings: string[] = [];
    const library = new MemoryLibrary({ onWarning: (text) => warnings.push(text) });
    await library.createImage({ filename: 'a', format: 'qcow2', size: '1M' });
    await library.bitmap({ image: 'a', bitmap: 'b', actions: [{ kind: 'add' }] });
    const bytes = library.files.bytes('a').slice();
    // The autoclear bit of bitmaps goes, as when a program wrote that does not know them.
    new DataView(bytes.buffer).setBigUint64(88, 0n);
    library.files.put('a', bytes);
    await library.map({ image: 'a' });
    expect(warnings).toEqual([expect.stringMatching(/inconsistent\nSome clusters may be leaked; 'check' with repair/)]);
  });

  it('and reports name no other program', async () => {
    const lines: string[] = [];
    const library = new MemoryLibrary();
    await library.createImage({ filename: 'a', format: 'qcow2', size: '1M' });
    await library.snapshot({ image: 'a', action: 'create', name: 'one' });
    const bytes = library.files.bytes('a').slice();
    new DataView(bytes.buffer).setUint32(60, 70_000);
    library.files.put('a', bytes);
    const line = ({ severity, text }: Pick<qimg.ReportLine, 'severity' | 'text'>): void =>
      void lines.push(`${severity}: ${text}`);
    await expect(library.check({ image: 'a', line })).rejects.toMatchObject({ kind: 'too-large' });
    expect(lines).toEqual([
      "error: ERROR snapshot table too large\n'check' with repair 'all' removes the 4464 overhanging snapshots",
    ]);
  });
});
