/**
 * A storage that fails on demand and remembers what was written: for tests of error paths and of what is left after a
 * crash. The disk as of any moment can be rebuilt with {@link replay}.
 */
import { isPromise, type MaybePromise } from '../base/async.ts';
import { BlockError, ioError, unsupported } from '../base/error.ts';
import { SECTOR } from '../base/offset.ts';
import { MemoryDriver } from './memory.ts';
import type { Extent, Limits, Preallocation, StorageDriver, ZeroFlags } from './storage.ts';

/** Operations that can fail. */
export type FaultOperation = 'read' | 'write' | 'write-zeroes' | 'discard' | 'status' | 'truncate' | 'flush';

/** Which operations fail, and how. */
export interface Fault {
  /** Absent: all operations. */
  readonly operation?: FaultOperation;
  /** Only operations that touch this range; `flush` touches none. */
  readonly offset?: number;
  /** Length of the range; default: to the end. */
  readonly length?: number;
  /** How many matching operations succeed first; default 0. */
  readonly after?: number;
  /** How many matching operations then fail; default: all. */
  readonly times?: number;
  /** Default: kind `io`. */
  readonly error?: BlockError;
}

/** One change, in the order in which changes were asked for. */
export type LogEntry =
  | { readonly operation: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly operation: 'write-zeroes' | 'discard'; readonly offset: number; readonly length: number }
  | { readonly operation: 'truncate'; readonly size: number }
  | { readonly operation: 'flush' };

/** Wraps a driver. Changes go through at once; the log holds those that succeeded. */
export class FaultDriver implements StorageDriver {
  /** Changes so far. */
  readonly log: LogEntry[] = [];
  readonly #inner: StorageDriver;
  #faults: { readonly fault: Fault; seen: number }[] = [];

  constructor(inner: StorageDriver) {
    this.#inner = inner;
  }

  /** Adds a fault. */
  inject(fault: Fault): void {
    this.#faults.push({ fault, seen: 0 });
  }

  /** Removes all faults. */
  heal(): void {
    this.#faults = [];
  }

  get limits(): Limits {
    return this.#inner.limits;
  }

  size(): number {
    return this.#inner.size();
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    this.#check('read', offset, into.length);
    return this.#inner.read(offset, into);
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    this.#check('write', offset, from.length);
    if (!this.#inner.write) throw new BlockError('read-only', 'the storage below is read-only');
    return this.#logged({ operation: 'write', offset, bytes: from.slice() }, this.#inner.write(offset, from));
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    this.#check('write-zeroes', offset, length);
    if (!this.#inner.writeZeroes) throw unsupported('the storage below cannot write zeroes');
    const done = this.#inner.writeZeroes(offset, length, flags);
    return this.#logged({ operation: 'write-zeroes', offset, length }, done);
  }

  discard(offset: number, length: number): MaybePromise<void> {
    this.#check('discard', offset, length);
    return this.#logged({ operation: 'discard', offset, length }, this.#inner.discard?.(offset, length));
  }

  status(offset: number, length: number): MaybePromise<Extent> {
    this.#check('status', offset, length);
    return this.#inner.status?.(offset, length) ?? { length, kind: 'data' };
  }

  truncate(size: number, preallocation: Preallocation): MaybePromise<void> {
    this.#check('truncate', size, 0);
    if (!this.#inner.truncate) throw unsupported('the storage below has a fixed size');
    return this.#logged({ operation: 'truncate', size }, this.#inner.truncate(size, preallocation));
  }

  flush(): MaybePromise<void> {
    this.#check('flush');
    return this.#logged({ operation: 'flush' }, this.#inner.flush?.());
  }

  close(): MaybePromise<void> {
    return this.#inner.close();
  }

  allocatedSize(): MaybePromise<number | undefined> {
    return this.#inner.allocatedSize?.();
  }

  #logged(entry: LogEntry, done: MaybePromise<void>): MaybePromise<void> {
    // A change counts from when it was asked for: from then on, some of it may be on the disk.
    const index = this.log.push(entry) - 1;
    if (!isPromise(done)) return;
    return done.catch((error: unknown) => {
      if (this.log[index] === entry) this.log.splice(index, 1);
      throw error;
    });
  }

  #check(operation: FaultOperation, offset?: number, length = 0): void {
    for (const entry of this.#faults) {
      const { fault } = entry;
      if (!matches(fault, operation, offset, length)) continue;
      const number = entry.seen++;
      const first = fault.after ?? 0;
      if (number < first || number >= first + (fault.times ?? Number.POSITIVE_INFINITY)) continue;
      throw fault.error ?? ioError({ operation });
    }
  }
}

function matches(fault: Fault, operation: FaultOperation, offset: number | undefined, length: number): boolean {
  if (fault.operation !== undefined && fault.operation !== operation) return false;
  if (fault.offset === undefined) return true;
  if (offset === undefined) return false;
  const end = fault.offset + (fault.length ?? Number.POSITIVE_INFINITY);
  return offset < end && offset + Math.max(1, length) > fault.offset;
}

/** What a crash does to the changes before it. */
export interface Crash {
  /** Changes that were asked for before the crash: a position in the log. */
  readonly cut: number;
  /** Which 512-byte sectors of the change just before the cut reached the disk; default: all. Counts from its start. */
  readonly torn?: (sector: number) => boolean;
  /** Which changes since the last flush did not reach the disk, by position in the log; default: none. */
  readonly lost?: (index: number) => boolean;
}

/** Position after the last flush before `cut`: changes from there on may be lost in a crash at `cut`. */
export function lastFlush(log: readonly LogEntry[], cut: number): number {
  for (let index = Math.min(cut, log.length) - 1; index >= 0; index--) {
    if (log[index]?.operation === 'flush') return index + 1;
  }
  return 0;
}

/**
 * The disk after a crash.
 * @param initial content before the first change of the log.
 */
export function replay(initial: Uint8Array, log: readonly LogEntry[], crash: Crash): MemoryDriver {
  const disk = new MemoryDriver(initial);
  const cut = Math.min(crash.cut, log.length);
  const durable = lastFlush(log, cut);
  for (let index = 0; index < cut; index++) {
    const entry = log[index];
    if (!entry || (index >= durable && crash.lost?.(index))) continue;
    if (index === cut - 1 && crash.torn && entry.operation === 'write') applyTorn(disk, entry, crash.torn);
    else apply(disk, entry);
  }
  return disk;
}

function apply(disk: MemoryDriver, entry: LogEntry): void {
  switch (entry.operation) {
    case 'write':
      return disk.write(entry.offset, entry.bytes);
    case 'write-zeroes':
      return disk.writeZeroes(entry.offset, entry.length, {});
    case 'discard':
      return disk.discard(entry.offset, Math.max(0, Math.min(entry.length, disk.size() - entry.offset)));
    case 'truncate':
      return disk.truncate(entry.size, 'off');
    case 'flush':
      return;
  }
}

/** Sectors count from the start of the disk, as those of a device: a write may start in the middle of one. */
function applyTorn(
  disk: MemoryDriver,
  entry: { readonly offset: number; readonly bytes: Uint8Array },
  arrives: (sector: number) => boolean,
): void {
  let at = 0;
  for (let sector = 0; at < entry.bytes.length; sector++) {
    const length = Math.min(SECTOR - ((entry.offset + at) % SECTOR), entry.bytes.length - at);
    if (arrives(sector)) disk.write(entry.offset + at, entry.bytes.subarray(at, at + length));
    at += length;
  }
}
