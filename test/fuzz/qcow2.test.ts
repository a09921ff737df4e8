/** Damaged qcow2 images never end in anything but data or one clear error. */
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { BlockError } from '../../src/base/error.ts';
import { MemoryDriver, memoryStorage } from '../../src/storage/memory.ts';
import { CheckedStorage } from '../../src/storage/checked.ts';
import { createOn, driverOf, openOn } from '../unit/formats/qcow2/support.ts';

const SIZE = 1048576;

/** A small image with data, zeroes and compressed clusters. */
async function sample(options: Record<string, number | boolean | string>): Promise<Uint8Array> {
  const driver = new MemoryDriver(0);
  const file = new CheckedStorage(driver, { name: 'sample', readOnly: false });
  await createOn(file, { size: SIZE, ...options });
  const node = await openOn(file);
  await node.write(1000, new Uint8Array(30000).fill(1));
  await node.writeZeroes(200000, 70000);
  const { compressor } = driverOf(node);
  const [coded] = await compressor.encode(0, new Uint8Array(compressor.unit).fill(5));
  if (coded) await node.storeCompressed(524288, coded);
  await node.close();
  return driver.toBytes();
}

/** Runs a step; only a {@link BlockError} may come out, and not one of kind `internal`. */
async function tolerate(step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!(error instanceof BlockError) || error.kind === 'internal') throw error;
  }
}

async function use(bytes: Uint8Array): Promise<void> {
  const file = memoryStorage(bytes);
  await tolerate(async () => {
    const node = await openOn(file, { intent: 'check', readOnly: true });
    const result = await driverOf(node).checker.check('none', () => undefined);
    expect(Number.isFinite(result.corruptions + result.leaks + result.checkErrors)).toBe(true);
  });
  await tolerate(async () => {
    const node = await openOn(file, { readOnly: true });
    const buffer = new Uint8Array(65536);
    for (let at = 0; at < Math.min(node.size(), 4 * SIZE); at += buffer.length) {
      const part = buffer.subarray(0, Math.min(buffer.length, node.size() - at));
      await tolerate(async () => node.read(at, part));
    }
  });
  await tolerate(async () => {
    const node = await openOn(file);
    const size = Math.min(node.size(), SIZE);
    await tolerate(async () => node.write(Math.floor(size / 3), new Uint8Array(Math.floor(size / 4)).fill(9)));
    await tolerate(async () => node.writeZeroes(0, Math.floor(size / 8), { unmap: true }));
    await tolerate(async () => node.discard(0, size));
    await node.close();
  });
}

describe.each([
  { cluster_size: 512 },
  { cluster_size: 4096, refcount_bits: 1 },
  { cluster_size: 16384, extended_l2: true },
  { compat: '0.10', cluster_size: 4096 },
])('a damaged qcow2 image (%j)', (options) => {
  let good: Uint8Array;

  beforeAll(async () => {
    good = await sample(options);
  });

  it('gives data or a clear error', async () => {
    const cluster = options.cluster_size;
    // Most damage goes where the metadata is.
    const place = fc.oneof(
      fc.nat(111),
      fc.integer({ min: cluster, max: cluster + 15 }),
      fc.integer({ min: cluster * 2, max: cluster * 2 + 63 }),
      fc.integer({ min: cluster * 3, max: cluster * 3 + 63 }),
      fc.integer({ min: cluster * 4, max: cluster * 6 }),
      fc.nat(262143),
    );
    const change = fc.tuple(place, fc.oneof(fc.constantFrom(0, 1, 0x40, 0x80, 0xff), fc.nat(255)));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const bytes = good.slice();
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        await use(bytes);
      }),
      { numRuns: 60 },
    );
  });
});

it('ends though the refcount table names a block at 2^62', async () => {
  const bytes = await sample({ cluster_size: 512 });
  // The second entry of the table, which stands in the second cluster.
  bytes[520] = 0x40;
  await use(bytes);
});
