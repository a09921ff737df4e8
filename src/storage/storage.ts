/**
 * Storage: an array of bytes with holes, whatever is behind it (a file, memory, a window of another storage, the
 * guest's view of an image). Two interfaces: {@link StorageDriver} is what an implementer writes, {@link Storage} is
 * what a caller uses; `checked.ts` leads from one to the other.
 */
import type { MaybePromise } from '../base/async.ts';

/** Alignments and transfer sizes in bytes; 0 or absence means "no limit". */
export interface Limits {
  /** Offsets and lengths of requests must be multiples of this. */
  readonly requestAlignment: number;
  /** Largest single transfer. */
  readonly maxTransfer?: number;
  /** Best transfer size. */
  readonly optimalTransfer?: number;
  /** Zeroing works best in multiples of this. */
  readonly writeZeroesAlignment?: number;
  /** Largest zeroing request. */
  readonly maxWriteZeroes?: number;
  /** Discarding works best in multiples of this. */
  readonly discardAlignment?: number;
  /** Largest discard request. */
  readonly maxDiscard?: number;
  /** Alignment of memory that is required. */
  readonly minMemoryAlignment?: number;
  /** Alignment of memory that is best. */
  readonly optimalMemoryAlignment?: number;
  /** Most buffers in one request. */
  readonly maxIov?: number;
}

/** How zeroes are to be written. */
export interface ZeroFlags {
  /** The range may be deallocated as long as it then reads as zeroes. */
  readonly unmap?: boolean;
}

/** A run of bytes of one nature. */
export interface Extent {
  /** Length in bytes, at least 1. */
  readonly length: number;
  /** `hole` reads as zeroes and takes no space; `data` is everything else. */
  readonly kind: 'data' | 'hole';
  /** Nothing is stored there: with `data` nobody promises zeroes either, with `hole` there is no place for them. */
  readonly absent?: boolean;
  /** Space is taken, and yet it reads as zeroes. Only with `data`. */
  readonly zeroes?: boolean;
}

/**
 * What a copy within the kernel may be: `share` leaves both files with the same blocks until one of them is written to;
 * `copy` moves bytes where that is not possible.
 */
export type KernelCopy = 'copy' | 'share';

/** How the space of a new or grown area is reserved. */
export type Preallocation = 'off' | 'metadata' | 'falloc' | 'full';

/**
 * What a protocol, a filter or a host implements. Callers guarantee: `0 <= offset`, whole numbers, ranges inside `size()` for
 * `read` and `status`, never concurrent overlapping writes. `write` and `writeZeroes` may grow the storage.
 * Operations that fail throw a `BlockError`.
 */
export interface StorageDriver {
  readonly limits: Limits;
  /** Size in bytes now. */
  size(): number;
  /** Fills all of `into`. */
  read(offset: number, into: Uint8Array): MaybePromise<void>;
  write?(offset: number, from: Uint8Array): MaybePromise<void>;
  /** Makes the range read as zeroes, cheaply; throws `unsupported` if that is not possible. */
  writeZeroes?(offset: number, length: number, flags: ZeroFlags): MaybePromise<void>;
  /** Gives the space back; what the range then reads as is not defined. */
  discard?(offset: number, length: number): MaybePromise<void>;
  /** The run at `offset`, at most `length` bytes; without it everything is data. */
  status?(offset: number, length: number): MaybePromise<Extent>;
  /**
   * Copies within the kernel from `source` (asked for its own identity); returns the bytes copied, 0 if this pair
   * cannot do it.
   */
  copyFrom?(source: StorageDriver, from: number, to: number, length: number, how: KernelCopy): MaybePromise<number>;
  /** True if parts of `source` can become parts of this storage that take no space of their own. Changes nothing. */
  sharesWith?(source: StorageDriver): boolean;
  truncate?(size: number, preallocation: Preallocation): MaybePromise<void>;
  flush?(): MaybePromise<void>;
  close(): MaybePromise<void>;
  /** Bytes that the storage takes on its medium, if known. */
  allocatedSize?(): MaybePromise<number | undefined>;
}

/** What a caller uses: every operation present, ranges checked, long requests split, missing operations emulated. */
export interface Storage {
  /** Name for messages, as the user knows it. */
  readonly name: string;
  readonly readOnly: boolean;
  readonly limits: Limits;
  /** Size in bytes now. */
  size(): number;
  /** Fills all of `into`; beyond the end is an `out-of-range` error. */
  read(offset: number, into: Uint8Array): MaybePromise<void>;
  /** Like `read`, but bytes beyond the end read as zeroes. */
  readPadded(offset: number, into: Uint8Array): MaybePromise<void>;
  write(offset: number, from: Uint8Array): MaybePromise<void>;
  writeZeroes(offset: number, length: number, flags?: ZeroFlags): MaybePromise<void>;
  discard(offset: number, length: number): MaybePromise<void>;
  /** The run at `offset`, at most `length` bytes and never beyond the end. */
  status(offset: number, length: number): MaybePromise<Extent>;
  /** Copies from another storage inside the kernel; returns the bytes copied, 0 if that cannot be done here. */
  copyFrom(source: Storage, from: number, to: number, length: number, how?: KernelCopy): MaybePromise<number>;
  truncate(size: number, preallocation?: Preallocation): MaybePromise<void>;
  flush(): MaybePromise<void>;
  /** Releases the storage; a second call does nothing. */
  close(): MaybePromise<void>;
  /** Bytes that the storage takes on its medium, if known. */
  allocatedSize(): MaybePromise<number | undefined>;
}

/** Bytes `[offset, offset + length)` of a storage; those that it does not have are zeroes. */
export async function readAt(storage: Storage, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await storage.readPadded(offset, bytes);
  return bytes;
}
