/** Bitmap tables: where the bits of stored bitmaps are. */
import { invalidImage } from '../../../base/error.ts';
import { BitmapBits, piecesFor } from './bits.ts';
import type { BitmapEntry } from './directory.ts';
import { entryOffset } from '../structure/geometry.ts';
import type { ImageState } from '../structure/imageState.ts';
import { readAt } from '../../../storage/storage.ts';

/** Stands for table entries that cannot be. */
const DAMAGED = -1;

/**
 * The bits of a stored bitmap; they are read when they are needed.
 * @throws BlockError `invalid-image` if its table is damaged.
 */
export async function readBits(image: ImageState, stored: BitmapEntry): Promise<BitmapBits> {
  const granularity = 2 ** stored.granularityBits;
  const size = image.header.virtualSize;
  const places = await readTable(image, stored);
  if (places.includes(DAMAGED)) {
    const what = `Could not read bitmap_table table from image for bitmap '${stored.name}': Invalid argument`;
    throw invalidImage(what);
  }
  if (places.length !== piecesFor(image, granularity, size)) {
    throw invalidImage(`Could not read bitmap '${stored.name}' from image: Invalid argument`);
  }
  return new BitmapBits(image, granularity, size, places);
}

/**
 * What the entry of a bitmap table at `at` says: the offset of its cluster, or where there is none, 0 or 1 for what all bits are.
 * Undefined if reserved bits are set (1 to 8 and 56 to 63).
 */
export function bitmapEntryOf(view: DataView, at: number): number | undefined {
  const low = view.getUint32(at + 4);
  const place = entryOffset(view, at);
  if ((view.getUint32(at) & 0xff000000) !== 0 || (low & 0x1fe) !== 0) return undefined;
  if (place === 0) return low & 1;
  return (low & 1) === 0 ? place : undefined;
}

/** The entries of a bitmap table; {@link DAMAGED} for those that cannot be. */
async function readTable(image: ImageState, stored: BitmapEntry): Promise<number[]> {
  const bytes = await readAt(image.file, stored.tableOffset, stored.tableEntries * 8);
  const view = new DataView(bytes.buffer);
  const places: number[] = [];
  for (let at = 0; at < bytes.length; at += 8) {
    const entry = bitmapEntryOf(view, at) ?? DAMAGED;
    places.push(entry > 1 && entry % image.geometry.clusterSize !== 0 ? DAMAGED : entry);
  }
  return places;
}

/** Clusters of a bitmap whose content does not matter. */
export async function readStrayTable(image: ImageState, stored: BitmapEntry): Promise<number[]> {
  const places = await readTable(image, stored);
  return places.filter((place) => place > 1 && place < image.file.size());
}
