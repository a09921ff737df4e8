/** What a format driver says about guest bytes: where they are, not what they are. */
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
