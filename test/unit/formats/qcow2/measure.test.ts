import { describe, expect, it } from 'vitest';
import type { MeasureContext } from '../../../../src/block/format.ts';
import { measure } from '../../../../src/formats/qcow2/measure.ts';
import { createOptions } from '../../../../src/formats/qcow2/options.ts';
import { defaultsOf } from '../../../../src/options/coerce.ts';

const GiB = 1073741824;

function context(virtualSize: number, runs?: readonly (readonly [number, number])[]): MeasureContext {
  return {
    virtualSize,
    ...(runs ? { source: {} } : {}),
    async *dataRuns() {
      for (const [offset, length] of runs ?? []) yield { offset, length };
    },
  } as unknown as MeasureContext;
}

const DEFAULTS = defaultsOf(createOptions);

// The figures are those of the real tool.
describe('measure', () => {
  it.each([
    [GiB, {}, 393216, 1074135040],
    [65536 * GiB, {}, 10739253248, 70379483430912],
    [1000, {}, 327680, 393216],
    [0, {}, 196608, 196608],
    [10 * GiB, { cluster_size: 2097152 }, 10485760, 10747904000],
    [GiB, { cluster_size: 512 }, 21385216, 1095127040],
    [10 * GiB, { refcount_bits: 64 }, 2883584, 10740301824],
    [GiB, { preallocation: 'full' }, 1074135040, 1074135040],
    [GiB, { extended_l2: true }, 524288, 1074266112],
    [GiB, { cluster_size: 512, refcount_bits: 64 }, 34629120, 1108370944],
    [2 ** 61, { cluster_size: 2097152 }, 10995174998016, 2305854004388691968],
  ])('of %i bytes with %j', async (size, options, required, fullyAllocated) => {
    expect(await measure(context(size), { ...DEFAULTS, ...options })).toEqual({ required, fullyAllocated });
  });

  it('counts each cluster with data once', async () => {
    const runs = [
      [0, 3145728],
      [3145728 + 100, 10],
      [3145728 + 200, 10],
      [524288000, 65536],
    ] as const;
    expect((await measure(context(GiB, runs), DEFAULTS)).required).toBe(3604480 + 65536);
  });

  it.each([
    [GiB, { cluster_size: 100 }, 'Cluster size must be a power of two between 512 and 2048k'],
    [GiB, { refcount_bits: 3 }, 'Refcount width must be a power of two and may not exceed 64 bits'],
    [2 ** 60, {}, 'The image size is too large (try using a larger cluster size)'],
  ])('refuses %i with %j', async (size, options, message) => {
    await expect(measure(context(size), { ...DEFAULTS, ...options })).rejects.toThrow(message);
  });

  it('says what a source would need that no image can hold', async () => {
    const needed = { required: 175948705628160, fullyAllocated: 1153097453312475136 };
    expect(await measure(context(2 ** 60, []), DEFAULTS)).toEqual(needed);
  });
});
