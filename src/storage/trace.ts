/** A storage that reports every operation before it is done: for finding out what a format does to its file. */
import type { MaybePromise } from '../base/async.ts';
import type { Extent, Limits, Preallocation, StorageDriver, ZeroFlags } from './storage.ts';

/** One operation on a storage. */
export interface TraceEvent {
  readonly operation:
    | 'read'
    | 'write'
    | 'write-zeroes'
    | 'discard'
    | 'status'
    | 'copy-from'
    | 'truncate'
    | 'flush'
    | 'close';
  /** First byte; the new size for `truncate`. Absent where there is no range. */
  readonly offset?: number;
  /** Length in bytes. */
  readonly length?: number;
}

/** One line about an event: `write 65536+4096`. */
export function describeEvent(event: TraceEvent): string {
  if (event.offset === undefined) return event.operation;
  return `${event.operation} ${event.offset}${event.length === undefined ? '' : `+${event.length}`}`;
}

/** Passes everything to another driver and reports it. Operations that the other lacks are lacking here as well. */
export class TraceDriver implements StorageDriver {
  readonly write?: NonNullable<StorageDriver['write']>;
  readonly writeZeroes?: NonNullable<StorageDriver['writeZeroes']>;
  readonly discard?: NonNullable<StorageDriver['discard']>;
  readonly status?: NonNullable<StorageDriver['status']>;
  readonly copyFrom?: NonNullable<StorageDriver['copyFrom']>;
  readonly truncate?: NonNullable<StorageDriver['truncate']>;
  readonly #inner: StorageDriver;
  readonly #report: (event: TraceEvent) => void;

  constructor(inner: StorageDriver, report: (event: TraceEvent) => void) {
    this.#inner = inner;
    this.#report = report;
    const write = inner.write?.bind(inner);
    const writeZeroes = inner.writeZeroes?.bind(inner);
    const discard = inner.discard?.bind(inner);
    const status = inner.status?.bind(inner);
    const copyFrom = inner.copyFrom?.bind(inner);
    const truncate = inner.truncate?.bind(inner);
    if (write) {
      this.write = (offset: number, from: Uint8Array): MaybePromise<void> => {
        report({ operation: 'write', offset, length: from.length });
        return write(offset, from);
      };
    }
    if (writeZeroes) {
      this.writeZeroes = (offset: number, length: number, flags: ZeroFlags): MaybePromise<void> => {
        report({ operation: 'write-zeroes', offset, length });
        return writeZeroes(offset, length, flags);
      };
    }
    if (discard) {
      this.discard = (offset: number, length: number): MaybePromise<void> => {
        report({ operation: 'discard', offset, length });
        return discard(offset, length);
      };
    }
    if (status) {
      this.status = (offset: number, length: number): MaybePromise<Extent> => {
        report({ operation: 'status', offset, length });
        return status(offset, length);
      };
    }
    if (copyFrom) {
      this.copyFrom = (source: StorageDriver, from: number, to: number, length: number): MaybePromise<number> => {
        report({ operation: 'copy-from', offset: to, length });
        return copyFrom(source instanceof TraceDriver ? source.#inner : source, from, to, length);
      };
    }
    if (truncate) {
      this.truncate = (size: number, preallocation: Preallocation): MaybePromise<void> => {
        report({ operation: 'truncate', offset: size });
        return truncate(size, preallocation);
      };
    }
  }

  get limits(): Limits {
    return this.#inner.limits;
  }

  size(): number {
    return this.#inner.size();
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    this.#report({ operation: 'read', offset, length: into.length });
    return this.#inner.read(offset, into);
  }

  flush(): MaybePromise<void> {
    this.#report({ operation: 'flush' });
    return this.#inner.flush?.();
  }

  close(): MaybePromise<void> {
    this.#report({ operation: 'close' });
    return this.#inner.close();
  }

  allocatedSize(): MaybePromise<number | undefined> {
    return this.#inner.allocatedSize?.();
  }
}
