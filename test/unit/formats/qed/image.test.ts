import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { littleEndian } from '../../../../src/base/bytes.ts';
import { MiB } from '../../../../src/base/offset.ts';
import { qed } from '../../../../src/formats/qed/driver.ts';
import { raw } from '../../../../src/formats/raw/driver.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { FaultDriver } from '../../../../src/storage/fault.ts';
import { MemoryDriver, memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import { changesOf, checkOn, createOn, emptyImage, Mirror, openOn } from '../../../support/smallFormats.ts';
import { Recording, storageOf } from '../../../support/vpcVhdx.ts';

const SMALL = { cluster_size: 4096, table_size: 2 };
/** A bit more than two L2 tables of the small geometry cover. */
const SIZE = 8 * MiB + 9728;
const NEED_CHECK = 2;

async function features(file: Storage): Promise<number> {
  const bytes = new Uint8Array(64);
  await file.read(0, bytes);
  return littleEndian(bytes).u32(16);
}

/** An image with data in clusters 0, 1 and 16. */
async function sample(): Promise<MemoryDriver> {
  const memory = new MemoryDriver(await emptyImage(qed, { size: 64 * MiB }));
  const node = await openOn(qed, storageOf(memory));
  await node.write(0, new Uint8Array(131072).fill(1));
  await node.write(MiB, new Uint8Array(65536).fill(2));
  await node.close();
  return memory;
}

/** The sample with one 64-bit number changed. */
async function damaged(at: number, value: number): Promise<Storage> {
  const bytes = (await sample()).toBytes();
  littleEndian(bytes).setU64(at, value);
  return memoryStorage(bytes);
}

const L1 = 0x10000;
/** Where the sample's L2 table is: behind the first two data clusters. */
const L2 = 0x70000;

describe('QED images', () => {
  it.each([false, true])('hold what was written (backing image: %s)', async (layered) => {
    await fc.assert(
      fc.asyncProperty(changesOf(SIZE, 20000), async (changes) => {
        const file = memoryStorage();
        await createOn(qed, file, { size: SIZE, ...SMALL });
        const base = memoryStorage(new Uint8Array(SIZE - 3000).fill(0xb5));
        const mirror = await Mirror.start(async () =>
          openOn(qed, file, layered ? { backing: await openOn(raw, base, { readOnly: true }) } : {}),
        );
        for (const change of changes) await mirror.apply(change);
        expect(await mirror.holds()).toBe(true);
        expect(await checkOn(qed, file)).toMatchObject({ corruptions: 0, leaks: 0 });
        expect(await features(file)).toBe(0);
      }),
      { numRuns: 20 },
    );
  });

  it('are marked while their tables change', async () => {
    const file = memoryStorage(await emptyImage(qed, { size: MiB, ...SMALL }));
    const node = await openOn(qed, file);
    expect(await features(file)).toBe(0);
    await node.write(0, new Uint8Array(100));
    expect(await features(file)).toBe(NEED_CHECK);
    await node.close();
    expect(await features(file)).toBe(0);
  });

  it('record zeroes without data, and keep the room that a cluster has', async () => {
    const file = memoryStorage(await emptyImage(qed, { size: MiB, ...SMALL }));
    const node = await openOn(qed, file);
    await node.write(4096, new Uint8Array(4096).fill(1));
    const size = file.size();
    await node.writeZeroes(0, 16384);
    expect(await node.map(0, 16384)).toEqual({ kind: 'zero', length: 4096 });
    expect(await node.map(4096, 4096)).toMatchObject({ kind: 'data' });
    const bytes = new Uint8Array(16384).fill(9);
    await node.read(0, bytes);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    await node.flush();
    expect(file.size()).toBe(size);
  });

  it('grow, and refuse all else', async () => {
    const file = memoryStorage(await emptyImage(qed, { size: MiB, ...SMALL }));
    const node = await openOn(qed, file);
    await node.truncate(2 * MiB);
    expect(node.size()).toBe(2 * MiB);
    await expect(node.truncate(MiB)).rejects.toThrow('Shrinking images is currently not supported');
    await expect(node.truncate(2 * MiB + 1)).rejects.toThrow('Invalid image size specified');
    await expect(node.truncate(8 * 1024 * MiB)).rejects.toThrow('Invalid image size specified');
    await expect(node.truncate(3 * MiB, 'full')).rejects.toThrow("Unsupported preallocation mode 'full'");
    await node.close();
    expect((await openOn(qed, file)).size()).toBe(2 * MiB);
  });

  it('record another backing image', async () => {
    const file = memoryStorage(await emptyImage(qed, { size: MiB, ...SMALL }));
    const node = await openOn(qed, file);
    await node.setBacking({ file: 'base.raw', format: 'raw' });
    await node.close();
    expect((await openOn(qed, file)).backingReference).toEqual({ file: 'base.raw', format: 'raw' });
    const again = await openOn(qed, file);
    await again.setBacking({ file: 'other', format: 'qcow2' });
    expect((await openOn(qed, file)).backingReference).toEqual({ file: 'other' });
    await expect(again.setBacking({ file: 'x'.repeat(2000) })).rejects.toMatchObject({ code: 'ENOSPC' });
    await again.setBacking(undefined);
    expect((await openOn(qed, file)).backingReference).toBeUndefined();
    expect(await features(file)).toBe(0);
  });
});

describe('the check of QED images', () => {
  it('counts clusters', async () => {
    const found = await checkOn(qed, storageOf(await sample()));
    expect(found).toMatchObject({
      corruptions: 0,
      leaks: 0,
      clusters: { total: 1024, allocated: 3, fragmented: 1, compressed: 0 },
    });
  });

  it.each([
    ['an L1 entry that is not aligned', L1, 0x70200, 1, 7, true],
    ['an L1 entry behind the end', L1, 0xf0000, 1, 7, true],
    ['a table that is used twice', L1 + 8, L2, 4, 0, false],
    ['an L2 entry that is not aligned', L2, 0x50200, 1, 1, true],
    ['an L2 entry in the header', L2, 2, 1, 1, true],
    ['an L2 entry behind the end', L2, 0xf00000, 1, 1, true],
    ['a cluster that is used twice', L2, 0x60000, 1, 1, false],
    ['a forgotten cluster', L2, 0, 0, 1, true],
    ['a forgotten table', L1, 0, 0, 7, true],
    ['an entry behind the end of the disk', L2 + 0x2000, 0x50000, 1, 0, false],
  ])('finds %s', async (_name, at, value, corruptions, leaks, repairable) => {
    const file = await damaged(at, value);
    expect(await checkOn(qed, file)).toMatchObject({ corruptions, leaks });
    const repaired = await checkOn(qed, file, 'all');
    expect(repaired).toMatchObject(
      repairable ? { corruptions: 0, corruptionsFixed: corruptions } : { corruptions, corruptionsFixed: 0 },
    );
    expect(await checkOn(qed, file)).toMatchObject({ corruptions: repairable ? 0 : corruptions, leaks });
  });

  it('happens before an unclean image is written', async () => {
    const file = await damaged(L2, 0x50200);
    const reader = await openOn(qed, file, { readOnly: true });
    await expect((async () => reader.read(0, new Uint8Array(1)))()).rejects.toMatchObject({ code: 'EINVAL' });
    await file.write(16, new Uint8Array([NEED_CHECK]));
    const node = await openOn(qed, file);
    await node.read(0, new Uint8Array(1));
    await node.close();
    expect(await features(file)).toBe(0);
    expect(await checkOn(qed, file)).toMatchObject({ corruptions: 0 });
  });

  it('leaves the mark on what it cannot repair', async () => {
    const file = await damaged(L2, 0x60000);
    await file.write(16, new Uint8Array([NEED_CHECK]));
    await (await openOn(qed, file)).close();
    expect(await features(file)).toBe(NEED_CHECK);
  });
});

describe('a QED header that could not be written', () => {
  it.each(['write', 'flush'] as const)('is marked by the next change when the %s failed', async (operation) => {
    const memory = new MemoryDriver(await emptyImage(qed, { size: MiB, ...SMALL }));
    const driver = new FaultDriver(memory);
    const node = await openOn(qed, new CheckedStorage(driver, { name: 'test', readOnly: false }));
    driver.inject({ operation, ...(operation === 'write' ? { offset: 0, length: 64 } : {}), times: 1 });
    await expect(node.write(0, new Uint8Array(100).fill(1))).rejects.toThrow('Input/output error');
    const before = driver.log.length;
    await node.write(0, new Uint8Array(100).fill(1));
    expect(driver.log[before]).toMatchObject({ operation: 'write', offset: 0 });
    expect(driver.log[before + 1]).toEqual({ operation: 'flush' });
    expect(await features(memoryStorage(memory.toBytes()))).toBe(NEED_CHECK);
    await node.close();
    expect(await features(memoryStorage(memory.toBytes()))).toBe(0);
  });

  it('leaves the size as it was', async () => {
    const driver = new FaultDriver(new MemoryDriver(await emptyImage(qed, { size: MiB, ...SMALL })));
    const node = await openOn(qed, new CheckedStorage(driver, { name: 'test', readOnly: false }));
    driver.inject({ operation: 'write', offset: 0, length: 64, times: 1 });
    await expect(node.truncate(2 * MiB)).rejects.toThrow('Input/output error');
    expect(node.size()).toBe(MiB);
  });
});

describe('QED images when the power goes', () => {
  it('have nothing worse than leaks', async () => {
    const memory = new Recording(await emptyImage(qed, { size: 20 * MiB, ...SMALL }));
    const node = await openOn(qed, storageOf(memory));
    await node.write(5000, new Uint8Array(20000).fill(1));
    await node.flush();
    const safe = memory.steps.length;
    await node.write(6 * MiB + 100, new Uint8Array(9000).fill(2));
    await node.writeZeroes(12 * MiB, 8192);
    await node.close();
    for (const { name, file } of memory.cuts()) {
      const { corruptions } = await checkOn(qed, file);
      expect({ name, corruptions }).toEqual({ name, corruptions: 0 });
      if (Number(/\d+/.exec(name)?.[0]) <= safe) continue;
      const again = await openOn(qed, file, { readOnly: true });
      const bytes = new Uint8Array(20000);
      await again.read(5000, bytes);
      expect(bytes.every((byte) => byte === 1)).toBe(true);
    }
  });
});
