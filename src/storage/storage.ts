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
  /** Longest transfer that pays where several are under way: the bytes of all of them stay in the processor's cache. */
  readonly quickTransfer?: number;
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
  /** Requests take a journey, however short they are: many at a time pay. Shown by nobody. */
  readonly distant?: boolean;
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
 * What is about to be done, or was done, above a storage. The names are those of the real tool's `blkdebug` filter
 * (docs/devel/testing/blkdebug), whose rules wait for them; but `flush_asked`: the next flush is one that somebody asked for,
 * and not for the order of a format's own writes.
 */
export type DebugEvent =
  | 'cluster_alloc'
  | 'cluster_alloc_bytes'
  | 'cluster_alloc_space'
  | 'cluster_free'
  | 'cor_write'
  | 'cow_read'
  | 'cow_write'
  | 'empty_image_prepare'
  | 'flush_asked'
  | 'flush_to_disk'
  | 'flush_to_os'
  | 'l1_grow_activate_table'
  | 'l1_grow_alloc_table'
  | 'l1_grow_write_table'
  | 'l1_shrink_free_l2_clusters'
  | 'l1_shrink_write_table'
  | 'l1_update'
  | 'l2_alloc_cow_read'
  | 'l2_alloc_write'
  | 'l2_load'
  | 'l2_update'
  | 'l2_update_compressed'
  | 'none'
  | 'pwritev'
  | 'pwritev_done'
  | 'pwritev_rmw_after_head'
  | 'pwritev_rmw_after_tail'
  | 'pwritev_rmw_head'
  | 'pwritev_rmw_tail'
  | 'pwritev_zero'
  | 'read_aio'
  | 'read_backing_aio'
  | 'read_compressed'
  | 'refblock_alloc'
  | 'refblock_alloc_hookup'
  | 'refblock_alloc_switch_table'
  | 'refblock_alloc_write'
  | 'refblock_alloc_write_blocks'
  | 'refblock_alloc_write_table'
  | 'refblock_load'
  | 'refblock_update'
  | 'refblock_update_part'
  | 'reftable_grow'
  | 'reftable_load'
  | 'reftable_update'
  | 'vmstate_load'
  | 'vmstate_save'
  | 'write_aio'
  | 'write_compressed';

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
  /** Reads what has not been read, where that is what checksums are about; throws if one is wrong. */
  verify?(): Promise<void>;
  close(): MaybePromise<void>;
  /** Bytes that the storage takes on its medium, if known. */
  allocatedSize?(): MaybePromise<number | undefined>;
  /** Is told what happens above, for tests of errors; absent nearly everywhere. */
  debugEvent?(event: DebugEvent): void;
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
  /** One more owner: the storage is released when each has closed it. */
  retain(): void;
  /** Releases the storage; further calls do nothing. */
  close(): MaybePromise<void>;
  /** Bytes that the storage takes on its medium, if known. */
  allocatedSize(): MaybePromise<number | undefined>;
  /** Tells the storage what is about to be done; absent where that means nothing, which is nearly everywhere. */
  readonly debugEvent?: ((event: DebugEvent) => void) | undefined;
}

/** Bytes `[offset, offset + length)` of a storage; those that it does not have are zeroes. */
export async function readAt(storage: Storage, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await storage.readPadded(offset, bytes);
  return bytes;
}
