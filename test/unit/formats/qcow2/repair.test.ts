import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import type { CheckFindings, RepairMode } from '../../../../src/block/capabilities.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { FaultDriver, replay } from '../../../../src/storage/fault.ts';
import { MemoryDriver, memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import { createOn, openOn, services } from './support.ts';

const SIZE = 262144;
const clock = { ...services, now: () => ({ seconds: 1700000000, nanoseconds: 5 }) };

/** What the guest sees: ten clusters of different bytes. */
const EXPECTED = new Uint8Array(SIZE);
for (let at = 0; at < 40960; at += 4096) EXPECTED.fill(1 + at / 4096, at, at + 4096);

/** Where the structures of {@link sample} are. */
interface Places {
  readonly cluster: number;
  readonly table: number;
  readonly block: number;
  readonly l1: number;
  readonly l2: number;
}

async function sample(options: object = {}): Promise<Uint8Array> {
  const file = memoryStorage();
  await createOn(file, { size: SIZE, cluster_size: 4096, ...options });
  const node = await openOn(file, { services: clock });
  await node.write(0, EXPECTED.slice(0, 40960));
  await node.close();
  return contentOf(file);
}

async function contentOf(file: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(file.size());
  await file.read(0, bytes);
  return bytes;
}

function placesOf(bytes: Uint8Array): Places {
  const view = new DataView(bytes.buffer);
  const table = view.getUint32(52);
  const l1 = view.getUint32(44);
  return { cluster: 2 ** view.getUint32(20), table, block: view.getUint32(table + 4), l1, l2: view.getUint32(l1 + 4) };
}

/** Changes bytes of a sample: `[place, distance, hexadecimal digits]`. */
type Change = readonly [at: keyof Places | 'header', distance: number, hex: string];

function damage(bytes: Uint8Array, changes: readonly Change[]): Uint8Array {
  const damaged = bytes.slice();
  const places = placesOf(bytes);
  for (const [at, distance, hex] of changes) {
    damaged.set(Buffer.from(hex, 'hex'), (at === 'header' ? 0 : places[at]) + distance);
  }
  return damaged;
}

async function check(file: Storage, repair: RepairMode): Promise<CheckFindings & { lines: string[] }> {
  const node = await openOn(file, { intent: 'check', readOnly: repair === 'none', services: clock });
  const lines: string[] = [];
  try {
    const result = await node.check(repair, ({ text }) => lines.push(text));
    return { ...result, lines };
  } finally {
    await node.close();
  }
}

async function expectData(file: Storage): Promise<void> {
  const node = await openOn(file, { readOnly: true, services: clock });
  const bytes = new Uint8Array(SIZE);
  await node.read(0, bytes);
  expect(Buffer.compare(bytes, EXPECTED)).toBe(0);
}

/** Damage that takes nothing away which the data needs. */
const REPAIRABLE: readonly (readonly [name: string, changes: readonly Change[]])[] = [
  ['a refcount that is too low', [['block', 10, '0000']]],
  ['a refcount that is too high', [['block', 10, '0007']]],
  ['leaked clusters', [['block', 80, '00010001']]],
  ['an empty refcount block', [['block', 0, '00'.repeat(64)]]],
  ['a missing refcount block', [['table', 0, '0000000000000000']]],
  ['a refcount block beyond the end', [['table', 0, '0000000000100000']]],
  ['a refcount block that is used twice', [['table', 0, '0000000000004000']]],
  ['no refcount table', [['header', 56, '00000000']]],
  ['a refcount table beyond the end', [['header', 48, '0000000000800000']]],
  [
    'missing COPIED flags',
    [
      ['l1', 0, '00'],
      ['l2', 0, '00'],
      ['l2', 8, '00'],
    ],
  ],
  [
    'the dirty bit',
    [
      ['block', 12, '0002'],
      ['header', 79, '01'],
    ],
  ],
  ['the corrupt bit', [['header', 79, '02']]],
];

describe('check -r all', () => {
  it.each(REPAIRABLE)('repairs %s, and finds nothing the second time', async (_name, changes) => {
    const file = memoryStorage(damage(await sample(), changes));
    await check(file, 'all');
    const { lines, ...again } = await check(file, 'all');
    expect(lines).toEqual([]);
    expect(again).toMatchObject({ corruptions: 0, leaks: 0, corruptionsFixed: 0, leaksFixed: 0 });
    const repaired = await contentOf(file);
    expect(repaired[79]).toBe(0);
    await expectData(file);
  });

  it.each([1, 2, 8, 64])('rebuilds refcounts of %d bits', async (refcountBits) => {
    const file = memoryStorage(
      damage(await sample({ refcount_bits: refcountBits }), [['table', 0, '0000000000000000']]),
    );
    expect((await check(file, 'all')).lines).toContain('Rebuilding refcount structure');
    expect(await check(file, 'none')).toMatchObject({ corruptions: 0, leaks: 0, lines: [] });
    await expectData(file);
  });

  it('says what is lost, and keeps saying it', async () => {
    const file = memoryStorage(damage(await sample(), [['l2', 0, '8000000010000000']]));
    const first = await check(file, 'all');
    expect(first).toMatchObject({ corruptions: 1, leaksFixed: 1 });
    expect(await check(file, 'all')).toMatchObject({ corruptions: 1, leaks: 0 });
  });

  it('gives an entry that reads as zeroes up its impossible place', async () => {
    const bytes = await sample();
    const { l2 } = placesOf(bytes);
    const old = new DataView(bytes.buffer).getUint32(l2 + 4);
    new DataView(bytes.buffer).setUint32(l2 + 4, old + 513);
    const file = memoryStorage(bytes);
    const { lines } = await check(file, 'all');
    expect(lines[0]).toBe(
      `Repairing offset=${(old + 512).toString(16)}: Preallocated cluster is not properly aligned; L2 entry corrupted.`,
    );
    expect((await check(file, 'none')).lines).toEqual([]);
  });

  it('refuses to write over other metadata', async () => {
    const bytes = await sample();
    const { l1 } = placesOf(bytes);
    const entry = (0x8000000000000000n + BigInt(l1)).toString(16);
    const file = memoryStorage(damage(bytes, [['l1', 0, entry]]));
    await expect(check(file, 'all')).rejects.toThrow('Input/output error');
    expect((await contentOf(file))[79]).toBe(2);
  });
});

describe('check -r leaks', () => {
  it('repairs leaks and leaves errors as they are', async () => {
    const bytes = await sample();
    const { l2 } = placesOf(bytes);
    bytes.copyWithin(l2, l2 + 8, l2 + 16);
    const file = memoryStorage(bytes);
    expect(await check(file, 'leaks')).toMatchObject({ leaksFixed: 1, corruptions: 1, corruptionsFixed: 0 });
    expect(await check(file, 'none')).toMatchObject({ leaks: 0, corruptions: 1 });
  });

  it('refuses what only a new structure can repair', async () => {
    const file = memoryStorage(damage(await sample(), [['block', 10, '0000']]));
    const before = await contentOf(file);
    await expect(check(file, 'leaks')).rejects.toThrow('Input/output error');
    expect(Buffer.compare(await contentOf(file), before)).toBe(0);
  });

  it('puts flags right when nothing else is wrong', async () => {
    const file = memoryStorage(damage(await sample(), [['l2', 0, '00']]));
    expect(await check(file, 'leaks')).toMatchObject({ corruptions: 0, corruptionsFixed: 1 });
  });
});

describe('opening for writing', () => {
  it('repairs an image that was not closed, and says so', async () => {
    const file = memoryStorage(
      damage(await sample(), [
        ['block', 10, '0003'],
        ['header', 79, '01'],
      ]),
    );
    const warnings: string[] = [];
    const node = await openOn(file, { warnings, services: clock });
    await node.close();
    expect(warnings).toEqual(['Leaked cluster 5 refcount=3 reference=1', 'Repairing cluster 5 refcount=3 reference=1']);
    expect((await check(file, 'none')).lines).toEqual([]);
  });

  it('does not touch it when it is opened for reading', async () => {
    const file = memoryStorage(damage(await sample(), [['header', 79, '01']]));
    const before = await contentOf(file);
    const node = await openOn(file, { readOnly: true, services: clock });
    await node.close();
    expect(Buffer.compare(await contentOf(file), before)).toBe(0);
  });
});

it('leaves data readable wherever a repair is interrupted', async () => {
  const good = await sample();
  for (const [, changes] of REPAIRABLE) {
    const initial = damage(good, changes);
    const driver = new FaultDriver(new MemoryDriver(initial.slice()));
    await check(new CheckedStorage(driver, { name: 'recorded', readOnly: false }), 'all');
    for (let cut = 0; cut <= driver.log.length; cut++) {
      const file = new CheckedStorage(replay(initial, driver.log, { cut }), { name: 'cut', readOnly: false });
      if (changes[0]?.[1] !== 56) await expectData(file);
      await check(file, 'all');
      expect((await check(file, 'none')).lines).toEqual([]);
      await expectData(file);
    }
  }
});

it('settles after two repairs, whatever is damaged', async () => {
  const good = await sample();
  const places = placesOf(good);
  const entry = fc
    .tuple(
      fc.constantFrom('00', '80', 'c0', '01'),
      fc.integer({ min: 0, max: 40 }),
      fc.constantFrom(0, 0, 0, 1, 2, 512),
    )
    .map(([flags, cluster, odd]) => `${flags}000000${(cluster * 4096 + odd).toString(16).padStart(8, '0')}`);
  const change = fc.tuple(fc.constantFrom('table', 'l1', 'l2'), fc.integer({ min: 0, max: 4 }), entry);
  const counts = fc.tuple(
    fc.constant('block'),
    fc.integer({ min: 0, max: 40 }),
    fc.constantFrom('0000', '0001', '0002'),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(change, counts), { minLength: 1, maxLength: 4 }), async (changes) => {
      const bytes = good.slice();
      for (const [at, index, hex] of changes) {
        const start = places[at as keyof Places] + index * (hex.length / 2);
        bytes.set(Buffer.from(hex, 'hex'), start);
      }
      const file = memoryStorage(bytes);
      try {
        for (let i = 0; i < 3; i++) await check(file, 'all');
      } catch {
        return;
      }
      const before = await contentOf(file);
      const last = await check(file, 'all');
      expect(last).toMatchObject({ leaks: 0, leaksFixed: 0, corruptionsFixed: 0 });
      expect(Buffer.compare(await contentOf(file), before)).toBe(0);
    }),
    { numRuns: 60 },
  );
});
