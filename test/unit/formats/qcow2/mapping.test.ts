import { describe, expect, it } from 'vitest';
import { isPromise } from '../../../../src/base/async.ts';
import { equalBytes } from '../../../../src/base/bytes.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import { createOn, driverOf, openOn } from './support.ts';

describe('mapping', () => {
  it('merges clusters across L2 tables, and is synchronous once tables are cached', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576, cluster_size: 512 });
    const node = await openOn(file);
    const first = await node.map(0, 1048576);
    expect(first).toEqual({ kind: 'unallocated', length: 1048576 });
    // 64 KiB need two L2 tables of 64 entries each.
    await node.writeZeroes(0, 131072);
    const zero = node.map(100, 300000);
    expect(isPromise(zero)).toBe(false);
    expect(zero).toEqual({ kind: 'zero', length: 130972 });
    await node.close();
  });

  it('tells subclusters apart', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576, extended_l2: true });
    const node = await openOn(file);
    await node.write(5000, new Uint8Array(100).fill(1));
    expect(await node.map(0, 65536)).toMatchObject({ kind: 'unallocated', length: 4096, offset: 327680 });
    expect(await node.map(4096, 65536)).toMatchObject({ kind: 'data', length: 2048 });
    expect(await node.map(6144, 65536)).toMatchObject({ kind: 'unallocated', length: 59392 });
    const data = new Uint8Array(300);
    await node.read(4900, data);
    expect([data[99], data[100], data[199], data[200]]).toEqual([0, 1, 1, 0]);
    await node.close();
  });

  it.each([false, true])('finds the same in long runs as cluster by cluster (subclusters: %s)', async (extended_l2) => {
    const file = memoryStorage();
    await createOn(file, { size: 4194304, cluster_size: 16384, extended_l2 });
    const node = await openOn(file);
    const data = new Uint8Array(300000).fill(1);
    await node.write(32768, data);
    await node.write(600000, data.subarray(0, 40000));
    await node.write(16384, data.subarray(0, 16384));
    await node.writeZeroes(1048576, 500000);
    await node.writeZeroes(100000, 70000);
    await node.writeZeroes(32768, 16384, { unmap: true });
    const pieces: object[] = [];
    for (let at = 0; at < 4194304; at += 512) pieces.push(await node.map(at, 512));
    for (let at = 0; at < 4194304; ) {
      const run = await node.map(at, 4194304 - at);
      const count = Math.ceil(run.length / 512);
      const offset = (i: number): object => ('offset' in run ? { offset: run.offset + i * 512 } : {});
      const cut = Array.from({ length: count }, (_, i) => ({ ...run, length: 512, ...offset(i) }));
      expect(pieces.slice(at / 512, at / 512 + count)).toEqual(cut);
      at += run.length;
      if (at < 4194304) expect(await node.map(at, 512)).not.toEqual({ ...run, length: 512, ...offset(count) });
    }
    await node.close();
  });

  it('keeps the space of zeroed clusters unless it may be given up', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576 });
    const node = await openOn(file);
    await node.write(0, new Uint8Array(131072).fill(1));
    await node.writeZeroes(0, 65536);
    await node.writeZeroes(65536, 65536, { unmap: true });
    expect(await node.map(0, 65536)).toMatchObject({ kind: 'zero', offset: 327680 });
    expect(await node.map(65536, 65536)).toEqual({ kind: 'zero', length: 65536 });
    // The kept space is used again.
    await node.write(0, new Uint8Array(10).fill(2));
    expect(await node.map(0, 65536)).toMatchObject({ kind: 'data', offset: 327680 });
    const data = new Uint8Array(20);
    await node.read(0, data);
    expect([...data]).toEqual(Array.from({ length: 20 }, (_, i) => (i < 10 ? 2 : 0)));
    await node.close();
  });

  it('refuses damaged entries, says so once, and marks an image open for writing', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576 });
    const node = await openOn(file);
    await node.write(0, new Uint8Array(65536).fill(1));
    await node.close();
    await file.write(262144, Uint8Array.of(0x80, 0, 0, 0, 0, 5, 2, 0));
    const warnings: string[] = [];
    const reader = await openOn(file, { readOnly: true, warnings });
    const into = new Uint8Array(512);
    await expect((async () => reader.read(0, into))()).rejects.toMatchObject({ kind: 'io' });
    await expect((async () => reader.read(0, into))()).rejects.toMatchObject({ kind: 'io' });
    expect(warnings).toEqual([
      'qcow2: Image is corrupt: Cluster allocation offset 0x50200 unaligned (L2 offset: 0x40000, L2 index: 0); ' +
        'further non-fatal corruption events will be suppressed',
    ]);
    const writer = await openOn(file, { warnings });
    await expect((async () => writer.read(0, into))()).rejects.toMatchObject({ kind: 'io' });
    expect(driverOf(writer).state.header.incompatible).toBe(2);
    await expect(openOn(file)).rejects.toThrow('qcow2: Image is corrupt; cannot be opened read/write');
  });

  it('opens the largest images at once', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 2 ** 61, cluster_size: 2097152 });
    const node = await openOn(file);
    expect(node.size()).toBe(2 ** 61);
    expect(await node.map(2 ** 60, 2 ** 60)).toEqual({ kind: 'unallocated', length: 2 ** 60 });
    await node.close();
  });
});

describe('compressed clusters', () => {
  it('are packed without gaps and read in any piece', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576 });
    const node = await openOn(file);
    const { compressor } = driverOf(node);
    const data = Uint8Array.from({ length: 262144 }, (_, i) => (i % 65536 < 3000 ? (i * 7919) % 251 : i >> 16));
    const coded = await compressor.encode(0, data);
    for (const [i, unit] of coded.entries()) if (unit) await node.storeCompressed(i * 65536, unit);
    await node.flush();
    const packed = coded.reduce((sum, unit) => sum + (unit?.length ?? 0), 0);
    expect(file.size()).toBe(327680 + Math.ceil(packed / 512) * 512);
    expect(await node.map(0, 1048576)).toMatchObject({ kind: 'special', compressed: true, length: 262144 });
    for (const [offset, length] of [
      [0, 262144],
      [1000, 100],
      [65000, 1000],
      [60000, 140000],
    ] as const) {
      const into = new Uint8Array(length);
      await node.read(offset, into);
      expect(equalBytes(into, data.subarray(offset, offset + length))).toBe(true);
    }
    // Overwriting a part makes a plain cluster and gives the packed one up.
    await node.write(70000, new Uint8Array(10).fill(255));
    const into = new Uint8Array(65536);
    await node.read(65536, into);
    expect(into.subarray(4464, 4474)).toEqual(new Uint8Array(10).fill(255));
    expect(equalBytes(into.subarray(4474), data.subarray(70010, 131072))).toBe(true);
    await node.close();
    const again = await openOn(file, { intent: 'check', readOnly: true });
    expect(await again.check('none', () => undefined)).toMatchObject({ corruptions: 0, leaks: 0 });
  });

  it('that are damaged end in an error, not in wrong data', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 65536 });
    const node = await openOn(file);
    const [unit] = await driverOf(node).compressor.encode(0, new Uint8Array(65536).fill(1));
    if (unit) await node.storeCompressed(0, unit);
    await node.close();
    await file.write(327680, new Uint8Array(512).fill(0xff));
    const reader = await openOn(file, { readOnly: true });
    await expect((async () => reader.read(0, new Uint8Array(65536)))()).rejects.toMatchObject({ kind: 'io' });
  });
});
