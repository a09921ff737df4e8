/** Holes and space of one open file: where data is, giving space back, reserving it, copying inside the kernel. */
import { statfsSync } from 'node:fs';
import type { MaybePromise } from '../../base/async.ts';
import { andThen } from '../../base/async.ts';
import { alignDown, isAligned, KiB, MiB } from '../../base/offset.ts';
import type { Extent } from '../../storage/storage.ts';
import { failedWith } from './ffi.ts';
import type { Libc } from './native.ts';
import { libcError } from './fileErrors.ts';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** Modes of fallocate(2). */
const RESERVE = 0;
const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ZERO_RANGE = 16;

/** `_IOW(0x94, 13, struct file_clone_range)`: source fd, source offset, length, target offset, 64 bits each. */
const FICLONERANGE = 0x4020940d;

/** Ranges up to here are changed on the calling thread: a few microseconds, less than a change of threads takes. */
const SHORT = 16 * MiB;
/** Writes from here on have their space allocated first, which takes up to 40 % off their time. */
const LONG_WRITE = 256 * KiB;
/** `f_type` of statfs(2): ext4 accounts for what is written to the page cache block by block, unless it has its place. */
const EXT4 = 0xef53;
/** Most bytes of one kernel copy, so that several are in flight and a cancelled job ends soon. */
const COPY_CHUNK = 64 * MiB;
/** An offset that no block begins at, and no file reaches. */
const NOWHERE = 2 ** 50 + 1;
/** Block size that file systems with shared extents work in. */
const CLONE_ALIGNMENT = 4096;

/** The space of one open file. Needs the C library; errors are those of the system calls. */
export class FileSpace {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #name: string;
  /** The run of data found last. This and the next may be out of date only by calling data what is a hole by now. */
  #dataStart = 0;
  #dataEnd = 0;
  /** Where data begin behind the hole that was found last. */
  #nextData = -1;
  #canSeek = true;
  #canPunch = true;
  #canZero = true;
  #canReserve = true;
  /** Whether {@link allocate} pays; unknown before the first long write. */
  #allocates: boolean | undefined;
  #canCopy = true;
  #canClone = true;

  constructor(libc: Libc, fd: number, name: string) {
    this.#libc = libc;
    this.#fd = fd;
    this.#name = name;
  }

