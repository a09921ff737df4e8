import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { type Calls, darwinLibc, flockForDarwin, flockFromDarwin } from '../../../../src/host/node/darwin.ts';
import type { NativeModule } from '../../../../src/host/node/native.ts';

/** A macOS that notes what it is asked for, and answers with `result`. */
function fake(arch: string, result = 0, errno = 0) {
  const asked: { prototype: string; arguments: readonly unknown[] }[] = [];
  const zeroed: [number, number][] = [];
  const sizes: number[] = [];
  const native: NativeModule = {
    load: () => ({
      func: (prototype) =>
        Object.assign(
          (...all: readonly unknown[]) => {
            asked.push({ prototype, arguments: all.map((one) => (one instanceof Uint8Array ? one.slice() : one)) });
            return result;
          },
          { async: () => undefined },
        ),
    }),
    errno: () => errno,
    address: () => 0,
  };
  const unused = (): never => {
    throw new Error('a call of Linux');
  };
  const plain: Calls = {
    seek: (_fd, offset, whence) => (whence === 2 ? 10_000 : offset * 10 + whence),
    fallocate: unused,
    fallocateSync: unused,
    copyFileRange: unused,
    writeBack: unused,
    lock: unused,
    readCached: unused,
    ioctl: unused,
    ioctlAsync: unused,
    tune: unused,
    write: (_fd, from, offset) => {
      zeroed.push([offset, from.length]);
      return from.length;
    },
    truncate: (_fd, size) => {
      sizes.push(size);
      return 0;
    },
    limit: (resource) => (resource === 5 ? 2 ** 63 : resource),
  };
  return { libc: darwinLibc(native, plain, arch), asked, zeroed, sizes };
}

/** The structure that a call got as its last argument. */
function structureOf(call: { readonly arguments: readonly unknown[] } | undefined): Uint8Array {
  const structure = call?.arguments.at(-1);
  if (!(structure instanceof Uint8Array)) throw new Error('there is no structure');
  return structure;
}

/** The `struct flock` of Linux. */
function flock(type: number, start: number, length: number): Uint8Array {
  const lock = new Uint8Array(32);
  const view = new DataView(lock.buffer);
  view.setInt16(0, type, true);
  view.setBigInt64(8, BigInt(start), true);
  view.setBigInt64(16, BigInt(length), true);
  return lock;
}

describe('the C library of macOS', () => {
  it('looks for data and holes under its own numbers', () => {
    const { libc } = fake('x64');
    expect(libc.seek(3, 100, 3)).toBe(1004);
    expect(libc.seek(3, 100, 4)).toBe(1003);
    expect(libc.seek(3, 100, 0)).toBe(1000);
  });

  it.each([
    [0, 1],
    [1, 3],
    [2, 2],
  ])('has locks of type %i as %i, in a structure of its own', (linux, darwin) => {
    const own = flockForDarwin(flock(linux, 100, 7));
    const view = new DataView(own.buffer);
    expect([view.getBigInt64(0, true), view.getBigInt64(8, true), view.getInt16(20, true)]).toEqual([100n, 7n, darwin]);
    const back = new Uint8Array(32);
    flockFromDarwin(own, back);
    expect(back).toEqual(flock(linux, 100, 7));
  });

  it('locks open file descriptions, with variadic parameters where they are looked for', () => {
    for (const [arch, count] of [
      ['x64', 3],
      ['arm64', 9],
    ] as const) {
      const { libc, asked } = fake(arch);
      libc.lock(5, 37, flock(0, 201, 1));
      libc.lock(5, 36, flock(1, 101, 1));
      expect(asked.map((call) => [call.arguments.length, call.arguments[0], call.arguments[1]])).toEqual([
        [count, 5, 90],
        [count, 5, 92],
      ]);
      expect(asked[0]?.arguments.at(-1)).toEqual(flockForDarwin(flock(0, 201, 1)));
      expect(asked[0]?.prototype.split(',')).toHaveLength(count);
    }
    expect(fake('arm64', -1, 35).libc.lock(5, 37, flock(0, 201, 1))).toBe(-35);
  });

  it('gives whole blocks back and zeroes the rest', () => {
    const { libc, asked, zeroed } = fake('x64');
    expect(libc.fallocateSync(5, 3, 4000, 9000)).toBe(0);
    expect(asked[0]?.arguments[1]).toBe(99);
    const hole = new BigInt64Array(structureOf(asked[0]).buffer);
    expect([...hole]).toEqual([0n, 4096n, 8192n]);
    expect(zeroed).toEqual([
      [4000, 96],
      [12288, 712],
    ]);
    expect(libc.fallocateSync(5, 3, 10, 20)).toBe(0);
    expect(zeroed.slice(2)).toEqual([[10, 20]]);
    expect(asked).toHaveLength(1);
  });

  it('reserves what lies behind the end', () => {
    const { libc, asked, sizes } = fake('x64');
    expect(libc.fallocateSync(5, 0, 0, 9000)).toBe(0);
    expect(asked).toEqual([]);
    expect(libc.fallocateSync(5, 0, 8000, 12_000)).toBe(0);
    const store = new DataView(structureOf(asked[0]).buffer);
    expect([asked[0]?.arguments[1], store.getUint32(0, true), store.getInt32(4, true)]).toEqual([42, 4, 3]);
    expect(store.getBigInt64(16, true)).toBe(10_000n);
    expect(sizes).toEqual([20_000]);
  });

  it('has not what only Linux has', async () => {
    const { libc } = fake('x64');
    const missing = -constants.errno.EOPNOTSUPP;
    expect(libc.fallocateSync(5, 16, 0, 4096)).toBe(missing);
    expect(await libc.fallocate(5, 16, 0, 4096)).toBe(missing);
    expect(await libc.copyFileRange(5, 0, 6, 0, 10)).toBe(missing);
    expect(libc.ioctl(5, 1, new Uint8Array(8))).toBe(missing);
    expect(libc.readCached(5, new Uint8Array(100), 0)).toBe(missing);
    expect(libc.tune(1, 1)).toBeUndefined();
    expect(libc.limit(9)).toBe(Number.POSITIVE_INFINITY);
    expect(libc.limit(6)).toBe(7);
  });
});
