import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { permissiveGate } from '../../../src/block/graph/gate.ts';
import { openImage } from '../../../src/block/graph/open.ts';
import { drivers } from '../../../src/index.ts';
import type { OperationContext } from '../../../src/operations/context.ts';
import { convert } from '../../../src/operations/convert.ts';
import { create } from '../../../src/operations/create.ts';
import { dd } from '../../../src/operations/dd.ts';
import type { ConvertRequest, DdRequest } from '../../../src/operations/requests.ts';
import type { FileCreateOptions } from '../../../src/storage/files.ts';
import { MemoryFiles, memoryServices } from '../../../src/testing.ts';

const SIZE = 1 << 20;

interface World {
  readonly files: MemoryFiles;
  readonly context: OperationContext;
  readonly warnings: string[];
}

function world(more: Partial<OperationContext> = {}, files = new MemoryFiles()): World {
  const warnings: string[] = [];
  const services = memoryServices(files);
  const onWarning = (text: string) => warnings.push(text);
  return { files, warnings, context: { drivers, services, gate: permissiveGate, onWarning, ...more } };
}

function request(source: string, target: string, format: string, more: Partial<ConvertRequest> = {}): ConvertRequest {
  return {
    source,
    target: { filename: target, format },
    ...more,
  };
}

/** A new image with areas `[offset, length, value]`. */
async function image(
  { context }: World,
  filename: string,
  format: string,
  areas: readonly (readonly [number, number, number])[] = [],
  size = SIZE,
  backingFile?: string,
): Promise<void> {
  const backing = backingFile === undefined ? undefined : { filename: backingFile, format: 'qcow2' };
  await create(context, { filename, format, size, backing });
  const node = await openImage(context, { filename, format, writable: true });
  for (const [offset, length, value] of areas) await node.write(offset, new Uint8Array(length).fill(value));
  await node.close();
}

async function contentOf({ context }: World, filename: string, format?: string): Promise<Buffer> {
  const node = await openImage(context, { filename, ...(format === undefined ? {} : { format }) });
  const bytes = Buffer.alloc(node.size());
  await node.read(0, bytes);
  await node.close();
  return bytes;
}

/** Depths of the layers that decide about each 64 KiB; `-` where none has anything. */
async function layersOf({ context }: World, filename: string): Promise<string> {
  const node = await openImage(context, { filename });
  let text = '';
  for (let at = 0; at < node.size(); at += 65536) {
    const mapping = await node.map(at, 65536);
    text += { data: 'd', zero: '0', unallocated: '.', special: 'c' }[mapping.kind];
  }
  await node.close();
  return text;
}

/** Bytes of the blocks of the memory disk that the areas touch. */
const DATA = 262144;
const AREAS = [
  [0, 70000, 1],
  [300000, 1, 2],
  [SIZE - 65536, 65536, 3],
] as const;

