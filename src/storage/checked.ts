/** Leads from the thin {@link StorageDriver} to the complete {@link Storage}. */
import { isPromise, type MaybePromise } from '../base/async.ts';
import { BlockError, unsupported } from '../base/error.ts';
import { MAX_SIZE } from '../base/offset.ts';
import type {
  DebugEvent,
  Extent,
  KernelCopy,
  Limits,
  Preallocation,
  Storage,
  StorageDriver,
  ZeroFlags,
} from './storage.ts';

/** Largest piece of zeroes written as data. */
const ZERO_CHUNK = 1048576;

let zeroes: Uint8Array | undefined;

/** A shared read-only buffer of zeroes, `ZERO_CHUNK` bytes. */
function zeroChunk(): Uint8Array {
  zeroes ??= new Uint8Array(ZERO_CHUNK);
  return zeroes;
}

/** How {@link CheckedStorage} presents a driver. */
export interface CheckedOptions {
  /** Name for messages. */
  readonly name: string;
  readonly readOnly: boolean;
}

/**
 * The complete interface over one driver: ranges are checked, transfers are split to the driver's limits, operations
 * that the driver lacks are emulated or harmlessly left out.
 */
export class CheckedStorage implements Storage {
  readonly name: string;
  readonly readOnly: boolean;
  /** The thin driver; for `copyFrom` between two storages. */
  readonly driver: StorageDriver;
  readonly debugEvent: ((event: DebugEvent) => void) | undefined;
  #owners = 1;

  constructor(driver: StorageDriver, options: CheckedOptions) {
    this.driver = driver;
    this.name = options.name;
    this.readOnly = options.readOnly;
    this.debugEvent = driver.debugEvent && ((event) => driver.debugEvent?.(event));
  }

  get limits(): Limits {
    return this.driver.limits;
  }

