/** One persistent bitmap: what is known of it, and what its entry on the disk says of it. */
import { BlockError, invalidImage } from '../../../base/error.ts';
import { divideUp } from '../../../base/offset.ts';
import type { BitmapBits } from './bits.ts';
import { type BitmapEntry, BitmapFlag, MAX_BITMAP_BYTES } from './directory.ts';

/** One bitmap. */
export interface Bitmap {
  readonly name: string;
  /** The name as it is stored. */
  readonly nameBytes: Uint8Array;
  readonly granularityBits: number;
  enabled: boolean;
  /** Absent: the bitmap was in use when its image was written last, so its bits mean nothing. */
  readonly bits?: BitmapBits;
  /** The entry on the disk; absent: not stored yet. */
  stored?: BitmapEntry;
}

/** True if it is known what the bitmap holds. */
export function isUsable(bitmap: Bitmap): bitmap is Bitmap & { readonly bits: BitmapBits } {
  return bitmap.bits !== undefined;
}

/** True if the entry says that the bitmap may miss changes. */
export function isInUse(entry: BitmapEntry): boolean {
  return (entry.flags & BitmapFlag.inUse) !== 0;
}

/** True if whoever reads the entry takes the bitmap for complete. */
export function claimsToRecord(entry: BitmapEntry): boolean {
  return (entry.flags & BitmapFlag.auto) !== 0 && !isInUse(entry);
}

/** True if the entry on the disk does not say yet that the bitmap is in use. */
export function isUnmarked({ stored }: Bitmap): boolean {
  return stored !== undefined && !isInUse(stored);
}

/** The error for a bitmap whose content is not known. */
export function inconsistent(name: string): BlockError {
  return invalidImage(`Bitmap '${name}' is inconsistent and cannot be used`, {
    context: { bitmap: name },
    hint: { about: 'remove-bitmap' },
  });
}

/**
 * True if the bits are more than a bitmap may have.
 * @param granularity guest bytes for each bit.
 * @param size guest bytes.
 */
export function isTooLarge(granularity: number, size: number): boolean {
  return divideUp(divideUp(size, granularity), 8) > MAX_BITMAP_BYTES;
}

/** The error for a bitmap that grew too large with its image. */
export function breaksLimits(name: string): BlockError {
  const problem = 'Too much space will be occupied by the bitmap. Use larger granularity';
  return new BlockError('limit', `Bitmap '${name}' doesn't satisfy the constraints: ${problem}`);
}
