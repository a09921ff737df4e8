/**
 * The bitmaps of an image as they are on the disk: their directory, which one write of the header replaces, the flags in
 * it, and the clusters that the next directory no longer refers to.
 */
import { withStrerror } from '../../../base/error.ts';
import { divideUp } from '../../../base/offset.ts';
import type { Services } from '../../../block/services.ts';
import type { Refcounts } from '../clusters/refcount.ts';
import { Autoclear } from '../structure/layout.ts';
import { type Bitmap, claimsToRecord, isInUse, isUnmarked } from './bitmap.ts';
import type { AllocatingImage, ClusterRun, FreshClusters } from './clusters.ts';
import { type BitmapEntry, bitmapEntryLength, BitmapFlag, encodeBitmapDirectory } from './directory.ts';
import { readStrayTable } from './table.ts';

/** Where an entry of the directory has its flags. */
const FLAGS_AT = 12;

/** What bitmaps work with. */
export interface BitmapImage extends AllocatingImage {
  readonly services: Pick<Services, 'limits'>;
  readonly refcounts: Refcounts;
}

/** A bitmap whose bits are in their new place. */
export interface StoredBitmap {
  readonly bitmap: Bitmap;
  readonly entry: BitmapEntry;
  /** What only its old entry refers to. */
  readonly dropped: readonly ClusterRun[];
  readonly done: () => void;
}

/** What the disk says of the bitmaps of an open image. */
export class StoredBitmaps {
  readonly #image: BitmapImage;
  #directory: readonly BitmapEntry[];
  /** What the directory no longer refers to, or will not. */
  readonly #dropped: ClusterRun[] = [];

  constructor(image: BitmapImage, directory: readonly BitmapEntry[]) {
    this.#image = image;
    this.#directory = directory;
  }

  /** The entries on the disk. */
  get entries(): readonly BitmapEntry[] {
    return this.#directory;
  }

  /** Gives clusters up with the next {@link applyDropped}. */
  drop(runs: readonly ClusterRun[]): void {
    for (const run of runs) this.#dropped.push(run);
  }

  /** Everything that a stored bitmap takes. */
  async clustersOf(bitmap: Bitmap, stored: BitmapEntry): Promise<ClusterRun[]> {
    const places = bitmap.bits?.storedPlaces ?? (await readStrayTable(this.#image, stored));
    return [...places.map((offset) => ({ offset, clusters: 1 })), this.#tableRun(stored)];
  }

  #tableRun(stored: BitmapEntry): ClusterRun {
    const { clusterSize } = this.#image.geometry;
    return { offset: stored.tableOffset, clusters: divideUp(stored.tableEntries * 8, clusterSize) };
  }

  /**
   * Marks stored bitmaps as in use, durably, where their entries are: these, and those that were disabled or removed
   * but still say on the disk that they record.
   * @param all the bitmaps that there are.
   */
  async setInUse(bitmaps: readonly Bitmap[], all: readonly Bitmap[]): Promise<void> {
    const { header, file } = this.#image;
    if (!header.bitmaps) return;
    const chosen = new Set(bitmaps.filter(isUnmarked));
    let at = header.bitmaps.offset;
    const marked: { readonly bitmap: Bitmap; readonly entry: BitmapEntry }[] = [];
    let changed = false;
    const entries = this.#entriesOnDisk(all);
    for (const [index, [entry, bitmap]] of entries.entries()) {
      if (claimsToRecord(entry) || (bitmap && chosen.has(bitmap))) {
        const flags = entry.flags | BitmapFlag.inUse;
        await file.write(at + FLAGS_AT, Uint8Array.of(0, 0, 0, flags));
        entries[index] = [{ ...entry, flags }, bitmap];
        if (bitmap) marked.push({ bitmap, entry: { ...entry, flags } });
        changed = true;
      }
      at += bitmapEntryLength(entry.nameBytes);
    }
    if (!changed) return;
    await file.flush();
    // Not before: where that fails the next change has to try again.
    this.#directory = entries.map(([entry]) => entry);
    for (const { bitmap, entry } of marked) bitmap.stored = entry;
  }

  /** The entries on the disk in their order, with the bitmaps that they belong to unless those were removed. */
  #entriesOnDisk(all: readonly Bitmap[]): [BitmapEntry, Bitmap | undefined][] {
    const known = new Map(all.flatMap((bitmap) => (bitmap.stored ? [[bitmap.stored.name, bitmap]] : [])));
    return this.#directory.map((entry) => [entry, known.get(entry.name)]);
  }

  /** Makes the header name a directory with these entries. */
  async replace(entries: readonly BitmapEntry[], fresh: FreshClusters): Promise<void> {
    const image = this.#image;
    const { geometry } = image;
    const bytes = encodeBitmapDirectory(entries);
    const old = image.header.bitmaps;
    const place = await withStrerror('Failed to update bitmap extension', async () => {
      const offset = bytes.length === 0 ? undefined : await fresh.place(bytes);
      // Here, where a failure is told in these words.
      await image.refcounts.flush();
      return offset;
    });
    await image.switchHeader(
      (header) => {
        if (place === undefined) delete header.bitmaps;
        else header.bitmaps = { count: entries.length, size: bytes.length, offset: place };
        const bit = BigInt(Autoclear.bitmaps);
        header.autoclear = place === undefined ? header.autoclear & ~bit : header.autoclear | bit;
      },
      () => {
        fresh.keep();
        this.#directory = entries;
      },
    );
    if (old) this.drop([{ offset: old.offset, clusters: divideUp(old.size, geometry.clusterSize) }]);
  }

  /**
   * Writes the directory over itself: where not even that can be done, nothing should change.
   * @throws BlockError `Can't update bitmap directory: ...`.
   */
  async probe(): Promise<void> {
    const { header, file } = this.#image;
    const { bitmaps } = header;
    if (!bitmaps || this.#directory.every(isInUse)) return;
    const bytes = encodeBitmapDirectory(this.#directory);
    await withStrerror("Can't update bitmap directory", () => file.write(bitmaps.offset, bytes));
  }

  /** Gives up what the directory no longer refers to. */
  applyDropped(): void {
    const { allocator, geometry } = this.#image;
    for (const { offset, clusters } of this.#dropped.splice(0))
      allocator.release(offset / geometry.clusterSize, clusters);
  }

  /** Writes a bitmap, if it has changed, into new clusters. */
  async store(bitmap: Bitmap, fresh: FreshClusters): Promise<StoredBitmap> {
    const { stored, bits, name, nameBytes, granularityBits, enabled } = bitmap;
    const before = stored ?? { tableOffset: 0, tableEntries: 0 };
    const auto = enabled ? BitmapFlag.auto : 0;
    const entry = { ...before, name, nameBytes, granularityBits, flags: bits ? auto : auto | BitmapFlag.inUse };
    if (!bits?.isChanged) return { bitmap, entry, dropped: [], done: () => undefined };
    const place = (bytes: Uint8Array): Promise<number> => fresh.placeFor(name, bytes);
    const { table, dropped, done } = await bits.store(place);
    const old = stored ? [...dropped.map((offset) => ({ offset, clusters: 1 })), this.#tableRun(stored)] : [];
    return {
      bitmap,
      entry: { ...entry, tableOffset: await place(table), tableEntries: table.length / 8 },
      dropped: old,
      done,
    };
  }
}
