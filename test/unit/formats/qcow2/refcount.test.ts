import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compressedPlace, geometryOf, setCompressed } from '../../../../src/formats/qcow2/structure/geometry.ts';
import { CountTable } from '../../../../src/formats/qcow2/check/countTable.ts';
import { getRefcount, setRefcount } from '../../../../src/formats/qcow2/structure/refcountEntry.ts';
import { headerOf, settingsOf } from '../../../../src/formats/qcow2/settings.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import { createOn, driverOf, openOn } from './support.ts';
import { createOptions } from '../../../../src/formats/qcow2/options.ts';
import { defaultsOf } from '../../../../src/options/coerce.ts';

describe('refcount entries', () => {
  it.each([1, 2, 4, 8, 16, 32, 64])('of %i bits do not disturb each other', (bits) => {
    const entries = 128;
    const view = new DataView(new ArrayBuffer((entries * bits) / 8));
    const model = Array.from({ length: entries }, () => 0);
    const value = fc.integer({ min: 0, max: Math.min(2 ** bits - 1, Number.MAX_SAFE_INTEGER) });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(entries - 1), value), { maxLength: 50 }), (changes) => {
        for (const [index, count] of changes) {
          setRefcount(view, bits, index, count);
          model[index] = count;
        }
        expect(model.map((_, index) => getRefcount(view, bits, index))).toEqual(model);
      }),
      { numRuns: 30 },
    );
  });

  it('below eight bits start at the least significant bit', () => {
    const view = new DataView(new ArrayBuffer(1));
    setRefcount(view, 1, 0, 1);
    setRefcount(view, 2, 3, 2);
    expect(view.getUint8(0)).toBe(0b10000001);
  });
});

describe('compressed cluster descriptors', () => {
  it.each([512, 4096, 65536, 2097152])('keep place and sectors with clusters of %i bytes', (clusterSize) => {
    const geometry = geometryOf(
      headerOf(settingsOf({ ...defaultsOf(createOptions), size: 1048576, cluster_size: clusterSize })),
    );
    const view = new DataView(new ArrayBuffer(16));
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.integer({ min: 1, max: clusterSize - 1 }), (position, length) => {
        const offset = position % 2 ** 48;
        setCompressed(geometry, view, 0, offset, length);
        const place = compressedPlace(geometry, view, 0);
        expect(place.offset).toBe(offset);
        expect((place.offset + place.length) % 512).toBe(0);
        expect(place.length).toBeGreaterThanOrEqual(length);
        expect(place.length - length).toBeLessThan(512);
      }),
      { numRuns: 50 },
    );
  });
});

describe('CountTable', () => {
  it('counts beyond 16 bits and skips what is empty', () => {
    const counts = new CountTable();
    counts.add(5, 65530);
    counts.add(5, 10);
    counts.add(200000, 1);
    expect([counts.get(5), counts.get(6), counts.get(200000), counts.end]).toEqual([65540, 0, 1, 200001]);
    expect(counts.skipEmpty(70000)).toBe(196608);
  });
});

describe('allocation', () => {
  it('moves the refcount table when it is full, and counts every cluster once', async () => {
    const file = memoryStorage();
    // A table of one cluster describes 64 blocks of 64 clusters.
    await createOn(file, { size: 8388608, cluster_size: 512, refcount_bits: 64 });
    const node = await openOn(file);
    const before = driverOf(node).state.header.reftableOffset;
    await node.write(0, new Uint8Array(4194304).fill(3));
    await node.flush();
    expect(driverOf(node).state.header.reftableOffset).not.toBe(before);
    const lines: string[] = [];
    const result = await node.check('none', ({ text }) => lines.push(text));
    expect(lines).toEqual([]);
    expect(result).toMatchObject({ corruptions: 0, leaks: 0, checkErrors: 0 });
    await node.close();
  });

  it('reuses clusters only after the tables that dropped them are written', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576 });
    const node = await openOn(file);
    await node.write(0, new Uint8Array(65536).fill(1));
    await node.flush();
    const { state } = driverOf(node);
    await node.discard(0, 65536);
    expect(await state.refcounts.get(5)).toBe(1);
    await node.write(65536, new Uint8Array(65536).fill(2));
    expect(await node.map(65536, 65536)).toMatchObject({ kind: 'data', offset: 6 * 65536 });
    await node.flush();
    expect(await state.refcounts.get(5)).toBe(0);
    await node.write(131072, new Uint8Array(65536).fill(3));
    expect(await node.map(131072, 65536)).toMatchObject({ kind: 'data', offset: 5 * 65536 });
    await node.close();
  });
});
