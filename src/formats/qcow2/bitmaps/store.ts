/**
 * Persistent dirty bitmaps. They are kept in memory and stored when the image is closed: into new clusters, which one
 * write of the header puts in the place of the old ones. Before guest data changes, the bitmaps that record it are
 * marked as in use on the disk, so that a kill cannot leave one that misses a change.
 */
import { isPromise, type MaybePromise } from '../../../base/async.ts';
import { utf8Bytes } from '../../../base/bytes.ts';
import { asBlockError, BlockError, invalidArgument, invalidImage, withStrerror } from '../../../base/error.ts';
import { divideUp, isPowerOfTwo, log2 } from '../../../base/offset.ts';
import { UNNAMED_NODE } from '../../../block/graph/describe.ts';
import type { BitmapInfo, BitmapStore, InfoValue } from '../../../block/capabilities.ts';
import { BitmapBits } from './bits.ts';
import { type AllocatingImage, type ClusterRun, FreshClusters } from './clusters.ts';
import {
  type BitmapEntry,
  bitmapEntryLength,
  BitmapFlag,
  encodeBitmapDirectory,
  GRANULARITY_BITS,
  MAX_BITMAP_BYTES,
  MAX_BITMAP_NAME,
  MAX_BITMAPS,
  MAX_DIRECTORY,
  parseBitmapDirectory,
} from './directory.ts';
import { readBits, readStrayTable } from './table.ts';
import { Autoclear } from '../structure/layout.ts';
import type { Refcounts } from '../clusters/refcount.ts';

/** Where an entry of the directory has its flags. */
const FLAGS_AT = 12;
/** A byte range of the guest. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

/** What bitmaps work with. */
interface BitmapImage extends AllocatingImage {
  readonly refcounts: Refcounts;
}

/** One bitmap. */
interface Bitmap {
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

/** The bitmaps of an open image. */
export class Bitmaps implements BitmapStore {
  readonly #image: BitmapImage;
  #list: Bitmap[];
  /** Entries were added, removed or changed. */
  #changed = false;
  /** They could not be stored. */
  #lost = false;
  /** Entries as they are on the disk. */
  #directory: readonly BitmapEntry[];
  /** What the next directory no longer refers to. */
  readonly #dropped: ClusterRun[] = [];

