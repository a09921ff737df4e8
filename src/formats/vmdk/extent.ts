/** What an image does with each of its extents, and extents whose bytes are stored as they are. */
import type { MaybePromise } from '../../base/async.ts';
import type { Allocation, Mapping } from '../../block/driver.ts';
import type { Storage } from '../../storage/storage.ts';

/** A part of an image. Offsets are guest offsets within the extent. */
export interface Extent {
  /** Guest bytes. */
  readonly bytes: number;
  /** Bytes that are allocated as one; 0 for extents without a table. */
  readonly grainBytes: number;
  readonly compressed: boolean;
  /** Zeroes can be recorded in the table. */
  readonly zeroedGrains: boolean;
  readonly storage: Storage;
  /** Type in the extent line, empty for an image of one file. */
  readonly type: string;
  map(offset: number, length: number): MaybePromise<Mapping>;
  readSpecial?(offset: number, into: Uint8Array): Promise<void>;
  /** Where the compressed grain of a guest byte begins in the file. */
  placeOf?(offset: number): MaybePromise<number>;
  /** Finds or makes room, as {@link Allocation} says; absent: read-only. */
  allocate?(offset: number, length: number): MaybePromise<Allocation>;
  /** Makes whole grains (or the last part of one) read as zeroes. */
  writeZeroes?(offset: number, length: number): Promise<void>;
  /** Writes cached tables and makes them durable. */
  flush(): MaybePromise<void>;
  /** Completes the file at the end of writing. */
  finish?(): Promise<void>;
}

/** A flat extent: a window of a file. */
export class FlatExtent implements Extent {
  readonly bytes: number;
  readonly grainBytes = 0;
  readonly compressed = false;
  readonly zeroedGrains = false;
  readonly storage: Storage;
  readonly type: string;
  readonly #offset: number;

  /** @param offset first byte in `storage`. */
  constructor(storage: Storage, type: string, offset: number, bytes: number) {
    this.storage = storage;
    this.type = type;
    this.bytes = bytes;
    this.#offset = offset;
  }

  map(offset: number, length: number): Mapping {
    return { kind: 'data', length, storage: this.storage, offset: this.#offset + offset, sparse: true };
  }

  allocate(offset: number, length: number): Allocation {
    return { start: offset, length, storage: this.storage, offset: this.#offset + offset, fresh: false };
  }

  flush(): MaybePromise<void> {
    return this.storage.flush();
  }
}
