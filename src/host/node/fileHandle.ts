/** An open file or device under Node. */
import { type BigIntStats, closeSync, fstatSync, openSync, read as readFile, readSync } from 'node:fs';
import { type MaybePromise } from '../../base/async.ts';
import { type ErrorContext } from '../../base/error.ts';
import { isAligned, KiB } from '../../base/offset.ts';
import { systemError } from '../../base/posix.ts';
import type { FileAccess, FileHandle, FileStatus } from '../../storage/files.ts';
import type { Extent, Limits } from '../../storage/storage.ts';
import { failedWith } from './ffi.ts';
import type { Libc } from './native.ts';
import { isMemoryAligned } from './fileBuffers.ts';
import { nodeError } from './fileErrors.ts';
import { hostName } from './fileNames.ts';
import { mayUseThreads, soon } from './limits.ts';
import type { FileLocks } from './lock.ts';
import { FileSpace } from './sparse.ts';
import { SMALL } from './writeMode.ts';

/** Reads up to here take the calling thread less time than to have another one do them, if the bytes are in memory. */
const MEDIUM = 256 * KiB;

/** What an opened file is made of. */
export interface OpenedFile {
  readonly fd: number;
  readonly name: string;
  readonly kind: FileStatus['kind'];
  readonly identity: string;
  readonly size: number;
  readonly limits: Limits;
  /** The flags it was opened with, without `O_DIRECT`, to open it once more. */
  readonly flags: number;
  /** The page cache is left out where requests are aligned. */
  readonly direct: boolean;
  /** Each write is durable when it is done. */
  readonly synchronous: boolean;
  /** `flush` does nothing (cache mode `unsafe`). */
  readonly unsafe: boolean;
  /** Space is given back when content is discarded. */
  readonly unmap: boolean;
  readonly locks: FileLocks;
  readonly libc: Libc | undefined;
}

/** True for an error of `node:fs` with that code. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

/**
 * Opens a file once more, without `O_DIRECT`: whatever its name is by now; where `/proc` is missing, by the name that it
 * was opened with.
 */
function openAgain({ fd, name, flags, identity }: OpenedFile): number {
  const context = { filename: name, access: 'open' };
  try {
    return openSync(`/proc/self/fd/${fd}`, flags);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw nodeError(error, undefined, context);
  }
  let again: number;
  try {
    again = openSync(hostName(name), flags);
  } catch (error) {
    throw nodeError(error, undefined, context);
  }
  if (identityOf(fstatSync(again, { bigint: true })) === identity) return again;
  closeSync(again);
  throw systemError('ESTALE', undefined, context);
}

/** Equal for two openings of one file. */
export function identityOf(stats: BigIntStats): string {
  // A device node stands for its device, whatever the name and the file system of the node.
  return stats.isBlockDevice() ? `device:${stats.rdev}` : `${stats.dev}:${stats.ino}`;
}

/** A file opened for reading. */
export class ReadOnlyFile implements FileHandle {
  readonly limits: Limits;
  readonly identity: string;
  readonly kind: FileStatus['kind'];
  protected readonly opened: OpenedFile;
  protected readonly space: FileSpace | undefined;
  protected currentSize: number;
  #direct: boolean;
  /** File systems know whether they can tell what is in the page cache. */
  #canReadCached = true;
  /** The same file through the page cache, for requests that are not aligned. */
  #cached: number | undefined;

  constructor(opened: OpenedFile) {
    this.opened = opened;
    this.limits = opened.limits;
    this.identity = opened.identity;
    this.kind = opened.kind;
    this.currentSize = opened.size;
    this.#direct = opened.direct;
    this.space = opened.libc && new FileSpace(opened.libc, opened.fd, opened.name);
  }

  size(): number {
    return this.currentSize;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    if (into.length <= SMALL && this.kind === 'file') return this.#readAll(offset, into);
    const known = into.length <= MEDIUM ? this.#readCached(offset, into) : 0;
    if (known === into.length) return;
    const rest = into.subarray(known);
    return mayUseThreads() ? this.#readLater(offset + known, rest) : soon(() => this.#readAll(offset + known, rest));
  }

