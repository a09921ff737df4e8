/** What an image does with each of its extents, and extents without tables: stored as they are, or not at all. */
import type { MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
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
  /** Undefined where nothing is stored. */
  readonly storage: Storage | undefined;
  /** Type in the extent line, empty for an image of one file. */
  readonly type: string;
  map(offset: number, length: number): MaybePromise<Mapping>;
  readSpecial?(offset: number, into: Uint8Array): Promise<void>;
  /** Where the compressed grain of a guest byte begins in the file. */
  placeOf?(offset: number): MaybePromise<number>;
  /** Place of the table for a guest byte, 0 if there is none, and the guest bytes that a table stands for. */
  tableOf?(offset: number): MaybePromise<{ readonly table: number; readonly coverage: number }>;
  /** Finds or makes room, as {@link Allocation} says; absent: nothing can be written. */
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

/** An extent without a file: zeroes, or a place that nobody may look at. */
export class EmptyExtent implements Extent {
  readonly bytes: number;
  readonly grainBytes = 0;
  readonly compressed = false;
  readonly zeroedGrains = false;
  readonly storage = undefined;
  readonly type: string;
  readonly #refuse: ((text: string) => void) | undefined;
  #refused = false;

  /** @param refuse says why nothing can be read; undefined: zeroes are read. */
  constructor(type: string, bytes: number, refuse?: (text: string) => void) {
    this.type = type;
    this.bytes = bytes;
    this.#refuse = refuse;
  }

  map(_offset: number, length: number): Mapping {
    if (!this.#refuse) return { kind: 'zero', length };
    return { kind: 'special', length, compressed: false, encrypted: false };
  }

  async readSpecial(offset: number): Promise<void> {
    const problem = 'The descriptor does not allow access to this extent (NOACCESS)';
    // The place of an error is looked for with more reads.
    if (!this.#refused) this.#refuse?.(problem);
    this.#refused = true;
    throw new BlockError('denied', problem, { context: { access: 'read', offset } });
  }

  flush(): void {}
}
