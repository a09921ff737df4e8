/** An open file or device under Node that is written to. */
import { fdatasync, fdatasyncSync, fstatSync, ftruncateSync, write as writeFile, writeSync } from 'node:fs';
import { isPromise, type MaybePromise, andThen } from '../../base/async.ts';
import { BlockError, invalidArgument, unsupported } from '../../base/error.ts';
import { isAligned, MiB } from '../../base/offset.ts';
import { systemError } from '../../base/posix.ts';
import type { KernelCopy, Preallocation, StorageDriver, ZeroFlags } from '../../storage/storage.ts';
import { deviceDiscard, deviceZero } from './device.ts';
import { pageArray } from './fileBuffers.ts';
import { libcError, nodeError } from './fileErrors.ts';
import { mayFlushElsewhere, mayUseThreads, soon } from './limits.ts';
import type { FileSpace } from './sparse.ts';
import { milliseconds, WriteMode } from './writeMode.ts';

import { hasCode, ReadOnlyFile } from './fileHandle.ts';

/** Bytes in one write of preallocation `full`. */
const FILL_CHUNK = MiB;
/** Bytes after which a file that is going to be durable is written to the medium, beside what comes next. */
const EARLY = 8 * MiB;
/** Bytes that a file gets at once when it stops being empty. */
const FIRST_BLOCK = 4096;

