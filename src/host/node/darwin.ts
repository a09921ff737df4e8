/**
 * The C library of macOS in the words of Linux, so that nothing above has to know which of the two it is. What Linux alone
 * has fails as with an old kernel. Numbers and structures are those of the headers of XNU (`sys/fcntl.h`,
 * `sys/unistd.h`, `sys/resource.h`), the same on both processors.
 */
import { constants } from 'node:os';
import type { Libc, NativeArgument, NativeModule } from './native.ts';

/** What the two have alike, and what is put in the words of Linux here. */
export type Calls = Omit<Libc, 'socketOption' | 'ignore' | 'isIgnored' | 'link' | 'useOneThread'>;

/** Linux on the left, macOS on the right. */
const WHENCE: ReadonlyMap<number, number> = new Map([
  [3, 4], // SEEK_DATA
  [4, 3], // SEEK_HOLE
]);
const RESOURCES: ReadonlyMap<number, number> = new Map([
  [6, 7], // RLIMIT_NPROC
  [9, 5], // RLIMIT_AS
]);
/** Locks of open file descriptions: `F_OFD_GETLK`, `F_OFD_SETLK`. */
const LOCK_COMMANDS: ReadonlyMap<number, number> = new Map([
  [36, 92],
  [37, 90],
]);
/** `F_RDLCK`, `F_WRLCK`, `F_UNLCK`. */
const LOCK_TYPES: ReadonlyMap<number, number> = new Map([
  [0, 1],
  [1, 3],
  [2, 2],
]);

const SEEK_END = 2;
const F_PREALLOCATE = 42;
const F_PUNCHHOLE = 99;
/** `F_ALLOCATEALL`: all of it or nothing; `F_PEOFPOSMODE`: behind what the file has already. */
const ALLOCATE_ALL = 4;
const BEHIND_THE_END = 3;
/** Modes of fallocate(2) that can be had. */
const RESERVE = 0;
const PUNCH_KEEPING_SIZE = 3;
/** Blocks of APFS and HFS+: only whole ones are given back. */
const BLOCK = 4096;
const NO_LIMIT = 2n ** 63n - 1n;

const UNSUPPORTED = -constants.errno.EOPNOTSUPP;

/** Type and range of a `struct flock` of Linux: type at 0, whence at 2, start at 8, length at 16. */
const LINUX = { type: 0, start: 8, length: 16 };
/** Of macOS: start at 0, length at 8, process at 16, type at 20, whence at 22. */
const DARWIN = { type: 20, start: 0, length: 8, bytes: 24 };

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The `struct flock` of macOS for one of Linux. */
export function flockForDarwin(linux: Uint8Array): Uint8Array {
  const from = viewOf(linux);
  const lock = new Uint8Array(DARWIN.bytes);
  const to = viewOf(lock);
  to.setBigInt64(DARWIN.start, from.getBigInt64(LINUX.start, true), true);
  to.setBigInt64(DARWIN.length, from.getBigInt64(LINUX.length, true), true);
  to.setInt16(DARWIN.type, LOCK_TYPES.get(from.getInt16(LINUX.type, true)) ?? 0, true);
  return lock;
}

/** Enters the answer of macOS into the structure of Linux. */
export function flockFromDarwin(darwin: Uint8Array, linux: Uint8Array): void {
  const from = viewOf(darwin);
  const to = viewOf(linux);
  const type = from.getInt16(DARWIN.type, true);
  for (const [ours, theirs] of LOCK_TYPES) if (theirs === type) to.setInt16(LINUX.type, ours, true);
  to.setBigInt64(LINUX.start, from.getBigInt64(DARWIN.start, true), true);
  to.setBigInt64(LINUX.length, from.getBigInt64(DARWIN.length, true), true);
}

/**
 * On Apple's arm64, what comes after the declared parameters of a variadic function is on the stack, where a declared one is
 * only after the eight registers: so the registers are filled up.
 */
