import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RangeLock, Semaphore } from '../../../src/base/async.ts';
import { bigEndian, littleEndian } from '../../../src/base/bytes.ts';
import { asBlockError, BlockError, posixError, withPrefix } from '../../../src/base/error.ts';
import { alignDown, alignUp, divideUp, isPowerOfTwo, MAX_SIZE } from '../../../src/base/offset.ts';
import { equalRange, firstDifference, isZero } from '../../../src/base/zero.ts';

describe('fields', () => {
  it('round-trip 64-bit numbers that are exact', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 64n - 1n), fc.boolean(), (value, big) => {
        const fields = (big ? bigEndian : littleEndian)(new Uint8Array(8));
        fields.setBig64(0, value);
        if (BigInt(Number(value)) === value && value < 2n ** 64n) {
          expect(fields.u64(0)).toBe(Number(value));
          fields.setU64(0, Number(value));
          expect(fields.big64(0)).toBe(value);
        } else {
          expect(() => fields.u64(0)).toThrow(/out of range/);
        }
      }),
    );
  });

  it('refuse access outside', () => {
    const fields = bigEndian(new Uint8Array(6));
    for (const at of [-1, 3, 6, Number.NaN]) expect(() => fields.u32(at)).toThrow(BlockError);
    expect(() => fields.slice(4, 3)).toThrow(/too short/);
  });
});

describe('offsets', () => {
  it('align exactly near the largest size', () => {
    expect(alignUp(MAX_SIZE - 1024, 512)).toBe(MAX_SIZE - 1024);
    expect(alignDown(2 ** 53 + 512, 512)).toBe(2 ** 53 + 512);
    expect(divideUp(1025, 512)).toBe(3);
    expect([1, 2, 2 ** 40].every(isPowerOfTwo)).toBe(true);
    expect([0, 3, 2 ** 40 + 512, -2].some(isPowerOfTwo)).toBe(false);
  });
});

describe('buffers', () => {
  it('find zeroes and differences like a plain loop', () => {
    fc.assert(
      fc.property(fc.nat(200_000), fc.nat(200_000), fc.boolean(), (length, at, dirty) => {
        const bytes = new Uint8Array(length);
        if (dirty && at < length) bytes[at] = 1;
        const expected = dirty && at < length;
        expect(isZero(bytes)).toBe(!expected);
        expect(firstDifference(bytes, new Uint8Array(length))).toBe(expected ? at : -1);
        expect(equalRange(bytes, 0, new Uint8Array(length), 0, length)).toBe(!expected);
      }),
      { numRuns: 50 },
    );
  });
});

describe('errors', () => {
  it('keep kind, code and hint while messages grow', async () => {
    const error = new BlockError('locked', 'Failed to get "write" lock', { hint: 'Is another process using it?' });
    const thrown = await withPrefix("Could not open 'x': ", () => Promise.reject(error)).catch((e: unknown) => e);
    expect(thrown).toMatchObject({ kind: 'locked', code: 'EAGAIN', hint: 'Is another process using it?' });
    expect((thrown as BlockError).message).toBe('Could not open \'x\': Failed to get "write" lock');
    expect(posixError('not-found', "Could not open 'x'").message).toBe("Could not open 'x': No such file or directory");
    expect(asBlockError(new Error('boom'))).toMatchObject({ kind: 'internal', message: 'boom' });
  });
});

describe('locks', () => {
  it('let disjoint ranges in at once and overlapping ones in turn', async () => {
    const lock = new RangeLock();
    const log: string[] = [];
    const slow = (name: string) => async () => {
      log.push(`+${name}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      log.push(`-${name}`);
    };
    await Promise.all([lock.run(0, 10, slow('a')), lock.run(5, 15, slow('b')), lock.run(20, 30, slow('c'))]);
    expect(log.indexOf('+c')).toBeLessThan(log.indexOf('-a'));
    expect(log.indexOf('-a')).toBeLessThan(log.indexOf('+b'));
  });

  it('a waiter of a range that meets a second holder keeps its place before those who came later', async () => {
    const lock = new RangeLock();
    const log: string[] = [];
    const first = await lock.acquire(0, 10);
    const second = await lock.acquire(20, 30);
    const both = lock.run(0, 30, () => void log.push('both'));
    const late = lock.run(20, 30, () => void log.push('late'));
    const beside = lock.run(0, 10, () => void log.push('beside'));
    first();
    await new Promise((resolve) => setTimeout(resolve));
    expect(log).toEqual([]);
    second();
    await Promise.all([both, late, beside]);
    expect(log).toEqual(['both', 'late', 'beside']);
  });

  it('let those in at once who share a range, but nobody past one who waits to have it alone', async () => {
    const lock = new RangeLock();
    const log: string[] = [];
    const reader = await lock.acquire(0, 10, 'shared');
    expect(lock.run(5, 15, () => 'at once', 'shared')).toBe('at once');
    const writer = lock.run(8, 9, () => void log.push('writer'));
    const late = lock.run(0, 10, () => void log.push('late reader'), 'shared');
    expect(lock.run(10, 20, () => 'elsewhere')).toBe('elsewhere');
    expect(log).toEqual([]);
    reader();
    await Promise.all([writer, late]);
    expect(log).toEqual(['writer', 'late reader']);
  });

  it('of ranges exclude whoever overlaps, whatever the order of requests', async () => {
    const request = fc.record({ start: fc.nat(12), length: fc.nat(6), shared: fc.boolean(), steps: fc.nat(3) });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 25 }), async (requests) => {
        const lock = new RangeLock();
        const inside = new Set<(typeof requests)[number]>();
        const run = async (own: (typeof requests)[number]) =>
          lock.run(
            own.start,
            own.start + own.length,
            async () => {
              for (const other of inside) {
                const apart = other.start + other.length <= own.start || own.start + own.length <= other.start;
                expect(apart || (own.shared && other.shared)).toBe(true);
              }
              inside.add(own);
              for (let step = 0; step < own.steps; step++) await Promise.resolve();
              inside.delete(own);
            },
            own.shared ? 'shared' : 'alone',
          );
        await Promise.all(requests.map(run));
        expect(lock.run(0, 20, () => 'free')).toBe('free');
      }),
    );
  });

  it('release after a failure', async () => {
    const semaphore = new Semaphore(1);
    expect(() =>
      semaphore.run(() => {
        throw new Error('x');
      }),
    ).toThrow('x');
    await expect(Promise.resolve(semaphore.run(() => Promise.reject(new Error('y'))))).rejects.toThrow('y');
    expect(semaphore.run(() => 7)).toBe(7);
  });
});
