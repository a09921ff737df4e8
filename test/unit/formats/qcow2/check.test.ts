import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sharedArray } from '../../../../src/base/kernels.ts';
import { CountTable } from '../../../../src/formats/qcow2/check/countTable.ts';
import { type Statistics, TableScan } from '../../../../src/formats/qcow2/check/l2Scan.ts';
import { TableReader } from '../../../../src/formats/qcow2/check/tableReader.ts';
import { createOptions } from '../../../../src/formats/qcow2/options.ts';
import { headerOf, settingsOf } from '../../../../src/formats/qcow2/settings.ts';
import { type Geometry, geometryOf } from '../../../../src/formats/qcow2/structure/geometry.ts';
import { setRefcount } from '../../../../src/formats/qcow2/structure/refcountEntry.ts';
import { defaultsOf } from '../../../../src/options/coerce.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { MemoryDriver } from '../../../../src/storage/memory.ts';
import type { StorageDriver } from '../../../../src/storage/storage.ts';

const CLUSTER = 16384;
const waiter = { wait: async (): Promise<void> => undefined };

function geometry(extended: boolean): Geometry {
  const options = { ...defaultsOf(createOptions), size: 1048576, cluster_size: CLUSTER, extended_l2: extended };
  return geometryOf(headerOf(settingsOf(options)));
}

/** What a scan of `bytes` from byte `start` on says: every reference on its own, and every line. */
function told(bytes: Uint8Array, shape: Geometry): { events: string[]; statistics: Statistics; uncopied: boolean } {
  const events: string[] = [];
  const scan = new TableScan({ geometry: shape, mend: false, zeroFlag: true }, bytes, {
    run(offset, clusters) {
      for (let i = 0; i < clusters; i++) events.push(`cluster ${offset + i * CLUSTER}`);
    },
    bytes: (offset, length) => events.push(`bytes ${offset}+${length}`),
    corrupt: (line) => events.push(line),
    mended: (line) => events.push(line),
  });
  expect(scan.from(0)).toBe(bytes.length);
  return { events, statistics: scan.statistics, uncopied: scan.uncopied };
}

/** Runs of entries: how the first one looks, and how many follow it with or without steps. */
const runs = fc.array(
  fc.record({
    high: fc.constantFrom(0, 1, 0x80000000, 0x80000001, 0x40000001, 0xc0000001, 0x00ffffff, 0x81000000, 0xffffffff),
    low: fc.constantFrom(0, 1, 0x4000, 0x8001, 0xfffec000, 0xffffc000, 0x4200, 0x4002, 0xffffffff),
    bits: fc.constantFrom([0, 0], [0, 0xffffffff], [1, 2], [3, 1], [0xffffffff, 0]),
    step: fc.constantFrom(0, CLUSTER),
    count: fc.integer({ min: 1, max: 300 }),
  }),
  { maxLength: 12 },
);

describe('a scan of an L2 table', () => {
  it.each([false, true])('says of runs what it says of each entry (extended entries: %s)', (extended) => {
    const shape = geometry(extended);
    const { entrySize } = shape;
    fc.assert(
      fc.property(runs, fc.boolean(), (pieces, kernels) => {
        const bytes = kernels ? sharedArray(CLUSTER) : new Uint8Array(CLUSTER);
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        let at = 0;
        for (const { high, low, bits, step, count } of pieces) {
          let entry = (BigInt(high) << 32n) | BigInt(low);
          for (let i = 0; i < count && at < CLUSTER; i++, at += entrySize) {
            view.setBigUint64(at, BigInt.asUintN(64, entry));
            if (extended) bits.forEach((half, k) => view.setUint32(at + 8 + 4 * k, half));
            entry += BigInt(step);
          }
        }
        const whole = told(bytes, shape);
        // Each entry in a table of its own: no runs, and no neighbours.
        const events: string[] = [];
        let [allocated, compressed, uncopied] = [0, 0, false];
        for (let place = 0; place < CLUSTER; place += entrySize) {
          const alone = new Uint8Array(CLUSTER);
          alone.set(bytes.subarray(place, place + entrySize), place);
          const one = told(alone, shape);
          events.push(...one.events);
          allocated += one.statistics.allocated;
          compressed += one.statistics.compressed;
          uncopied ||= one.uncopied;
        }
        expect(whole.events).toEqual(events);
        expect(whole.statistics).toMatchObject({ allocated, compressed });
        expect(whole.uncopied).toBe(uncopied);
      }),
      { numRuns: 6 },
    );
  });

  it('counts a fragment wherever a cluster does not follow the one before it', () => {
    const bytes = new Uint8Array(CLUSTER);
    const view = new DataView(bytes.buffer);
    [1, 2, 3, 7, 8, 0, 9, 5].forEach((cluster, i) => view.setUint32(i * 8 + 4, cluster * CLUSTER));
    expect(told(bytes, geometry(false)).statistics).toEqual({ allocated: 7, compressed: 0, fragmented: 2 });
  });
});

