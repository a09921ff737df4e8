/** Filters in graphs: what is below them, and what becomes of it. */
import { describe, expect, it } from 'vitest';
import { permissiveGate } from '../../../src/block/graph/gate.ts';
import { NamedNodes } from '../../../src/block/graph/namedNodes.ts';
import { openImage } from '../../../src/block/graph/open.ts';
import type { ImageNode } from '../../../src/block/node/node.ts';
import type { Services } from '../../../src/block/services.ts';
import { drivers } from '../../../src/drivers.ts';
import type { OptionTree } from '../../../src/options/tree.ts';
import { MemoryFiles, MemoryLibrary, memoryServices } from '../../../src/testing.ts';

const UNIT = 65536;
const SIZE = 4 * UNIT;

/** Files: `a`, raw, all ones; `b`, raw, empty; `top`, an overlay of `a`. */
async function place(more: Partial<Services> = {}): Promise<{
  readonly files: MemoryFiles;
  readonly open: (tree: OptionTree, writable?: boolean) => Promise<ImageNode>;
}> {
  const files = new MemoryFiles();
  files.put('a', SIZE);
  files.put('b', SIZE);
  const file = await files.open('a', { writable: true });
  await file.write?.(0, new Uint8Array(SIZE).fill(1));
  await file.close();
  const library = new MemoryLibrary({ implicitOpen: 'allow' }, files);
  await library.createImage({
    filename: 'top',
    format: 'qcow2',
    size: SIZE,
    backing: { filename: 'a', format: 'raw' },
  });
  const context = {
    drivers,
    services: { ...memoryServices(files), ...more },
    gate: permissiveGate,
    nodes: new NamedNodes(),
  };
  return { files, open: (tree, writable = true) => openImage(context, { filename: 'test', tree, writable }) };
}

const top = { driver: 'qcow2', file: { driver: 'file', filename: 'top' } };
const file = (filename: string): OptionTree => ({ driver: 'file', filename });

async function bytesOf(node: ImageNode, offset = 0, length = UNIT): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await node.read(offset, bytes);
  return bytes;
}

describe('copy-on-read', () => {
  it('keeps what is read, in whole clusters', async () => {
    const { open } = await place();
    const node = await open({ driver: 'copy-on-read', file: top });
    expect(await bytesOf(node, 100, 10)).toEqual(new Uint8Array(10).fill(1));
    const kinds = [await node.map(0, 1), await node.map(UNIT, 1)].map(({ kind }) => kind);
    expect(kinds).toEqual(['data', 'unallocated']);
    await node.close();
  });

  it('loses no write that comes meanwhile', async () => {
    const { open } = await place();
    const node = await open({ driver: 'copy-on-read', file: top });
    const reading = bytesOf(node, 0, UNIT);
    await Promise.all([reading, node.write(5, Uint8Array.of(9)), bytesOf(node, 0, 100)]);
    expect((await bytesOf(node, 0, 10))[5]).toBe(9);
    await node.close();
  });

  it('needs something that can be written', async () => {
    const { open } = await place();
    await expect(open({ driver: 'copy-on-read', file: top }, false)).rejects.toThrow('Block node is read-only');
  });
});

describe('copy-before-write', () => {
  it('puts the content from before into the target, once', async () => {
    const { open, files } = await place();
    const node = await open({ driver: 'copy-before-write', file: file('a'), target: file('b') });
    await node.write(10, Uint8Array.of(7));
    await node.write(20, Uint8Array.of(8));
    await node.close();
    expect(
      files
        .bytes('a')
        .subarray(10, 21)
        .filter((byte) => byte !== 1),
    ).toEqual(Uint8Array.of(7, 8));
    expect(files.bytes('b').subarray(0, UNIT)).toEqual(new Uint8Array(UNIT).fill(1));
    expect(files.bytes('b').subarray(UNIT)).toEqual(new Uint8Array(SIZE - UNIT));
  });
});

describe('compress', () => {
  it('stores clusters compressed, each once', async () => {
    const { open } = await place();
    const node = await open({ driver: 'compress', file: top });
    await node.write(UNIT, new Uint8Array(UNIT).fill(3));
    expect(await node.map(UNIT, 1)).toMatchObject({ kind: 'special', compressed: true });
    await expect(node.write(UNIT, new Uint8Array(UNIT))).rejects.toThrow('Input/output error');
    expect(await bytesOf(node, UNIT)).toEqual(new Uint8Array(UNIT).fill(3));
    await node.close();
  });

  it('needs a format that can do that', async () => {
    const { open } = await place();
    await expect(open({ driver: 'compress', file: file('a') })).rejects.toThrow(
      'Compression is not supported for underlying format: file',
    );
  });
});

describe('preallocate', () => {
  it('makes the file larger than needed until it is closed', async () => {
    const { open, files } = await place();
    const room = { driver: 'preallocate', 'prealloc-size': 8 * UNIT, 'prealloc-align': UNIT, file: file('top') };
    const before = files.bytes('top').length;
    const node = await open({ driver: 'qcow2', file: room });
    await node.write(0, new Uint8Array(UNIT).fill(4));
    await node.flush();
    expect(files.bytes('top').length).toBeGreaterThan(before + 8 * UNIT);
    await node.close();
    expect(files.bytes('top').length).toBeLessThan(before + 4 * UNIT);
    const again = await open(top);
    expect(await bytesOf(again)).toEqual(new Uint8Array(UNIT).fill(4));
    await again.close();
  });
});

