/** What a format driver says about guest bytes: where they are, not what they are. */
import type { MaybePromise } from '../base/async.ts';
import type { Storage } from '../storage/storage.ts';

/** Where a run of guest bytes is. `length` is at least 1 and never more than was asked for. */
export type Mapping =
  | {
      /** The bytes are at `offset` of `storage`; past its end they are zeroes. */
      readonly kind: 'data';
      readonly length: number;
      readonly storage: Storage;
      readonly offset: number;
      /** Ask the storage for holes: it knows better than the format (raw, preallocated metadata). */
      readonly sparse?: boolean;
    }
  | {
      /** Zeroes that the format records itself; they hide the backing image. */
      readonly kind: 'zero';
      readonly length: number;
      /** Space that is kept for the range, if any. */
      readonly storage?: Storage;
      readonly offset?: number;
    }
  | {
      /** Nothing here: the backing image's bytes, or zeroes if there is none. */
      readonly kind: 'unallocated';
      readonly length: number;
      /** Space that is kept for the range, if any (subclusters). */
      readonly storage?: Storage;
      readonly offset?: number;
    }
  | {
      /** Only the driver can decode these: `readSpecial`. */
      readonly kind: 'special';
      readonly length: number;
      readonly compressed: boolean;
      readonly encrypted: boolean;
      /** Where the stored bytes start, when that means something to a person. */
      readonly storage?: Storage;
      readonly offset?: number;
    };

/** Room for guest bytes, made by `Writing.allocate`. */
export interface Allocation {
  /** First guest byte of the room; at most the offset asked for. */
  readonly start: number;
  /** Bytes of room; reaches beyond the offset asked for, perhaps beyond what was asked for. */
  readonly length: number;
  readonly storage: Storage;
  /** Where guest byte `start` goes. */
  readonly offset: number;
  /**
   * The room is new: the caller fills all of it, with the old guest content around what it writes. In rooms that are
   * not new the caller writes only its own bytes.
   */
  readonly fresh: boolean;
  /** A fresh room that already reads as zeroes, so zeroes need not be written. */
  readonly zeroed?: boolean;
  /** Changes guest bytes into stored bytes (encryption). Whole multiples of the node's request alignment. */
  encode?(guestOffset: number, bytes: Uint8Array): MaybePromise<Uint8Array>;
  /** Called when the bytes are written: makes the room part of the image. */
  commit?(): MaybePromise<void>;
  /** Called instead of `commit` when writing failed: gives the room back. */
  abort?(): MaybePromise<void>;
}