describe('CountTable', () => {
  it('counts runs up to the first cluster that was counted before, across pages', () => {
    const counts = new CountTable();
    counts.add(65540, 1);
    expect(counts.addNew(65530, 20)).toBe(10);
    expect([65529, 65530, 65539, 65540, 65541].map((cluster) => counts.get(cluster))).toEqual([0, 1, 1, 1, 0]);
    expect([counts.sharing, counts.end]).toEqual([false, 65541]);
    counts.add(65530, 1);
    expect([counts.sharing, counts.lastOf(65531, 65600), counts.lastOf(70000, 70010)]).toEqual([
      true,
      65540,
      undefined,
    ]);
  });

  it.each([1, 2, 4, 8, 16, 32, 64])('compares with refcounts of %i bits', (bits) => {
    const counts = new CountTable();
    const block = new DataView(new ArrayBuffer(64 * 8));
    const start = 65536 - 20;
    for (const index of [0, 19, 20, 63]) {
      counts.add(start + index, 1);
      setRefcount(block, bits, index, 1);
    }
    expect(counts.equals(start, start + 64, block, bits)).toBe(true);
    expect(counts.equals(start, start + 64, new DataView(new ArrayBuffer(512)), bits)).toBe(false);
    setRefcount(block, bits, 40, 1);
    expect([counts.equals(start, start + 40, block, bits), counts.equals(start, start + 64, block, bits)]).toEqual([
      true,
      false,
    ]);
  });

  it('takes counts that do not fit for unequal', () => {
    const counts = new CountTable();
    counts.add(0, 70000);
    const block = new DataView(new ArrayBuffer(512));
    setRefcount(block, 16, 0, 65535);
    expect(counts.equals(0, 1, block, 16)).toBe(false);
  });
});

/** A file whose reads are noted, and wait; those that touch `bad` fail. */
class Watched implements StorageDriver {
  readonly reads: string[] = [];
  readonly limits = { requestAlignment: 1 };
  readonly #memory: MemoryDriver;
  bad = -1;
  /** A read that begins there takes its time. */
  slow = -1;

  constructor(content: Uint8Array) {
    this.#memory = new MemoryDriver(content);
  }

  size(): number {
    return this.#memory.size();
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    this.reads.push(`${offset}+${into.length}`);
    await (offset === this.slow ? new Promise((resolve) => setTimeout(resolve, 20)) : Promise.resolve());
    if (this.bad >= offset && this.bad < offset + into.length) throw new Error('bad sector');
    this.#memory.read(offset, into);
  }

  write(offset: number, from: Uint8Array): void {
    this.#memory.write(offset, from);
  }

  close(): void {
    this.#memory.close();
  }
}

function watched(): { driver: Watched; file: CheckedStorage } {
  const content = new Uint8Array(64 * 512);
  for (let table = 0; table < 64; table++) content.fill(table, table * 512, table * 512 + 512);
  const driver = new Watched(content);
  return { driver, file: new CheckedStorage(driver, { name: 'watched', readOnly: false }) };
}

describe('TableReader', () => {
  const common = { size: 512, waiter, isNeedless: () => false, isHole: () => false };

  it('reads neighbours in one piece, each table once, and holes not at all', async () => {
    const { driver, file } = watched();
    const offsets = [1024, 1536, 0, 2048, 1024, 5120, 8192];
    const isHole = (offset: number): boolean => offset === 5120;
    const reader = new TableReader({ ...common, file, offsets, isHole });
    const first: (number | undefined)[] = [];
    for (const index of [0, 1, 3, 4, 5, 6]) first.push((await reader.table(index))?.[0]);
    expect(first).toEqual([2, 3, 4, 2, undefined, 16]);
    expect(driver.reads).toEqual(['1024+1536', '8192+512']);
  });

  it('reads tables of a piece that fails one by one, so that only the bad one fails', async () => {
    const { driver, file } = watched();
    driver.bad = 1600;
    const reader = new TableReader({ ...common, file, offsets: [1024, 1536, 2048] });
    expect((await reader.table(0))?.[0]).toBe(2);
    await expect((async () => reader.table(1))()).rejects.toThrow('bad sector');
    expect((await reader.table(2))?.[0]).toBe(4);
    await reader.settle();
  });

  it('begins with the next tables before it gives the first, and forgets them when something was written', async () => {
    const { driver, file } = watched();
    // Batches have 4,096 of these tables.
    const offsets = new Float64Array(4097).fill(0);
    offsets.set([512, 1536]);
    offsets[4096] = 3072;
    const big = new TableReader({ ...common, size: 2097152, file, offsets: [0, 512, 4096] });
    await big.table(1);
    expect(driver.reads.map((read) => Number.parseInt(read, 10))).toEqual([512, 4096]);
    const reader = new TableReader({ ...common, file, offsets });
    await reader.table(0);
    await file.write(1536, new Uint8Array(512).fill(77));
    expect((await reader.table(1))?.[0]).toBe(3);
    await reader.forget();
    expect((await reader.table(1))?.[0]).toBe(77);
  });

  it('does not use memory again into which a table that nobody asked for is still being read', async () => {
    const size = 2097152;
    const driver = new Watched(new Uint8Array(10 * size));
    const file = new CheckedStorage(driver, { name: 'slow', readOnly: false });
    for (let i = 1; i <= 4; i++) await file.write(2 * i * size, new Uint8Array(size).fill(i));
    driver.slow = 4 * size;
    const reader = new TableReader({ ...common, size, file, offsets: [2 * size, 4 * size, 6 * size, 8 * size] });
    await reader.table(0);
    await reader.table(2);
    const last = await reader.table(3);
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(last?.[0]).toBe(4);
  });
});