/** A file opened for reading and writing. */
export class WritableFile extends ReadOnlyFile {
  #changed = false;
  /** End of everything that was asked to be written: a write that is under way may have made the file longer already. */
  #asked = 0;
  /** Copies that are under way; what they do not reach is no part of the file. */
  readonly #copying = new Set<{ readonly end: number }>();
  readonly #mode = new WriteMode();
  /** Bytes that were written since the medium was told last. */
  #unwritten = 0;
  /** Writing to the medium that was started and does not end with the call. */
  #early: Promise<void> | undefined;
  /** The first error of `flush`: the kernel reports lost writes only once, but the data is gone for good. */
  #lost: Error | undefined;

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    this.#begin(offset + from.length);
    this.#startEarly(from.length);
    const quick = this.kind === 'file' && !this.opened.synchronous && this.#mode.atOnce(from.length);
    if (quick) return this.#writeAll(offset, from);
    return mayUseThreads() ? this.#writeLater(offset, from) : soon(() => this.#writeAll(offset, from));
  }

  #writeAll(offset: number, from: Uint8Array): void {
    const started = milliseconds();
    if (!this.opened.direct && this.kind === 'file') this.space?.allocate(offset, from.length);
    for (let at = 0; at < from.length; ) {
      at += this.#writeNow(offset + at, from, at);
      // At once: where the rest fails, for instance since the disk is full, this much is in the file nevertheless.
      this.#grown(offset + at);
    }
    this.#mode.took(started);
  }

  #writeNow(position: number, from: Uint8Array, at: number): number {
    if (!Number.isSafeInteger(position)) return this.#writeFar(position, from.subarray(at));
    const fd = this.fdFor(position, from, at);
    try {
      return writeSync(fd, from, at, from.length - at, position);
    } catch (error) {
      if (hasCode(error, 'EINTR') || this.leaveDirect(fd, error)) return this.#writeNow(position, from, at);
      throw nodeError(error, undefined, this.context('write', position, from.length - at));
    }
  }

  /** Node would write at the file position instead: it drops positions that are not safe integers. */
  #writeFar(position: number, from: Uint8Array): number {
    const { libc, fd } = this.opened;
    const context = this.context('write', position, from.length);
    if (!libc) throw systemError('EFBIG', undefined, context);
    const count = libc.write(fd, from, position);
    if (count < 0) throw libcError(count, undefined, context);
    return count;
  }

  #writeLater(offset: number, from: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      let at = 0;
      let fd = -1;
      const advance = (count: number) => {
        at += count;
        this.#grown(offset + at);
        if (at < from.length) return next();
        resolve();
      };
      const next = (): void => {
        if (!Number.isSafeInteger(offset + at)) return advance(this.#writeFar(offset + at, from.subarray(at)));
        fd = this.fdFor(offset + at, from, at);
        writeFile(fd, from, at, from.length - at, offset + at, finished);
      };
      const finished = (error: NodeJS.ErrnoException | null, count: number) => {
        try {
          if (!error) advance(count);
          else if (error.code === 'EINTR' || this.leaveDirect(fd, error)) next();
          else reject(nodeError(error, undefined, this.context('write', offset + at, from.length - at)));
        } catch (thrown) {
          reject(thrown);
        }
      };
      next();
    });
  }

  /** Something is going to be written up to `end`. */
  #begin(end: number): void {
    this.#changed = true;
    this.#asked = Math.max(this.#asked, end);
  }

  /** Starts writing to the medium early, so that the flush that is going to come has less to wait for. */
  #startEarly(length: number): void {
    const { libc, fd, unsafe, synchronous, direct } = this.opened;
    if (unsafe || synchronous || direct || this.kind !== 'file' || !libc) return;
    this.#unwritten += length;
    if (this.#unwritten < EARLY || this.#early || !mayUseThreads()) return;
    this.#unwritten = 0;
    const done = (): void => {
      this.#early = undefined;
    };
    // A hint: what cannot be written is told by the flush.
    this.#early = libc.writeBack(fd, 0, 0).then(done, done);
  }

  override close(): MaybePromise<void> {
    const close = (): MaybePromise<void> => super.close();
    // The number of the descriptor is not to become that of another file under the call.
    return this.#early ? this.#early.then(close) : close();
  }

  #grown(end: number): void {
    if (this.kind === 'file' && end > this.currentSize) this.currentSize = end;
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    const { space } = this;
    if (!space || (this.kind !== 'file' && this.kind !== 'block-device')) throw this.#cannotZero(offset, length);
    this.#begin(offset + length);
    const done = (zeroed: boolean) => {
      if (!zeroed) throw this.#cannotZero(offset, length);
      this.#grown(offset + length);
    };
    const unmap = flags.unmap === true && this.opened.unmap;
    if (this.kind === 'block-device') return andThen(this.#zeroDevice(space, offset, length, unmap), done);
    if (!unmap) return andThen(space.zero(offset, length), done);
    return andThen(this.#zeroByHole(space, offset, length), done);
  }

  #cannotZero(offset: number, length: number): BlockError {
    return systemError('ENOTSUP', undefined, this.context('write zeroes', offset, length));
  }

  /** A hole inside the file, and growth without content beyond its end. */
  #zeroByHole(space: FileSpace, offset: number, length: number): MaybePromise<boolean> {
    const inside = Math.min(offset + length, this.currentSize) - offset;
    return andThen(inside <= 0 || space.punch(offset, inside), (punched) => {
      if (!punched) return space.zero(offset, length);
      if (offset + length > this.currentSize) this.#growTo(offset + length);
      return true;
    });
  }

  async #zeroDevice(space: FileSpace, offset: number, length: number, unmap: boolean): Promise<boolean> {
    const { libc, fd } = this.opened;
    const sector = this.limits.writeZeroesAlignment ?? 512;
    if (!libc || !isAligned(offset, sector) || !isAligned(length, sector)) return false;
    if (unmap && (await space.punch(offset, length))) return true;
    return (await deviceZero(libc, fd, offset, length)) >= 0;
  }

  /** Gives space back where that is wanted; a hint, so that it never fails for lack of support. */
  discard(offset: number, length: number): MaybePromise<void> {
    const { space } = this;
    if (!space || !this.opened.unmap) return;
    if (this.kind === 'file') {
      const ignored = space.punch(offset, length);
      return isPromise(ignored) ? ignored.then(() => undefined) : undefined;
    }
    const { libc, fd } = this.opened;
    if (this.kind !== 'block-device' || !libc) return;
    return deviceDiscard(libc, fd, offset, length).then(() => undefined);
  }

  copyFrom(source: StorageDriver, from: number, to: number, length: number, how: KernelCopy): MaybePromise<number> {
    if (!this.space || this.kind !== 'file' || !(source instanceof ReadOnlyFile)) return 0;
    const fd = source.copySource;
    if (fd === undefined || length === 0) return 0;
    this.#changed = true;
    const request = { end: to + length };
    this.#copying.add(request);
    const done = this.space[how](fd, from, to, length).then((count) => {
      if (count > 0) this.#begin(to + count);
      this.#grown(count > 0 ? to + count : 0);
      return count;
    });
    return done.finally(() => this.#copying.delete(request));
  }

  sharesWith(source: StorageDriver): boolean {
    if (!this.space || this.kind !== 'file' || !(source instanceof ReadOnlyFile)) return false;
    return source.copySource !== undefined && this.space.sharesWith(source.copySource);
  }

  truncate(size: number, preallocation: Preallocation): MaybePromise<void> {
    if (preallocation === 'metadata') {
      throw unsupported('Unsupported preallocation mode: metadata', {
        context: this.context('truncate'),
      });
    }
    if (this.kind !== 'file' && this.kind !== 'fifo') return this.#keepDeviceSize(size);
    if (preallocation === 'off' || size === this.currentSize) {
      const empty = this.currentSize === 0;
      if (size > this.currentSize) this.#growTo(size);
      else this.#setSize(size);
      return empty && size > 0 && this.kind === 'file' ? this.#allocateStart() : undefined;
    }
    if (size < this.currentSize) {
      throw invalidArgument('Preallocation can only be used for growing images', {
        context: this.context('truncate'),
        posix: { code: 'ENOTSUP', text: 'Operation not supported' },
      });
    }
    return this.#preallocate(size, preallocation);
  }

  /** Images use as much of a device as they need. */
  #keepDeviceSize(size: number): void {
    if (size <= this.currentSize) return;
    throw unsupported('Cannot grow device files', { context: this.context('truncate') });
  }

  /** Makes the file longer, and never cuts off what a write that is under way has put behind the new end. */
  #growTo(size: number): void {
    let end = Math.max(size, this.#asked);
    for (const copy of this.#copying) end = Math.max(end, copy.end);
    this.#setSize(this.kind === 'file' ? end : size);
  }

  #setSize(size: number): void {
    const { fd, libc } = this.opened;
    const context = this.context('truncate', size);
    this.#changed = true;
    try {
      if (Number.isSafeInteger(size)) ftruncateSync(fd, size);
      else {
        const result = libc ? libc.truncate(fd, size) : undefined;
        if (result === undefined) throw systemError('EFBIG', 'Could not resize file', context);
        if (result < 0) throw libcError(result, 'Could not resize file', context);
      }
    } catch (error) {
      throw nodeError(error, 'Could not resize file', context);
    }
    if (size < this.currentSize) {
      this.space?.forget();
      this.#asked = size;
    }
    this.currentSize = size;
  }

  /** The first block of a file that was empty is allocated: a hole does not show how direct I/O has to be aligned. */
  async #allocateStart(): Promise<void> {
    try {
      await this.#fill(0, Math.min(FIRST_BLOCK, this.currentSize));
    } catch {
      // Whoever needs the space is told when there is none; the size alone has been set.
    }
  }

  async #preallocate(size: number, how: 'falloc' | 'full'): Promise<void> {
    const old = this.currentSize;
    let failure = 'Could not preallocate new data';
    try {
      if (how === 'falloc' && this.space && (await this.space.reserve(old, size - old))) {
        this.currentSize = size;
        return;
      }
      failure = 'Could not write zeros for preallocation';
      // A size beyond what the file system can hold fails at once and not when the disk is full.
      if (how === 'full') this.#growTo(size);
      await this.#fill(old, size);
    } catch (thrown) {
      this.currentSize = Math.max(this.currentSize, fstatSync(this.opened.fd).size);
      this.#setSize(old);
      if (!(thrown instanceof BlockError) || thrown.context.access === 'truncate') throw thrown;
      throw thrown.reworded(`${failure}: ${thrown.strerror}`);
    }
  }

  async #fill(start: number, end: number): Promise<void> {
    const zeroes = pageArray(Math.min(FILL_CHUNK, end - start));
    for (let at = start; at < end; at += zeroes.length) {
      await this.write(at, zeroes.subarray(0, Math.min(zeroes.length, end - at)));
    }
  }

  flush(): MaybePromise<void> {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.opened.unsafe || !this.#changed) return;
    this.#changed = false;
    return this.#sync().catch((error: unknown) => {
      // Pipes and the like have nothing to make durable.
      if (hasCode(error, 'EINVAL')) return;
      const lost = nodeError(error, undefined, this.context('flush'));
      this.#lost = lost instanceof Error ? lost : new Error(String(lost));
      throw this.#lost;
    });
  }

  #sync(): Promise<void> {
    const { fd } = this.opened;
    if (!mayFlushElsewhere()) return soon(() => fdatasyncSync(fd));
    return new Promise((resolve, reject) => {
      fdatasync(fd, (error) => (error ? reject(error) : resolve()));
    });
  }
}