describe('convert', () => {
  it('copies between formats and back', async () => {
    const here = world();
    await image(here, 'a.raw', 'raw', AREAS);
    await convert(here.context, request('a.raw', 'b.qcow2', 'qcow2'));
    await convert(here.context, request('b.qcow2', 'c.qcow2', 'qcow2', { compress: true }));
    await convert(here.context, request('c.qcow2', 'd.raw', 'raw'));
    expect((await contentOf(here, 'd.raw', 'raw')).equals(await contentOf(here, 'a.raw', 'raw'))).toBe(true);
    expect(await layersOf(here, 'b.qcow2')).toBe('dd..d..........d');
    expect(await layersOf(here, 'c.qcow2')).toBe('cc..c..........c');
    expect(await here.files.list('.')).toEqual(['a.raw', 'b.qcow2', 'c.qcow2', 'd.raw']);
  });

  it('reports progress from 0 to everything, and counts data only', async () => {
    const seen: (readonly [number, number])[] = [];
    const here = world({ onProgress: (done, total) => seen.push([done, total]) });
    await image(here, 'a.raw', 'raw', AREAS);
    await convert(here.context, request('a.raw', 'b.raw', 'raw'));
    expect([seen[0], seen.at(-1)]).toEqual([
      [0, DATA],
      [DATA, DATA],
    ]);
    expect(seen.every(([done], index) => index === 0 || done >= (seen[index - 1]?.[0] ?? 0))).toBe(true);
  });

  it('leaves nothing behind when it fails or is stopped', async () => {
    const stop = new AbortController();
    const here = world({ signal: stop.signal, onProgress: (done) => done > 0 && stop.abort() });
    await image(here, 'a.raw', 'raw', AREAS);
    await expect(convert(here.context, request('a.raw', 'b.qcow2', 'qcow2'))).rejects.toMatchObject({
      kind: 'aborted',
    });
    expect(await here.files.list('.')).toEqual(['a.raw']);
  });

  it('replaces what is there as a whole with `atomic`, or leaves it', async () => {
    const stop = new AbortController();
    const here = world();
    await image(here, 'a.raw', 'raw', AREAS);
    const old = new Uint8Array(1024).fill(7);
    here.files.put('old.qcow2', old);
    const stopped = { ...here.context, signal: stop.signal, onProgress: (done: number) => done > 0 && stop.abort() };
    const atomic = request('a.raw', 'old.qcow2', 'qcow2', { atomic: true });
    await expect(convert(stopped, atomic)).rejects.toMatchObject({ kind: 'aborted' });
    expect(here.files.bytes('old.qcow2')).toEqual(old);
    // A reader goes on with the old content, but what a writer does would be lost.
    const reader = await openImage(here.context, { filename: 'old.qcow2', format: 'raw', writable: false });
    await convert(here.context, atomic);
    expect(reader.size()).toBe(1024);
    await reader.close();
    expect((await contentOf(here, 'old.qcow2')).equals(await contentOf(here, 'a.raw', 'raw'))).toBe(true);
    const writer = await openImage(here.context, { filename: 'old.qcow2', writable: true });
    await expect(convert(here.context, atomic)).rejects.toMatchObject({ kind: 'locked' });
    await writer.close();
    await expect(convert(here.context, { ...atomic, noCreate: true })).rejects.toThrow('cannot be replaced');
    expect(here.files.names()).toEqual(['a.raw', 'old.qcow2']);
  });

  it('shows the new name in errors, not the temporary one', async () => {
    class FullDisk extends MemoryFiles {
      override async create(name: string, options: FileCreateOptions): Promise<void> {
        if (name !== 'a.raw') throw new BlockError('no-space', `Could not create '${name}': No space left on device`);
        return super.create(name, options);
      }
    }
    const here = world({}, new FullDisk());
    await image(here, 'a.raw', 'raw', AREAS);
    await expect(convert(here.context, request('a.raw', 'b.raw', 'raw'))).rejects.toThrow(
      /^b\.raw: error while converting raw: Could not create 'b\.raw': No space left on device$/,
    );
  });

  it('writes into what is there: in place, and with -n only what is copied', async () => {
    const here = world();
    await image(here, 'a.raw', 'raw', AREAS);
    await image(here, 'old.raw', 'raw', [[0, 2 * SIZE, 9]], 2 * SIZE);
    await convert(here.context, request('a.raw', 'old.raw', 'raw', { noCreate: true }));
    const content = await contentOf(here, 'old.raw', 'raw');
    expect(content.subarray(0, SIZE).equals(await contentOf(here, 'a.raw', 'raw'))).toBe(true);
    expect(content.subarray(SIZE).every((byte) => byte === 9)).toBe(true);
    await convert(here.context, request('a.raw', 'old.raw', 'raw'));
    expect(await contentOf(here, 'old.raw', 'raw')).toHaveLength(SIZE);
  });

  it('salvages, and tells whoever follows it what cannot be read', async () => {
    const here = world();
    await image(here, 'a.raw', 'raw', AREAS);
    here.files.inject('a.raw', { operation: 'read', offset: SIZE - 65536 });
    const source = { filename: 'a.raw', format: 'raw' };
    const told: string[] = [];
    const salvaging = request('a.raw', 'b.raw', 'raw', { source, salvage: true });
    const { badSectors } = await convert(here.context, salvaging, { unreadable: (text) => told.push(text) });
    expect(badSectors).toBeGreaterThan(0);
    expect(told[0]).toBe(`error while reading offset ${SIZE - 65536}: Input/output error`);
    expect(here.warnings).toEqual([]);
  });

  it('believes --target-is-zero', async () => {
    const here = world();
    await image(here, 'a.raw', 'raw', AREAS);
    await image(here, 'old.raw', 'raw', [[0, SIZE, 9]]);
    await convert(here.context, request('a.raw', 'old.raw', 'raw', { noCreate: true, targetIsZero: true }));
    expect((await contentOf(here, 'old.raw', 'raw'))[500000]).toBe(9);
  });

  it('keeps only what differs from the backing image, however deep that is in the chain of the source', async () => {
    const here = world();
    await image(here, 'base', 'qcow2', [[0, SIZE, 7]]);
    await image(here, 'mid', 'qcow2', [[65536, 65536, 8]], SIZE, 'base');
    await image(here, 'top', 'qcow2', [[196608, 65536, 9]], SIZE, 'mid');
    for (const [filename, layers] of [
      ['mid', '...d............'],
      ['base', '.d.d............'],
    ] as const) {
      await convert(here.context, request('top', 'out', 'qcow2', { backing: { filename, format: 'qcow2' } }));
      expect(await layersOf(here, 'out')).toBe(layers);
      expect((await contentOf(here, 'out')).equals(await contentOf(here, 'top'))).toBe(true);
      await here.files.remove('out');
    }
  });

  it.each<[string, Partial<ConvertRequest> & { format?: string }, string]>([
    ['an unknown format', { format: 'x' }, "Unknown file format 'x'"],
    ['compressed raw', { format: 'raw', compress: true }, 'Compression not supported for this file format'],
    [
      'a backing image of raw',
      { format: 'raw', backing: { filename: 'a.raw' } },
      "Backing file not supported for file format 'raw'",
    ],
    [
      'a backing image of unknown format',
      { backing: { filename: 'a.raw' } },
      'Use of backing file requires explicit backing format',
    ],
    [
      'a snapshot of raw',
      { snapshot: { either: 'x' } },
      "Failed to load snapshot: Block format 'raw' used by device '' ",
    ],
    ['bitmaps of raw', { bitmaps: true }, 'Source lacks bitmap support'],
    [
      'compressed and preallocated',
      { compress: true, options: [{ name: 'preallocation', value: 'full' }] },
      'Compression and preallocation not supported at the same time',
    ],
    [
      'a new target that is described',
      { target: { options: { driver: 'raw', file: { driver: 'file', filename: 'b' } } } },
      'A target that is described by options has to be there',
    ],
    [
      'two snapshots',
      { source: ['a.raw', 'a.raw'], snapshot: { either: 'x' } },
      'No support for concatenating multiple snapshot',
    ],
    [
      'two sources over one backing image',
      { source: ['a.raw', 'a.raw'], backing: { filename: 'a.raw', format: 'raw' } },
      'Having a backing file for the target makes no sense when concatenating multiple input images',
    ],
  ])('refuses %s', async (_, { format = 'qcow2', ...more }, message) => {
    const here = world();
    await image(here, 'a.raw', 'raw', AREAS);
    const done = convert(here.context, request('a.raw', 'b', format, more));
    await expect(done).rejects.toThrow(message);
    expect(await here.files.list('.')).toEqual(['a.raw']);
  });

  it('refuses a target that is too small, and leaves it alone', async () => {
    const here = world();
    await image(here, 'a.raw', 'raw', AREAS);
    await image(here, 'b.raw', 'raw', [[0, 512, 9]], 512);
    const done = convert(here.context, request('a.raw', 'b.raw', 'raw', { noCreate: true }));
    await expect(done).rejects.toThrow('output file is smaller than input file');
    expect(await contentOf(here, 'b.raw', 'raw')).toEqual(Buffer.alloc(512, 9));
  });
});