  /** Called by {@link openBitmaps}. */
  constructor(image: BitmapImage, list: Bitmap[], directory: readonly BitmapEntry[]) {
    this.#image = image;
    this.#list = list;
    this.#directory = directory;
    image.changeListeners.push((offset, length) => this.#record(offset, length));
  }

  list(): readonly BitmapInfo[] {
    return this.#list.map(({ name, granularityBits, enabled, bits }) => ({
      name,
      granularity: 2 ** granularityBits,
      inUse: bits === undefined,
      enabled,
    }));
  }

  /** What `info` says of the bitmaps: the flags are those on the disk. */
  info(): InfoValue | undefined {
    if (this.#list.length === 0) return undefined;
    return this.list().map(({ name, granularity, inUse, enabled }) => ({
      flags: [...(inUse ? ['in-use'] : []), ...(enabled ? ['auto'] : [])],
      name,
      granularity,
    }));
  }

  #find(name: string): Bitmap {
    const found = this.#list.find((bitmap) => bitmap.name === name);
    if (found) return found;
    throw new BlockError('not-found', `Dirty bitmap '${name}' not found`);
  }

  /** A bitmap that can be used. */
  #usable(name: string): Bitmap & { readonly bits: BitmapBits } {
    const bitmap = this.#find(name);
    if (isUsable(bitmap)) return bitmap;
    throw inconsistent(name);
  }

  async add(name: string, granularity: number | undefined, enabled: boolean): Promise<void> {
    const image = this.#image;
    const { clusterSize } = image.geometry;
    const size = image.header.virtualSize;
    const unit = granularity || Math.max(4096, Math.min(65536, clusterSize));
    if (!isPowerOfTwo(unit) || log2(unit) < GRANULARITY_BITS.min || log2(unit) > GRANULARITY_BITS.max) {
      throw invalidArgument('Granularity must be power of 2 and at least 512');
    }
    if (name === '') throw invalidArgument('Bitmap name cannot be empty');
    if (this.#list.some((bitmap) => bitmap.name === name)) {
      throw new BlockError('exists', `Bitmap already exists: ${name}`);
    }
    const problem = this.#whyNot(name, unit, size);
    if (problem !== undefined) {
      throw new BlockError('limit', `Can't make bitmap '${name}' persistent in '${UNNAMED_NODE}': ${problem}`);
    }
    // Of the bitmaps that one run adds the real tool stores the newest first.
    const behind = this.#list.findIndex(({ stored }) => stored === undefined);
    this.#list.splice(behind < 0 ? this.#list.length : behind, 0, {
      name,
      nameBytes: utf8Bytes(name),
      granularityBits: log2(unit),
      enabled,
      bits: new BitmapBits(image, unit, size),
    });
    this.#changed = true;
  }

  /** Why a bitmap cannot be stored. */
  #whyNot(name: string, granularity: number, size: number): string | undefined {
    if (utf8Bytes(name).length > MAX_BITMAP_NAME) return `Name length exceeds maximum (${MAX_BITMAP_NAME} characters)`;
    if (isTooLarge(granularity, size)) return 'Too much space will be occupied by the bitmap. Use larger granularity';
    if (this.#list.length >= MAX_BITMAPS) return 'Maximum number of persistent bitmaps is already reached';
    const directory = this.#list.reduce((sum, bitmap) => sum + bitmapEntryLength(bitmap.nameBytes), 0);
    if (directory + bitmapEntryLength(utf8Bytes(name)) > MAX_DIRECTORY)
      return 'Not enough space in the bitmap directory';
    return undefined;
  }

  /** A stored bitmap is gone from the disk at once, as in the real tool. */
  async remove(name: string): Promise<void> {
    const bitmap = this.#find(name);
    const { stored } = bitmap;
    if (stored) {
      const clusters = await this.#clustersOf(bitmap, stored);
      const fresh = this.#freshClusters();
      try {
        await this.#replaceDirectory(
          this.#directory.filter((entry) => entry.name !== stored.name),
          fresh,
        );
      } catch (error) {
        await fresh.giveBack();
        // As in the real tool, storing everything anew is the last attempt.
        for (const { bits } of this.#list) bits?.touch();
        throw error;
      }
      this.#drop(clusters);
    }
    this.#list = this.#list.filter((other) => other !== bitmap);
    this.#changed = true;
  }

  #drop(runs: readonly ClusterRun[]): void {
    for (const run of runs) this.#dropped.push(run);
  }

  /** Everything that a stored bitmap takes. */
  async #clustersOf(bitmap: Bitmap, stored: BitmapEntry): Promise<ClusterRun[]> {
    const places = bitmap.bits?.storedPlaces ?? (await readStrayTable(this.#image, stored));
    return [...places.map((offset) => ({ offset, clusters: 1 })), this.#tableRun(stored)];
  }

  #tableRun(stored: BitmapEntry): ClusterRun {
    const { clusterSize } = this.#image.geometry;
    return { offset: stored.tableOffset, clusters: divideUp(stored.tableEntries * 8, clusterSize) };
  }

  async clear(name: string): Promise<void> {
    this.#usable(name).bits.clear();
  }

  async setEnabled(name: string, enabled: boolean): Promise<void> {
    const bitmap = this.#usable(name);
    if (bitmap.enabled === enabled) return;
    bitmap.enabled = enabled;
    this.#changed = true;
  }

  ranges(name: string): AsyncIterable<Range> {
    return this.#usable(name).bits.ranges();
  }

  async mark(name: string, ranges: Iterable<Range> | AsyncIterable<Range>): Promise<void> {
    const { bits } = this.#usable(name);
    for await (const { offset, length } of ranges) await bits.mark(offset, length);
  }

  /** Guest bytes are going to change. */
  #record(offset: number, length: number): MaybePromise<void> {
    const recording = this.#list.filter((bitmap) => bitmap.enabled && isUsable(bitmap));
    if (recording.some(isUnmarked) || this.#directory.some(claimsToRecord)) {
      return this.#recordFirst(recording, offset, length);
    }
    if (recording.length > 0) return markAll(recording, 0, offset, length);
  }

  async #recordFirst(recording: readonly Bitmap[], offset: number, length: number): Promise<void> {
    await this.#setInUse(recording);
    await markAll(recording, 0, offset, length);
  }

  /**
   * Marks stored bitmaps as in use, durably, where their entries are: these, and those that were disabled or removed
   * but still say on the disk that they record.
   */
  async #setInUse(bitmaps: readonly Bitmap[]): Promise<void> {
    const { header, file } = this.#image;
    if (!header.bitmaps) return;
    const chosen = new Set(bitmaps.filter(isUnmarked));
    let at = header.bitmaps.offset;
    let changed = false;
    const entries = this.#entriesOnDisk();
    for (const [index, [entry, bitmap]] of entries.entries()) {
      if (claimsToRecord(entry) || (bitmap && chosen.has(bitmap))) {
        const flags = entry.flags | BitmapFlag.inUse;
        await file.write(at + FLAGS_AT, Uint8Array.of(0, 0, 0, flags));
        const marked = { ...entry, flags };
        entries[index] = [marked, bitmap];
        if (bitmap) bitmap.stored = marked;
        changed = true;
      }
      at += bitmapEntryLength(entry.nameBytes);
    }
    if (!changed) return;
    this.#directory = entries.map(([entry]) => entry);
    await file.flush();
  }

  /** The entries on the disk in their order, with the bitmaps that they belong to unless those were removed. */
  #entriesOnDisk(): [BitmapEntry, Bitmap | undefined][] {
    const known = new Map(this.#list.flatMap((bitmap) => (bitmap.stored ? [[bitmap.stored.name, bitmap]] : [])));
    return this.#directory.map((entry) => [entry, known.get(entry.name)]);
  }

  /**
   * The guest size is going to change. A kill in between must not leave tables that do not fit the size.
   * @throws BlockError if a bitmap's content is not known.
   */
  async resize(size: number): Promise<void> {
    const broken = this.#list.find(({ bits }) => bits === undefined);
    if (broken) throw inconsistent(broken.name);
    await this.#setInUse(this.#list);
    for (const { bits } of this.#list) await bits?.resize(size);
  }

  /**
   * Stores what changed. Everything else is on the disk.
   * @throws BlockError if that cannot be done; its cause says why. The bitmaps stay on the disk as they are then.
   */
  async save(): Promise<void> {
    if (this.#lost) return;
    const oversized = this.#list.find(
      ({ granularityBits, bits }) => bits && isTooLarge(2 ** granularityBits, bits.size),
    );
    try {
      if (oversized) throw breaksLimits(oversized.name);
      await this.#saveAll();
    } catch (thrown) {
      this.#lost = true;
      const cause = asBlockError(thrown).prepend(
        `Lost persistent bitmaps during inactivation of node '${UNNAMED_NODE}': `,
      );
      throw new BlockError(cause.kind, 'Error while closing the image: Invalid argument', {
        cause,
        // The real tool tries once more, unless the image was given up.
        ...(this.#image.abandoned ? {} : { hint: { about: 'also', message: cause.message } as const }),
        posix: { code: 'EINVAL', text: 'Invalid argument' },
      });
    }
  }

  async #saveAll(): Promise<void> {
    const pending = this.#list.some(({ bits, stored }) => bits && (bits.isChanged || !stored || isInUse(stored)));
    if (!this.#changed && !pending) return;
    const fresh = this.#freshClusters();
    const stores: StoredBitmap[] = [];
    try {
      for (const bitmap of this.#list) stores.push(await this.#store(bitmap, fresh));
      const entries = stores.map(({ entry }) => entry);
      await this.#replaceDirectory(entries, fresh);
    } catch (error) {
      await fresh.giveBack();
      throw error;
    }
    for (const { bitmap, entry, dropped, done } of stores) {
      bitmap.stored = entry;
      this.#drop(dropped);
      done();
    }
    this.#changed = false;
    this.#applyDropped();
  }

  /** Makes the header name a directory with these entries. */
  async #replaceDirectory(entries: readonly BitmapEntry[], fresh: FreshClusters): Promise<void> {
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
    await image.switchHeader((header) => {
      if (place === undefined) delete header.bitmaps;
      else header.bitmaps = { count: entries.length, size: bytes.length, offset: place };
      const bit = BigInt(Autoclear.bitmaps);
      header.autoclear = place === undefined ? header.autoclear & ~bit : header.autoclear | bit;
    });
    if (old) this.#drop([{ offset: old.offset, clusters: divideUp(old.size, geometry.clusterSize) }]);
    this.#directory = entries;
  }

  #freshClusters(): FreshClusters {
    return new FreshClusters(this.#image, this.#list.find(isUsable)?.name ?? '');
  }

  /**
   * Writes the directory over itself: where not even that can be done, nothing should change.
   * @throws BlockError `Can't update bitmap directory: ...`.
   */
  async probeDirectory(): Promise<void> {
    const { header, file } = this.#image;
    const { bitmaps } = header;
    if (!bitmaps || this.#directory.every(isInUse)) return;
    const bytes = encodeBitmapDirectory(this.#directory);
    await withStrerror("Can't update bitmap directory", () => file.write(bitmaps.offset, bytes));
  }

  /** Gives up what the directory no longer refers to. */
  #applyDropped(): void {
    const { allocator, geometry } = this.#image;
    for (const { offset, clusters } of this.#dropped.splice(0))
      allocator.release(offset / geometry.clusterSize, clusters);
  }

  /** Writes a bitmap, if it has changed, into new clusters. */
  async #store(bitmap: Bitmap, fresh: FreshClusters): Promise<StoredBitmap> {
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

/** A bitmap whose bits are in their new place. */
interface StoredBitmap {
  readonly bitmap: Bitmap;
  readonly entry: BitmapEntry;
  /** What only its old entry refers to. */
  readonly dropped: readonly ClusterRun[];
  readonly done: () => void;
}

function breaksLimits(name: string): BlockError {
  const problem = 'Too much space will be occupied by the bitmap. Use larger granularity';
  return new BlockError('limit', `Bitmap '${name}' doesn't satisfy the constraints: ${problem}`);
}

function isUsable(bitmap: Bitmap): bitmap is Bitmap & { readonly bits: BitmapBits } {
  return bitmap.bits !== undefined;
}

function isInUse(entry: BitmapEntry): boolean {
  return (entry.flags & BitmapFlag.inUse) !== 0;
}

/** True if whoever reads the entry takes the bitmap for complete. */
function claimsToRecord(entry: BitmapEntry): boolean {
  return (entry.flags & BitmapFlag.auto) !== 0 && !isInUse(entry);
}

/** True if the entry on the disk does not say yet that the bitmap is in use. */
function isUnmarked({ stored }: Bitmap): boolean {
  return stored !== undefined && !isInUse(stored);
}

function inconsistent(name: string): BlockError {
  return invalidImage(`Bitmap '${name}' is inconsistent and cannot be used`, {
    context: { bitmap: name },
    hint: { about: 'remove-bitmap' },
  });
}

function isTooLarge(granularity: number, size: number): boolean {
  return divideUp(divideUp(size, granularity), 8) > MAX_BITMAP_BYTES;
}

/** Marks a guest range in all bitmaps from index `from` on. */
function markAll(bitmaps: readonly Bitmap[], from: number, offset: number, length: number): MaybePromise<void> {
  for (let i = from; i < bitmaps.length; i++) {
    const done = bitmaps[i]?.bits?.mark(offset, length);
    if (isPromise(done)) return done.then(() => markAll(bitmaps, i + 1, offset, length));
  }
}

/**
 * Reads the bitmaps of an image, except for their bits. Undefined: the image cannot have bitmaps.
 * @throws BlockError if the directory or a table is damaged.
 */
export async function openBitmaps(image: BitmapImage): Promise<Bitmaps | undefined> {
  const { header, file, geometry } = image;
  if (header.version < 3) return undefined;
  if (!header.bitmaps) return new Bitmaps(image, [], []);
  const bytes = new Uint8Array(header.bitmaps.size);
  await file.readPadded(header.bitmaps.offset, bytes);
  const directory = parseBitmapDirectory(bytes, header.bitmaps.count, geometry.clusterSize);
  const list: Bitmap[] = [];
  const names = new Set<string>();
  for (const stored of directory) {
    const { name, nameBytes, granularityBits } = stored;
    if (names.has(name)) throw new BlockError('exists', `Bitmap already exists: ${name}`);
    names.add(name);
    const enabled = (stored.flags & BitmapFlag.auto) !== 0;
    if (isInUse(stored)) list.push({ name, nameBytes, granularityBits, enabled, stored });
    else list.push({ name, nameBytes, granularityBits, enabled, stored, bits: await readBits(image, stored) });
  }
  return new Bitmaps(image, list, directory);
}
