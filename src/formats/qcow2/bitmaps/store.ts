/**
 * Persistent dirty bitmaps. They are kept in memory and stored when the image is closed: into new clusters, which one
 * write of the header puts in the place of the old ones. Before guest data changes, the bitmaps that record it are
 * marked as in use on the disk, so that a kill cannot leave one that misses a change.
 */
import { isPromise, type MaybePromise } from '../../../base/async.ts';
import { utf8Bytes } from '../../../base/bytes.ts';
import { asBlockError, BlockError, invalidArgument } from '../../../base/error.ts';
import { isPowerOfTwo, log2 } from '../../../base/offset.ts';
import type { BitmapInfo, BitmapStore, InfoValue } from '../../../block/capabilities.ts';
import { UNNAMED_NODE } from '../../../block/graph/describe.ts';
import {
  type Bitmap,
  breaksLimits,
  claimsToRecord,
  inconsistent,
  isInUse,
  isTooLarge,
  isUnmarked,
  isUsable,
} from './bitmap.ts';
import { BitmapBits } from './bits.ts';
import { FreshClusters } from './clusters.ts';
import {
  type BitmapEntry,
  bitmapEntryLength,
  BitmapFlag,
  GRANULARITY_BITS,
  MAX_BITMAP_NAME,
  MAX_BITMAPS,
  MAX_DIRECTORY,
  parseBitmapDirectory,
} from './directory.ts';
import { type BitmapImage, StoredBitmaps, type StoredBitmap } from './stored.ts';
import { BitmapTables } from './table.ts';
import { readAt } from '../../../storage/storage.ts';

/** A byte range of the guest. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

/** The bitmaps of an open image. */
export class Bitmaps implements BitmapStore {
  readonly #image: BitmapImage;
  #list: Bitmap[];
  /** Entries were added, removed or changed. */
  #changed = false;
  /** They could not be stored. */
  #lost = false;
  readonly #stored: StoredBitmaps;

  /** Called by {@link openBitmaps}. */
  constructor(image: BitmapImage, list: Bitmap[], directory: readonly BitmapEntry[]) {
    this.#image = image;
    this.#list = list;
    this.#stored = new StoredBitmaps(image, directory);
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
      const clusters = await this.#stored.clustersOf(bitmap, stored);
      const fresh = this.#freshClusters();
      try {
        await this.#stored.replace(
          this.#stored.entries.filter((entry) => entry.name !== stored.name),
          fresh,
        );
      } catch (error) {
        await fresh.giveBack();
        // As in the real tool, storing everything anew is the last attempt.
        for (const { bits } of this.#list) bits?.touch();
        throw error;
      }
      this.#stored.drop(clusters);
    }
    this.#list = this.#list.filter((other) => other !== bitmap);
    this.#changed = true;
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
    if (recording.some(isUnmarked) || this.#stored.entries.some(claimsToRecord)) {
      return this.#recordFirst(recording, offset, length);
    }
    if (recording.length > 0) return markAll(recording, 0, offset, length);
  }

  async #recordFirst(recording: readonly Bitmap[], offset: number, length: number): Promise<void> {
    await this.#setInUse(recording);
    await markAll(recording, 0, offset, length);
  }

  async #setInUse(bitmaps: readonly Bitmap[]): Promise<void> {
    try {
      await this.#stored.setInUse(bitmaps, this.#list);
    } catch (error) {
      // Some may be marked on the disk: closing the image takes the marks away.
      this.#changed = true;
      throw error;
    }
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
      for (const bitmap of this.#list) stores.push(await this.#stored.store(bitmap, fresh));
      const entries = stores.map(({ entry }) => entry);
      await this.#stored.replace(entries, fresh);
    } catch (error) {
      await fresh.giveBack();
      throw error;
    }
    for (const { bitmap, entry, dropped, done } of stores) {
      bitmap.stored = entry;
      this.#stored.drop(dropped);
      done();
    }
    this.#changed = false;
    this.#stored.applyDropped();
  }

  #freshClusters(): FreshClusters {
    return new FreshClusters(this.#image, this.#list.find(isUsable)?.name ?? '');
  }

  /**
   * Writes the directory over itself: where not even that can be done, nothing should change.
   * @throws BlockError `Can't update bitmap directory: ...`.
   */
  probeDirectory(): Promise<void> {
    return this.#stored.probe();
  }
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
  const bytes = await readAt(file, header.bitmaps.offset, header.bitmaps.size);
  const directory = parseBitmapDirectory(bytes, header.bitmaps.count, geometry.clusterSize);
  const list: Bitmap[] = [];
  const names = new Set<string>();
  const tables = new BitmapTables(image);
  for (const stored of directory) {
    const { name, nameBytes, granularityBits } = stored;
    if (names.has(name)) throw new BlockError('exists', `Bitmap already exists: ${name}`);
    names.add(name);
    const enabled = (stored.flags & BitmapFlag.auto) !== 0;
    if (isInUse(stored)) list.push({ name, nameBytes, granularityBits, enabled, stored });
    else list.push({ name, nameBytes, granularityBits, enabled, stored, bits: await tables.readBits(stored) });
  }
  return new Bitmaps(image, list, directory);
}
