/** Bitmap tables: where the bits of stored bitmaps are. */
import { BlockError } from '../../base/error.ts';
import { BitmapBits, piecesFor } from './bitmapBits.ts';
import type { BitmapEntry } from './bitmapDirectory.ts';
import { entryOffset } from './geometry.ts';
import type { ImageState } from './state.ts';

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
    throw new BlockError('invalid-image', what);
  }
  if (places.length !== piecesFor(image, granularity, size)) {
    throw new BlockError('invalid-image', `Could not read bitmap '${stored.name}' from image: Invalid argument`);
  }
  return new BitmapBits(image, granularity, size, places);
}

/** The entries of a bitmap table; {@link DAMAGED} for those that cannot be. */
async function readTable(image: ImageState, stored: BitmapEntry): Promise<number[]> {
  const bytes = new Uint8Array(stored.tableEntries * 8);
  await image.file.readPadded(stored.tableOffset, bytes);
  const view = new DataView(bytes.buffer);
  const places: number[] = [];
  for (let at = 0; at < bytes.length; at += 8) {
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    const place = entryOffset(view, at);
    const reserved = (high & 0xff000000) !== 0 || (low & 0x1fe) !== 0;
    if (reserved || place % image.geometry.clusterSize !== 0 || (place !== 0 && (low & 1) !== 0)) places.push(DAMAGED);
    else places.push(place === 0 ? low & 1 : place);
  }
  return places;
}

/** Clusters of a bitmap whose content does not matter. */
export async function readStrayTable(image: ImageState, stored: BitmapEntry): Promise<number[]> {
  const places = await readTable(image, stored);
  return places.filter((place) => place > 1 && place < image.file.size());
}