describe('preallocate for a size', () => {
  it('takes no room, and what was not written reads as zeroes', async () => {
    const { open, files } = await place();
    const node = await open({ driver: 'preallocate', 'prealloc-size': 8 * UNIT, file: file('a') });
    const before = node.size();
    await node.truncate(before + 4 * UNIT);
    const into = new Uint8Array(UNIT).fill(9);
    await node.read(before + UNIT, into);
    expect(into).toEqual(new Uint8Array(UNIT));
    expect(await node.status(before + UNIT, UNIT)).toMatchObject({ kind: 'hole', length: UNIT });
    expect(files.bytes('a').length).toBe(before);
    await node.close();
    expect(files.bytes('a').length).toBe(before + 4 * UNIT);
  });
});

describe('blklogwrites', () => {
  it('has every write in the log, in the format of dm-log-writes', async () => {
    const { open, files } = await place();
    files.put('log', 0);
    const logged = (more: OptionTree): Promise<ImageNode> =>
      open({ driver: 'blklogwrites', file: file('a'), log: file('log'), ...more });
    const node = await logged({});
    await node.write(1024, new Uint8Array(512).fill(5));
    await node.flush();
    await node.close();
    const again = await logged({ 'log-append': true });
    await again.discard(0, UNIT);
    await again.flush();
    await again.close();
    const view = new DataView(files.bytes('log').buffer);
    const entry = (sector: number): number[] =>
      [0, 8, 16, 24].map((at) => Number(view.getBigUint64(sector * 512 + at, true)));
    expect(entry(0).slice(1)).toEqual([1, 4, 512]);
    expect([entry(1), entry(3), entry(4), entry(5)]).toEqual([
      [2, 1, 0, 0],
      [0, 0, 1, 0],
      [0, 128, 4, 0],
      [0, 0, 1, 0],
    ]);
  });

  it('refuses a log that is none', async () => {
    const { open } = await place();
    const tree = { driver: 'blklogwrites', file: file('a'), log: file('b'), 'log-append': true };
    await expect(open(tree)).rejects.toThrow('Invalid log superblock magic');
  });
});

describe('throttle', () => {
  it('lets as many bytes through as its group may, all disks of the group together', async () => {
    let milliseconds = 0;
    const { open } = await place({
      now: () => ({ seconds: Math.floor(milliseconds / 1000), nanoseconds: (milliseconds % 1000) * 1e6 }),
      wait: async (time) => {
        milliseconds += time;
      },
      objects: { get: (id) => (id === 'g' ? GROUP : undefined) },
    });
    const disk = { driver: 'throttle', 'throttle-group': 'g' };
    const [a, b] = [await open({ ...disk, file: file('a') }), await open({ ...disk, file: file('b') })];
    for (let turn = 0; turn < 10; turn++) await (turn % 2 ? a : b).write(0, new Uint8Array(UNIT));
    await Promise.all([a.close(), b.close()]);
    // 640 KiB at 64 KiB a second; the last one goes when the one before has run off.
    expect(milliseconds).toBeGreaterThan(8500);
    expect(milliseconds).toBeLessThan(10500);
  });

  it('needs a group', async () => {
    const { open } = await place();
    await expect(open({ driver: 'throttle', file: file('a') })).rejects.toThrow('Please specify a throttle group');
    await expect(open({ driver: 'throttle', 'throttle-group': 'x', file: file('a') })).rejects.toThrow(
      "Throttle group 'x' does not exist",
    );
  });
});

const GROUP = { type: 'throttle-group', limits: { 'bps-total': UNIT } } as const;

describe('names of nodes', () => {
  it('stand for nodes that are open, which are closed with the last that uses them', async () => {
    const { open } = await place();
    const raw = await open({ driver: 'raw', file: { ...file('a'), 'node-name': 'disk' } });
    const other = await open({ driver: 'raw', offset: UNIT, file: 'disk' });
    expect(other.name).toContain('"filename": "a"');
    await raw.close();
    expect((await bytesOf(other, 0, 1))[0]).toBe(1);
    await other.close();
    await expect(bytesOf(other, 0, 1)).rejects.toThrow('closed');
  });

  it('make no circles', async () => {
    const { open } = await place();
    const tree = { ...top, 'node-name': 'me', backing: 'me' };
    await expect(open(tree)).rejects.toThrow("Making 'me' a backing child of 'me' would create a cycle");
  });
});

describe('filters above images', () => {
  it('show the chain of what is below', async () => {
    const { open } = await place();
    const node = await open({ driver: 'blkdebug', image: top });
    expect([node.name, node.backing?.name]).toEqual(['blkdebug::top', 'a']);
    expect(await node.map(0, SIZE)).toMatchObject({ kind: 'unallocated', length: SIZE });
    expect(await bytesOf(node)).toEqual(new Uint8Array(UNIT).fill(1));
    await node.close();
  });

  it('close all that is below when one of it cannot be opened', async () => {
    const { open } = await place();
    const tree = { driver: 'blkverify', raw: file('a'), test: file('missing') };
    await expect(open(tree)).rejects.toThrow("Could not open 'missing'");
  });

  it('of several copies need copies of one size', async () => {
    const { open, files } = await place();
    files.put('c', 2 * SIZE);
    const tree = { driver: 'quorum', 'vote-threshold': 1, children: [file('a'), file('c')] };
    await expect(open(tree)).rejects.toThrow('Could not refresh total sector count: Input/output error');
  });
});