function fcntlOf(native: NativeModule, arch: string): (fd: number, command: number, argument: Uint8Array) => number {
  const padded = arch === 'arm64';
  const padding = padded ? ', int64 c, int64 d, int64 e, int64 f, int64 g, int64 h' : '';
  const call = native.load(null).func(`int fcntl(int fd, int command${padding}, void *argument)`);
  const filler: NativeArgument[] = padded ? [0, 0, 0, 0, 0, 0] : [];
  return (fd, command, argument) => {
    const result = Number(call(fd, command, ...filler, argument));
    return result < 0 ? -native.errno() : result;
  };
}

/**
 * The C library of macOS.
 * @param plain what calls the functions that both systems have alike.
 */
export function darwinLibc<L extends Calls>(native: NativeModule, plain: L, arch: string = process.arch): L {
  const fcntl = fcntlOf(native, arch);

  function punch(fd: number, offset: number, length: number): number {
    const start = Math.ceil(offset / BLOCK) * BLOCK;
    const end = Math.max(start, Math.floor((offset + length) / BLOCK) * BLOCK);
    if (end > start) {
      // fpunchhole_t: flags, reserved, offset, length.
      const hole = new BigInt64Array([0n, BigInt(start), BigInt(end - start)]);
      const result = fcntl(fd, F_PUNCHHOLE, new Uint8Array(hole.buffer));
      if (result < 0) return result === -constants.errno.EINVAL ? UNSUPPORTED : result;
    }
    // What is left at both ends, or in the middle of a block.
    const inside = end > start;
    const failure = zero(fd, offset, inside ? start : offset + length);
    return failure < 0 || !inside ? failure : zero(fd, end, offset + length);
  }

  function zero(fd: number, from: number, to: number): number {
    for (let at = from; at < to; ) {
      const count = plain.write(fd, new Uint8Array(Math.min(BLOCK, to - at)), at);
      if (count < 0) return count;
      at += count;
    }
    return 0;
  }

  function reserve(fd: number, offset: number, length: number): number {
    const size = plain.seek(fd, 0, SEEK_END);
    if (size < 0) return size;
    const end = offset + length;
    if (end <= size) return 0;
    // fstore_t: flags, position mode, offset, length, bytes that were allocated.
    const store = new BigInt64Array([
      BigInt(ALLOCATE_ALL) | (BigInt(BEHIND_THE_END) << 32n),
      0n,
      BigInt(end - size),
      0n,
    ]);
    const result = fcntl(fd, F_PREALLOCATE, new Uint8Array(store.buffer));
    return result < 0 ? result : plain.truncate(fd, end);
  }

  function fallocate(fd: number, mode: number, offset: number, length: number): number {
    if (mode === PUNCH_KEEPING_SIZE) return punch(fd, offset, length);
    return mode === RESERVE ? reserve(fd, offset, length) : UNSUPPORTED;
  }

  return {
    ...plain,
    seek: (fd, offset, whence) => plain.seek(fd, offset, WHENCE.get(whence) ?? whence),
    fallocate: async (fd, mode, offset, length) => fallocate(fd, mode, offset, length),
    fallocateSync: fallocate,
    copyFileRange: async () => UNSUPPORTED,
    writeBack: async () => UNSUPPORTED,
    lock(fd, command, lock) {
      const own = flockForDarwin(lock);
      const result = fcntl(fd, LOCK_COMMANDS.get(command) ?? command, own);
      if (result >= 0) flockFromDarwin(own, lock);
      return result;
    },
    readCached: () => UNSUPPORTED,
    ioctl: () => UNSUPPORTED,
    ioctlAsync: async () => UNSUPPORTED,
    limit(resource) {
      const found = plain.limit(RESOURCES.get(resource) ?? resource);
      return found >= Number(NO_LIMIT) ? Number.POSITIVE_INFINITY : found;
    },
    tune: () => undefined,
  };
}