/** 20 sectors, each full of its own number. */
async function numbered(): Promise<World> {
  const here = world();
  const blocks = Array.from({ length: 20 }, (_, index) => [index * 512, 512, index] as const);
  await image(here, 'a.raw', 'raw', blocks, 20 * 512);
  return here;
}

describe('dd', () => {
  const base: DdRequest = {
    source: { filename: 'a.raw', format: 'raw' },
    target: 'b.raw',
  };

  it.each([
    ['all', {}, 20, 0, 19],
    ['the first', { count: 3 }, 3, 0, 2],
    ['what is left', { skip: 18 }, 2, 18, 19],
    ['up to a block that is counted from the start', { skip: 2, count: 5 }, 3, 2, 4],
    ['odd blocks', { blockSize: 1000, skip: 1, count: 2 }, 2, 1, 3],
  ])('copies %s', async (_, more, blocks, first, last) => {
    const here = await numbered();
    expect(await dd(here.context, { ...base, ...more })).toMatchObject({ skippedAll: false });
    const content = await contentOf(here, 'b.raw', 'raw');
    expect([content.length, content[0], content[content.length - 100]]).toEqual([blocks * 512, first, last]);
  });

  it('says when nothing is left', async () => {
    const here = await numbered();
    expect(await dd(here.context, { ...base, skip: 20 })).toEqual({ size: 0, skippedAll: false });
    expect(await dd(here.context, { ...base, skip: 21 })).toEqual({ size: 0, skippedAll: true });
    expect(await dd(here.context, { ...base, skip: 3, count: 2 })).toEqual({ size: 0, skippedAll: true });
    expect(await contentOf(here, 'b.raw', 'raw')).toHaveLength(0);
  });

  it.each(['a.raw', 'file:a.raw'])('does not destroy its own input, called %s', async (target) => {
    const here = await numbered();
    await expect(dd(here.context, { ...base, target })).rejects.toThrow('Failed to get "write" lock');
    expect((await contentOf(here, 'a.raw', 'raw'))[9999]).toBe(19);
  });
});