  /** Reads what is in the page cache; returns how many bytes that were. */
  #readCached(offset: number, into: Uint8Array): number {
    const { libc, fd } = this.opened;
    if (!libc || !this.#canReadCached || this.#direct || this.kind !== 'file') return 0;
    try {
      const count = libc.readCached(fd, into, offset);
      if (count < 0 && !failedWith(count, 'EAGAIN', 'EINTR')) this.#canReadCached = false;
      return Math.max(0, count);
    } catch {
      this.#canReadCached = false;
      return 0;
    }
  }

  #readAll(offset: number, into: Uint8Array): void {
    for (let at = 0; at < into.length; ) {
      const count = this.#readNow(offset + at, into, at);
      // The file has become shorter: what is missing reads as zeroes, as it would after growing again.
      if (count === 0) {
        into.fill(0, at);
        return;
      }
      at += count;
    }
  }

  #readNow(position: number, into: Uint8Array, at: number): number {
    const fd = this.fdFor(position, into, at);
    try {
      return readSync(fd, into, at, into.length - at, nodePosition(position));
    } catch (error) {
      if (hasCode(error, 'EINTR') || this.leaveDirect(fd, error)) return this.#readNow(position, into, at);
      throw nodeError(error, undefined, this.context('read', position, into.length - at));
    }
  }

  #readLater(offset: number, into: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      let at = 0;
      let fd = -1;
      const next = () => {
        fd = this.fdFor(offset + at, into, at);
        readFile(fd, into, at, into.length - at, nodePosition(offset + at), finished);
      };
      const finished = (error: NodeJS.ErrnoException | null, count: number) => {
        if (error) {
          if (error.code === 'EINTR' || this.leaveDirect(fd, error)) next();
          else reject(nodeError(error, undefined, this.context('read', offset + at, into.length - at)));
          return;
        }
        if (count === 0) into.fill(0, at);
        at += count;
        if (count === 0 || at === into.length) resolve();
        else next();
      };
      next();
    });
  }

  status(offset: number, length: number): Extent {
    if (!this.space || this.kind !== 'file') return { length, kind: 'data' };
    return this.space.extent(offset, length);
  }

  allocatedSize(): number {
    return fstatSync(this.opened.fd).blocks * 512;
  }

  setAccess(access: FileAccess): void {
    this.opened.locks.set(access);
  }

  close(): MaybePromise<void> {
    this.opened.locks.release();
    const cached = this.#cached;
    this.#cached = undefined;
    try {
      if (cached !== undefined) closeSync(cached);
      closeSync(this.opened.fd);
    } catch (error) {
      // The descriptor is gone after an interruption as well.
      if (!hasCode(error, 'EINTR')) throw nodeError(error, undefined, this.context('close'));
    }
  }

  /** The descriptor of another handle for a kernel copy out of it; undefined if it is no file. */
  get copySource(): number | undefined {
    return this.kind === 'file' ? this.opened.fd : undefined;
  }

  protected context(access: string, offset?: number, length?: number): ErrorContext {
    const where = offset === undefined ? {} : { offset };
    return { filename: this.opened.name, access, ...where, ...(length === undefined ? {} : { length }) };
  }

  /**
   * The descriptor for a transfer. Direct I/O takes only aligned memory, offsets and lengths; what is not aligned goes
   * through the page cache, which the kernel keeps coherent with direct I/O.
   */
  protected fdFor(offset: number, bytes: Uint8Array, at: number): number {
    if (!this.#direct) return this.#cached ?? this.opened.fd;
    const unit = this.limits.requestAlignment;
    const aligned = isAligned(offset, unit) && isAligned(bytes.length - at, unit) && isAligned(at, unit);
    if (aligned && isMemoryAligned(bytes, unit)) return this.opened.fd;
    this.#cached ??= openAgain(this.opened);
    return this.#cached;
  }

  /** True if `error` means that the file takes no direct I/O after all; it is then used through the page cache. */
  protected leaveDirect(fd: number, error: unknown): boolean {
    if (!this.#direct || fd !== this.opened.fd || !hasCode(error, 'EINVAL')) return false;
    this.#cached ??= openAgain(this.opened);
    this.#direct = false;
    return true;
  }
}

/** Node reads at a bigint position of any size, but takes numbers only as far as they are exact. */
function nodePosition(position: number): number | bigint {
  return Number.isSafeInteger(position) ? position : BigInt(position);
}