  size(): number {
    return this.driver.size();
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    this.#checkRange('read', offset, into.length);
    if (offset + into.length > this.size()) throw this.#outOfRange('read', offset, into.length);
    if (into.length === 0) return;
    return this.#split(into.length, this.limits.maxTransfer, (at, length) =>
      this.driver.read(offset + at, length === into.length ? into : into.subarray(at, at + length)),
    );
  }

  readPadded(offset: number, into: Uint8Array): MaybePromise<void> {
    this.#checkRange('read', offset, into.length);
    const available = Math.max(0, Math.min(into.length, this.size() - offset));
    into.fill(0, available);
    if (available > 0) return this.read(offset, available === into.length ? into : into.subarray(0, available));
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    this.#checkRange('write', offset, from.length);
    const driver = this.driver;
    if (this.readOnly || !driver.write) throw this.#refused('write');
    if (from.length === 0) return;
    return this.#split(from.length, this.limits.maxTransfer, (at, length) =>
      driver.write?.(offset + at, length === from.length ? from : from.subarray(at, at + length)),
    );
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags = {}): MaybePromise<void> {
    this.#checkRange('write zeroes', offset, length);
    if (this.readOnly || !this.driver.write) throw this.#refused('write zeroes');
    if (length === 0) return;
    if (!this.driver.writeZeroes) return this.#zeroesAsData(offset, length);
    return this.#split(length, this.limits.maxWriteZeroes, (at, part) => this.#zero(offset + at, part, flags));
  }

  #zero(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    try {
      const done = this.driver.writeZeroes?.(offset, length, flags);
      if (!isPromise(done)) return;
      return done.catch((error: unknown) => this.#zeroFallback(error, offset, length));
    } catch (error) {
      return this.#zeroFallback(error, offset, length);
    }
  }

  #zeroFallback(error: unknown, offset: number, length: number): MaybePromise<void> {
    if (!(error instanceof BlockError) || error.kind !== 'unsupported') throw error;
    return this.#zeroesAsData(offset, length);
  }

  async #zeroesAsData(offset: number, length: number): Promise<void> {
    const chunk = zeroChunk();
    for (let at = 0; at < length; at += chunk.length) {
      await this.write(offset + at, chunk.subarray(0, Math.min(chunk.length, length - at)));
    }
  }

  discard(offset: number, length: number): MaybePromise<void> {
    this.#checkRange('discard', offset, length);
    if (this.readOnly) throw this.#refused('discard');
    const end = Math.min(offset + length, this.size());
    if (end <= offset) return;
    return this.#split(end - offset, this.limits.maxDiscard, (at, part) => this.driver.discard?.(offset + at, part));
  }

  status(offset: number, length: number): MaybePromise<Extent> {
    this.#checkRange('status', offset, length);
    const available = this.size() - offset;
    if (available <= 0) return { length: Math.max(1, length), kind: 'hole' };
    const limit = Math.min(length, available);
    return this.driver.status?.(offset, limit) ?? { length: limit, kind: 'data' };
  }

  copyFrom(source: Storage, from: number, to: number, length: number, how: KernelCopy = 'copy'): MaybePromise<number> {
    if (this.readOnly || !(source instanceof CheckedStorage) || !this.driver.copyFrom) return 0;
    this.#checkRange('copy', to, length);
    source.#checkRange('copy', from, length);
    return this.driver.copyFrom(source.driver, from, to, Math.min(length, source.size() - from), how);
  }

  /** True if parts of `source` can become parts of this storage that take no space of their own. Changes nothing. */
  sharesWith(source: Storage): boolean {
    if (this.readOnly || !(source instanceof CheckedStorage)) return false;
    return this.driver.sharesWith?.(source.driver) ?? false;
  }

  truncate(size: number, preallocation: Preallocation = 'off'): MaybePromise<void> {
    this.#checkRange('truncate', 0, size);
    if (this.readOnly) throw this.#refused('truncate');
    if (!this.driver.truncate) throw unsupported('Image format driver does not support resize');
    return this.driver.truncate(size, preallocation);
  }

  flush(): MaybePromise<void> {
    if (!this.readOnly) return this.driver.flush?.();
  }

  retain(): void {
    this.#owners++;
  }

  close(): MaybePromise<void> {
    if (this.#owners === 0) return;
    this.#owners--;
    if (this.#owners === 0) return this.driver.close();
  }

  allocatedSize(): MaybePromise<number | undefined> {
    return this.driver.allocatedSize?.();
  }

  /** Runs `move` over pieces of at most the largest transfer. */
  #split(
    length: number,
    limit: number | undefined,
    move: (at: number, length: number) => MaybePromise<void>,
  ): MaybePromise<void> {
    if (limit === undefined || limit === 0 || length <= limit) return move(0, length);
    const from = (start: number): MaybePromise<void> => {
      for (let at = start; at < length; at += limit) {
        const step = move(at, Math.min(limit, length - at));
        if (isPromise(step)) return step.then(() => from(at + limit));
      }
    };
    return from(0);
  }

  #at(offset: number, length?: number): { filename: string; offset: number; length?: number } {
    return { filename: this.name, offset, ...(length === undefined ? {} : { length }) };
  }

  #checkRange(access: string, offset: number, length: number): void {
    if (this.#owners === 0) throw new BlockError('internal', `${this.name} is closed`, { context: { access } });
    const fits = offset >= 0 && length >= 0 && offset + length <= MAX_SIZE;
    if (!fits || !Number.isInteger(offset) || !Number.isInteger(length)) throw this.#outOfRange(access, offset, length);
  }

  #outOfRange(access: string, offset: number, length: number): BlockError {
    return new BlockError('out-of-range', `${access} of ${length} bytes at ${offset} is outside ${this.name}`, {
      context: { ...this.#at(offset, length), access },
      posix: { code: 'EIO', text: 'Input/output error' },
    });
  }

  #refused(access: string): BlockError {
    return new BlockError('read-only', `${this.name} is read-only`, {
      context: { filename: this.name, access },
      posix: { code: 'EPERM', text: 'Operation not permitted' },
    });
  }
}
