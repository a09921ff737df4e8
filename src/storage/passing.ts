/** A storage in front of another one, for filters: all requests go on as they are, but for those that a subclass changes. */
import type { MaybePromise } from '../base/async.ts';
import type { Extent, Limits, Preallocation, Storage, StorageDriver, ZeroFlags } from './storage.ts';

/** Passes all requests on. */
export class PassingStorage implements StorageDriver {
  protected readonly below: Storage;

  constructor(below: Storage) {
    this.below = below;
  }

  /** Discards are best as below; how zeroes are written is not handed up. */
  get limits(): Limits {
    const { writeZeroesAlignment: _, maxWriteZeroes: __, ...kept } = this.below.limits;
    return kept;
  }

  size(): number {
    return this.below.size();
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    return this.below.read(offset, into);
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    return this.below.write(offset, from);
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    return this.below.writeZeroes(offset, length, flags);
  }

  discard(offset: number, length: number): MaybePromise<void> {
    return this.below.discard(offset, length);
  }

  status(offset: number, length: number): MaybePromise<Extent> {
    return this.below.status(offset, length);
  }

  truncate(size: number, preallocation: Preallocation): MaybePromise<void> {
    return this.below.truncate(size, preallocation);
  }

  flush(): MaybePromise<void> {
    return this.below.flush();
  }

  /** What is below belongs to the node. */
  close(): MaybePromise<void> {}

  allocatedSize(): MaybePromise<number | undefined> {
    return this.below.allocatedSize();
  }
}
