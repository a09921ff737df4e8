import { describe, expect, it } from 'vitest';
import { permissiveGate } from '../../../src/block/graph/gate.ts';
import type { OperationContext } from '../../../src/operations/context.ts';
import { type CreatePlan, create, createOptionTables } from '../../../src/operations/create.ts';
import type { CreateRequest } from '../../../src/operations/requests.ts';
import { drivers, ImageLibrary } from '../../../src/index.ts';
import { MemoryFiles, memoryServices } from '../../../src/testing.ts';

interface World {
  readonly files: MemoryFiles;
  readonly context: OperationContext;
  readonly library: ImageLibrary;
}

function world(): World {
  const files = new MemoryFiles();
  const services = memoryServices(files);
  return { files, context: { drivers, services, gate: permissiveGate }, library: new ImageLibrary(drivers, services) };
}

const REQUEST: CreateRequest = { filename: 'a', format: 'qcow2', options: [] };

/** What is said before the file is touched. */
async function planOf(context: OperationContext, request: CreateRequest): Promise<string> {
  let plan: CreatePlan | undefined;
  await create(context, request, (known) => {
    plan = known;
  });
  return (plan?.options ?? []).map(([name, text]) => `${name}=${text}`).join(' ');
}

describe('create', () => {
  it('says what it writes, in the order of the real tool', async () => {
    const { context, files } = world();
    const options = [
      { name: 'nocow', value: 'on' },
      { name: 'lazy_refcounts', value: 'on', bare: true },
      { name: 'cluster_size', value: '4k' },
    ];
    expect(await planOf(context, { ...REQUEST, options, size: 1000 })).toBe(
      'cluster_size=4096 extended_l2=off compression_type=zlib size=1000 lazy_refcounts=on refcount_bits=16 nocow=on',
    );
    const raw = [
      { name: 'preallocation', value: 'off' },
      { name: 'size', value: '1M' },
    ];
    expect(await planOf(context, { ...REQUEST, filename: 'b', format: 'raw', options: raw })).toBe(
      'size=1048576 preallocation=off',
    );
    expect(files.bytes('b')).toHaveLength(1048576);
  });

  it('takes the size of the backing image, and remembers where that is', async () => {
    const { context, files, library } = world();
    files.put('dir/base', 5000);
    const request = { ...REQUEST, filename: 'dir/top', backing: { filename: 'base', format: 'raw' } };
    expect(await planOf(context, request)).toMatch(/size=5120 backing_file=base backing_fmt=raw/);
    const { images } = await library.info({ image: 'dir/top' });
    expect(images[0]).toMatchObject({ virtualSize: 5120, backingFile: 'base', fullBackingFile: 'dir/base' });
  });

  it.each<[what: string, request: Partial<CreateRequest>, message: string, hint?: string]>([
    ['an unknown format', { format: 'qcow3' }, "a: Unknown file format 'qcow3'"],
    ['an unknown protocol', { filename: 'foo:a', format: 'raw' }, "foo:a: Unknown protocol 'foo'"],
    ['a description', { filename: 'json:{}' }, "json:{}: Unknown protocol 'json'"],
    ['a protocol without files', { filename: 'null-co://' }, "null-co://: Protocol driver 'null-co' does not support"],
    ['a protocol as a format', { format: 'null-co' }, "a: Format driver 'null-co' does not support image creation"],
    ['an unknown option', { options: [{ name: 'x', value: '1' }] }, "a: Invalid parameter 'x'"],
    [
      'two sizes',
      { size: 1, options: [{ name: 'size', value: '1M' }] },
      'a: The image size must be specified only once',
    ],
    ['no size', {}, 'a: Image creation needs a size parameter'],
    [
      'a raw overlay',
      { format: 'raw', backing: { filename: 'b' } },
      "a: Backing file not supported for file format 'raw'",
    ],
    [
      'a raw overlay format',
      { format: 'raw', backing: { format: 'raw' } },
      'a: Backing file format not supported for file',
    ],
    ['an empty backing name', { backing: { filename: '' } }, 'a: Expected backing file name, got empty string'],
    [
      'itself below',
      { backing: { filename: 'a' } },
      'a: Error: Trying to create an image with the same filename as the backing',
    ],
    [
      'a missing backing image',
      { backing: { filename: 'b', format: 'raw' }, size: 512 },
      "a: Could not open 'b': No such file or directory",
      'Could not open backing image.',
    ],
    [
      'an unknown backing format',
      { backing: { filename: 'base', format: 'x' } },
      "a: Unknown driver 'x'",
      'Could not open backing image.',
    ],
    [
      'a backing image without format',
      { backing: { filename: 'base' } },
      'a: Backing file specified without backing format',
      'Detected format of raw.',
    ],
    [
      'the same unseen',
      { backing: { filename: 'b', unsafe: true } },
      'a: Backing file specified without backing format',
    ],
    [
      'no size for an unseen backing image',
      { backing: { filename: 'b', format: 'raw', unsafe: true } },
      'a: Image creation needs a size parameter',
    ],
  ])('refuses %s, before it touches anything', async (_, request, message, hint) => {
    const { context, files } = world();
    files.put('base', 512);
    let started = false;
    const failure = create(context, { ...REQUEST, ...request }, () => {
      started = true;
    });
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toMatchObject(hint === undefined ? {} : { hint });
    expect(started).toBe(false);
    expect(files.names()).toEqual(['base']);
  });

  it('asks for larger clusters where they would help', async () => {
    const { context } = world();
    const size = 2 ** 62;
    await expect(create(context, { ...REQUEST, size })).rejects.toThrow(
      "a: The image size is too large for file format 'qcow2' (try using a larger cluster size)",
    );
  });

  it.each(['a', 'file:a'])(
    'leaves no new file behind when it fails, and works where a file was: %s',
    async (filename) => {
      const { context, files } = world();
      const encrypted = { format: 'qcow2', options: { 'encrypt.format': 'luks', 'encrypt.key-secret': 'none' } };
      await expect(create(context, { filename, size: 512, ...encrypted })).rejects.toThrow("No secret with id 'none'");
      expect(files.names()).toEqual([]);
      files.put('a', 10_000_000);
      await create(context, { filename, format: 'raw', size: 512 });
      expect(files.bytes('a')).toHaveLength(512);
      await expect(create(context, { filename, size: 512, ...encrypted })).rejects.toThrow("No secret with id 'none'");
      expect(files.names()).toEqual(['a']);
    },
  );

  it('makes a file where a protocol is the format, whatever the name begins with', async () => {
    const { context, files } = world();
    await create(context, { filename: 'file:a', format: 'file', size: 512 });
    await create(context, { filename: 'host_device:b', format: 'file', size: 512 });
    expect(files.names()).toEqual(['a', 'host_device:b']);
  });

  it('does not write to a file that is in use', async () => {
    const { context, files, library } = world();
    await create(context, { ...REQUEST, size: 2 ** 20 });
    const before = files.bytes('a');
    const reader = await library.openImage('a');
    await expect(create(context, { ...REQUEST, format: 'raw', size: 512 })).rejects.toMatchObject({ kind: 'locked' });
    await reader.close();
    expect(files.bytes('a')).toEqual(before);
  });

  it('knows the options of format and protocol', async () => {
    const { context } = world();
    const alone = await createOptionTables(context, 'raw');
    expect(Object.keys(alone.table)).toEqual(['size']);
    expect(alone.protocol).toBeUndefined();
    const { protocol } = await createOptionTables(context, 'raw', 'a');
    expect(Object.keys(protocol ?? {})).toEqual(['size', 'nocow', 'preallocation', 'extent_size_hint']);
  });
});
