/** Bitmap tables: where the bits of stored bitmaps are. */
import { BlockError, invalidImage } from '../../../base/error.ts';
import type { Services } from '../../../block/services.ts';
import { BitmapBits, piecesFor } from './bits.ts';
import type { BitmapEntry } from './directory.ts';
import { entryOffset } from '../structure/geometry.ts';
import type { ImageState } from '../structure/imageState.ts';
import { readAt } from '../../../storage/storage.ts';

/** An image with such tables. */
type BitmapTableImage = ImageState & { readonly services: Pick<Services, 'limits'> };

/** Stands for table entries that cannot be. */
const DAMAGED = -1;

/** The tables of the bitmaps of one image, each read once, however many bitmaps name it. */
export class BitmapTables {
  readonly #image: BitmapTableImage;
  readonly #known = new Map<string, readonly number[]>();
  #bytes = 0;

  constructor(image: BitmapTableImage) {
    this.#image = image;
  }

  /**
   * The bits of a stored bitmap; they are read when they are needed.
   * @throws BlockError `invalid-image` if its table is damaged, `limit` if all tables together are too large to be kept.
   */
  async readBits(stored: BitmapEntry): Promise<BitmapBits> {
    const image = this.#image;
    const granularity = 2 ** stored.granularityBits;
    const size = image.header.virtualSize;
    const places = await this.#placesOf(stored);
    if (places.length !== piecesFor(image, granularity, size)) {
      throw invalidImage(`Could not read bitmap '${stored.name}' from image: Invalid argument`);
    }
    return new BitmapBits(image, granularity, size, places);
  }

  async #placesOf(stored: BitmapEntry): Promise<readonly number[]> {
    const key = `${stored.tableOffset}/${stored.tableEntries}`;
    const known = this.#known.get(key);
    if (known) return known;
    const most = this.#image.services.limits.tableBytes;
    this.#bytes += stored.tableEntries * 8;
    if (this.#bytes > most) {
      throw new BlockError(
        'limit',
        `Could not read bitmap '${stored.name}' from image: bitmap tables exceed ${most} bytes`,
      );
    }
    const places = await readTable(this.#image, stored);
    if (places.includes(DAMAGED)) {
      const what = `Could not read bitmap_table table from image for bitmap '${stored.name}': Invalid argument`;
      throw invalidImage(what);
    }
    this.#known.set(key, places);
    return places;
  }
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
