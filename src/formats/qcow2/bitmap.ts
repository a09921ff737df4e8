/**
 * Persistent dirty bitmaps. They are kept in memory and stored when the image is closed: into new clusters, which one
 * write of the header puts in the place of the old ones. Before guest data changes, the bitmaps that record it are
 * marked as in use on the disk, so that a kill cannot leave one that misses a change.
 */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { utf8Bytes } from '../../base/bytes.ts';
import { BlockError } from '../../base/error.ts';
import { divideUp, isPowerOfTwo, log2 } from '../../base/offset.ts';
import type { BitmapInfo, BitmapStore, InfoValue } from '../../block/driver.ts';
import { BitmapBits, piecesFor } from './bitmapBits.ts';
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
} from './bitmapDirectory.ts';
import { entryOffset } from './geometry.ts';
import type { Qcow2Image } from './image.ts';
import { Autoclear } from './layout.ts';

/** Name of the image's node in messages; the real tool numbers its nodes. */
const NODE = '#block1';

/** Where an entry of the directory has its flags. */
const FLAGS_AT = 12;
/** Stands for table entries that cannot be. */
const DAMAGED = -1;

/** A byte range of the guest. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

/** Consecutive clusters from an offset on. */
interface ClusterRun {
  readonly offset: number;
  readonly clusters: number;
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
  readonly #image: Qcow2Image;
  #list: Bitmap[];
  /** Entries were added, removed or changed. */
  #changed = false;
  /** Entries as they are on the disk. */
  #directory: readonly BitmapEntry[];
  /** What the next directory no longer refers to. */
  readonly #dropped: ClusterRun[] = [];

  /** Called by {@link openBitmaps}. */
  constructor(image: Qcow2Image, list: Bitmap[], directory: readonly BitmapEntry[]) {
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
      throw new BlockError('invalid-argument', 'Granularity must be power of 2 and at least 512');
    }
    if (name === '') throw new BlockError('invalid-argument', 'Bitmap name cannot be empty');
    if (this.#list.some((bitmap) => bitmap.name === name)) {
      throw new BlockError('exists', `Bitmap already exists: ${name}`);
    }
    const problem = this.#whyNot(name, unit, size);
    if (problem !== undefined) {
      throw new BlockError('limit', `Can't make bitmap '${name}' persistent in '${NODE}': ${problem}`);
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

  async remove(name: string): Promise<void> {
    const bitmap = this.#find(name);
    if (bitmap.stored) this.#drop(await this.#clustersOf(bitmap, bitmap.stored));
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

  /** Stores what changed. Everything else is on the disk. */
  async save(): Promise<void> {
    const image = this.#image;
    const { header, file } = image;
    for (const { name, granularityBits, bits } of this.#list) {
      if (bits && isTooLarge(2 ** granularityBits, bits.size)) {
        image.complain(
          `Lost persistent bitmaps during inactivation of node '${NODE}': Bitmap '${name}' doesn't satisfy the ` +
            'constraints: Too much space will be occupied by the bitmap. Use larger granularity',
        );
        return;
      }
    }
    const pending = this.#list.some(({ bits, stored }) => bits && (bits.isChanged || !stored || isInUse(stored)));
    if (!this.#changed && !pending) return;
    const directory: BitmapEntry[] = [];
    for (const bitmap of this.#list) directory.push(await this.#store(bitmap));
    const bytes = encodeBitmapDirectory(directory);
    const old = header.bitmaps;
    const place = bytes.length === 0 ? undefined : await placeTable(image, bytes);
    await image.refcounts.flush();
    await file.flush();
    if (place === undefined) delete header.bitmaps;
    else header.bitmaps = { count: directory.length, size: bytes.length, offset: place };
    const bit = BigInt(Autoclear.bitmaps);
    header.autoclear = place === undefined ? header.autoclear & ~bit : header.autoclear | bit;
    await image.writeHeader();
    await file.flush();
    if (old) this.#dropped.push({ offset: old.offset, clusters: divideUp(old.size, image.geometry.clusterSize) });
    this.#directory = directory;
    this.#changed = false;
    for (const { offset, clusters } of this.#dropped.splice(0)) {
      image.allocator.release(offset / image.geometry.clusterSize, clusters);
    }
  }

  /** Writes a bitmap, if it has changed, into new clusters; gives its entry. */
  async #store(bitmap: Bitmap): Promise<BitmapEntry> {
    const { stored, bits, name, nameBytes, granularityBits, enabled } = bitmap;
    const before = stored ?? { tableOffset: 0, tableEntries: 0 };
    const auto = enabled ? BitmapFlag.auto : 0;
    let entry = { ...before, name, nameBytes, granularityBits, flags: bits ? auto : auto | BitmapFlag.inUse };
    if (bits?.isChanged) {
      const { table, dropped } = await bits.store();
      if (stored) this.#drop([...dropped.map((offset) => ({ offset, clusters: 1 })), this.#tableRun(stored)]);
      entry = { ...entry, tableOffset: await placeTable(this.#image, table), tableEntries: table.length / 8 };
    }
    bitmap.stored = entry;
    return entry;
  }
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
  return new BlockError('invalid-image', `Bitmap '${name}' is inconsistent and cannot be used`, {
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

/** Writes a table into new clusters; gives their offset. */
async function placeTable(image: Qcow2Image, bytes: Uint8Array): Promise<number> {
  const offset = await image.allocator.allocate(divideUp(bytes.length, image.geometry.clusterSize));
  await image.file.write(offset, bytes);
  return offset;
}

/**
 * Reads the bitmaps of an image, except for their bits. Undefined: the image cannot have bitmaps.
 * @throws BlockError if the directory or a table is damaged.
 */
export async function openBitmaps(image: Qcow2Image): Promise<Bitmaps | undefined> {
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

async function readBits(image: Qcow2Image, stored: BitmapEntry): Promise<BitmapBits> {
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
async function readTable(image: Qcow2Image, stored: BitmapEntry): Promise<number[]> {
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
async function readStrayTable(image: Qcow2Image, stored: BitmapEntry): Promise<number[]> {
  const places = await readTable(image, stored);
  return places.filter((place) => place > 1 && place < image.file.size());
}