  /** The run at `offset`, at most `length` bytes; inside the file. */
  extent(offset: number, length: number): Extent {
    if (offset >= this.#dataStart && offset < this.#dataEnd) return this.#data(offset, length);
    if (!this.#canSeek) return { length, kind: 'data' };
    const data = offset === this.#nextData ? offset : this.#libc.seek(this.#fd, offset, SEEK_DATA);
    // ENXIO: no data from here to the end.
    if (failedWith(data, 'ENXIO')) return { length, kind: 'hole' };
    if (data < 0) {
      this.#canSeek = false;
      return { length, kind: 'data' };
    }
    if (data > offset) {
      this.#nextData = data;
      return { length: Math.min(data - offset, length), kind: 'hole' };
    }
    const hole = this.#libc.seek(this.#fd, offset, SEEK_HOLE);
    // The file may have become shorter in between.
    if (hole <= offset) return { length, kind: 'data' };
    this.#dataStart = offset;
    this.#dataEnd = hole;
    return this.#data(offset, length);
  }

  #data(offset: number, length: number): Extent {
    return { length: Math.min(length, this.#dataEnd - offset), kind: 'data' };
  }

  /** To be called when data may have become a hole. */
  forget(): void {
    this.#dataEnd = 0;
    this.#nextData = -1;
  }

  /** Gives the space of a range inside the file back; it then reads as zeroes. False if the file system cannot. */
  punch(offset: number, length: number): MaybePromise<boolean> {
    if (!this.#canPunch) return false;
    this.forget();
    return andThen(this.#fallocate(PUNCH_HOLE | KEEP_SIZE, offset, length), (done) => {
      this.#canPunch = done;
      return done;
    });
  }

  /** Makes a range read as zeroes while it keeps its space; grows the file if need be. False if that cannot be done. */
  zero(offset: number, length: number): MaybePromise<boolean> {
    this.forget();
    return andThen(this.#canZero && this.#fallocate(ZERO_RANGE, offset, length), (done) => {
      this.#canZero = done;
      return done || this.#punchAndReserve(offset, length);
    });
  }

  #punchAndReserve(offset: number, length: number): MaybePromise<boolean> {
    return andThen(this.punch(offset, length), (done) => done && this.reserve(offset, length));
  }

  /** Reserves space for a range, which may be beyond the end. False if the file system cannot. */
  reserve(offset: number, length: number): MaybePromise<boolean> {
    if (!this.#canReserve) return false;
    return andThen(this.#fallocate(RESERVE, offset, length), (done) => {
      this.#canReserve = done;
      return done;
    });
  }

  /**
   * Allocates the blocks of a write to the page cache that follows at once, where that makes it quicker. What fails here
   * fails in the write, too, and is told there.
   */
  allocate(offset: number, length: number): void {
    if (length < LONG_WRITE) return;
    this.#allocates ??= isOnExt4(this.#fd);
    if (!this.#allocates) return;
    const code = this.#libc.fallocateSync(this.#fd, KEEP_SIZE, offset, length);
    if (failedWith(code, 'EOPNOTSUPP', 'ENOSYS')) this.#allocates = false;
  }

  #fallocate(mode: number, offset: number, length: number): MaybePromise<boolean> {
    const result =
      length <= SHORT
        ? this.#libc.fallocateSync(this.#fd, mode, offset, length)
        : this.#libc.fallocate(this.#fd, mode, offset, length);
    return andThen(result, (code) => {
      if (code >= 0) return true;
      if (failedWith(code, 'EINTR')) return this.#fallocate(mode, offset, length);
      if (failedWith(code, 'EOPNOTSUPP', 'ENOSYS', 'ENODEV', 'ENOTTY')) return false;
      throw libcError(code, undefined, { filename: this.#name, offset, length, access: 'fallocate' });
    });
  }

  /**
   * Copies from another file, by sharing its blocks where the file system can. Returns the bytes copied, which may
   * be fewer than asked for; 0 if this pair of files cannot do it.
   */
  async copy(source: number, from: number, to: number, length: number): Promise<number> {
    const shared = await this.share(source, from, to, length);
    if (shared > 0) return shared;
    if (!this.#canCopy) return 0;
    const result = await this.#libc.copyFileRange(source, from, this.#fd, to, Math.min(length, COPY_CHUNK));
    if (result >= 0) return result;
    if (failedWith(result, 'EINTR')) return this.copy(source, from, to, length);
    // EINVAL and ETXTBSY depend on the ranges or the files, not on the call; reading and writing then shows what is wrong.
    if (failedWith(result, 'EXDEV', 'ENOSYS', 'EOPNOTSUPP', 'EBADF', 'EPERM')) this.#canCopy = false;
    else if (!failedWith(result, 'EINVAL', 'ETXTBSY', 'EISDIR', 'EOVERFLOW')) {
      throw libcError(result, undefined, { filename: this.#name, offset: to, length, access: 'copy' });
    }
    return 0;
  }

  /**
   * Makes blocks of another file blocks of this one, too. Returns the bytes that are shared from `to` on: whole blocks, so
   * perhaps fewer than asked for, and 0 if that cannot be done.
   */
  async share(source: number, from: number, to: number, length: number): Promise<number> {
    const whole = alignDown(length, CLONE_ALIGNMENT);
    const aligned = isAligned(from, CLONE_ALIGNMENT) && isAligned(to, CLONE_ALIGNMENT);
    if (!this.#canClone || !aligned || whole === 0) return 0;
    // On another thread: what of the source is not on its medium yet is written there first.
    const result = await this.#libc.ioctlAsync(this.#fd, FICLONERANGE, cloneRequest(source, from, to, whole));
    if (failedWith(result, 'EINTR')) return this.share(source, from, to, length);
    // The reason does not matter: an ordinary copy follows, and reports what is wrong if it fails as well.
    this.#canClone = result >= 0;
    return this.#canClone ? whole : 0;
  }

  /**
   * True if blocks of that file can be shared. The kernel looks at the files before it looks at the range, and refuses this one,
   * which is not made of blocks, and behind the end of everything, for whom might share single bytes.
   */
  sharesWith(source: number): boolean {
    const impossible = cloneRequest(source, NOWHERE, NOWHERE, 1);
    return failedWith(this.#libc.ioctl(this.#fd, FICLONERANGE, impossible), 'EINVAL');
  }
}

/** `struct file_clone_range` */
function cloneRequest(source: number, from: number, to: number, length: number): Uint8Array {
  return new Uint8Array(new BigInt64Array([BigInt(source), BigInt(from), BigInt(length), BigInt(to)]).buffer);
}

function isOnExt4(fd: number): boolean {
  try {
    return statfsSync(`/proc/self/fd/${fd}`).type === EXT4;
  } catch {
    return false;
  }
}
