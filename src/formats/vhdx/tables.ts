/** The block allocation table ([MS-VHDX] 2.5): state and place of each block of the disk. */
import { andThen, type MaybePromise } from '../../base/async.ts';
import { alignDown, SECTOR } from '../../base/offset.ts';
import { MetadataCache } from '../../block/kit/cache.ts';
import type { Storage } from '../../storage/storage.ts';
import { BlockState, LOG_SECTOR } from './layout.ts';
import type { MetadataLog } from './log.ts';
import type { RegionMap } from './regions.ts';

/** Bytes of the table that are read at a time, and bytes that are kept. */
const PAGE = 65536;
const BUDGET = 33554432;
/** Changed sectors that wait at most; they stand for two million blocks. */
const MAX_PENDING = 4096;
/** Bits of an entry below the place of the block. */
const PLACE_UNIT = 1048576;
const TWO32 = 4294967296;

/** State and place of a block. */
export interface BlockEntry {
  /** One of {@link BlockState}. */
  readonly state: number;
  /** Place in the file, for states that have one. */
  readonly offset: number;
}

/** Where a table is, and of what. */
export interface TableParts {
  readonly file: Storage;
  readonly offset: number;
  /** Number of blocks of the disk. */
  readonly blocks: number;
  /** Blocks between two entries of sector bitmaps. */
  readonly ratio: number;
}

/** The table, in pages; changed sectors stay in memory until {@link BlockTable.flush}. */
export class BlockTable {
  readonly #file: Storage;
  readonly #offset: number;
  readonly #blocks: number;
  readonly #ratio: number;
  readonly #pages: MetadataCache;
  /** Changed sectors of 4,096 bytes, by their place in the table. */
  readonly #changed = new Map<number, DataView>();

  constructor(parts: TableParts) {
    this.#file = parts.file;
    this.#offset = parts.offset;
    this.#blocks = parts.blocks;
    this.#ratio = parts.ratio;
    this.#pages = new MetadataCache({ storage: parts.file, tableSize: PAGE, budget: BUDGET });
  }

  /** Too much is waiting to be written. */
  get isFull(): boolean {
    return this.#changed.size >= MAX_PENDING;
  }

  #position(block: number): number {
    return (block + Math.floor(block / this.#ratio)) * 8;
  }

  /** The entry of a block; at once if its page is in memory. */
  get(block: number): MaybePromise<BlockEntry> {
    const at = this.#position(block);
    const sector = alignDown(at, LOG_SECTOR);
    const changed = this.#changed.get(sector);
    if (changed) return entryAt(changed, at - sector);
    const page = alignDown(at, PAGE);
    return andThen(this.#pages.get(this.#offset + page), (table) => entryAt(table.view, at - page));
  }

  /** Changes the entry of a block; `offset` is a multiple of 1 MiB. */
  set(block: number, entry: BlockEntry): MaybePromise<void> {
    const at = this.#position(block);
    const sector = alignDown(at, LOG_SECTOR);
    return andThen(this.#writable(sector), (view) => {
      const value = entry.offset + entry.state;
      view.setUint32(at - sector, value % TWO32, true);
      view.setUint32(at - sector + 4, Math.floor(value / TWO32), true);
    });
  }

  #writable(sector: number): MaybePromise<DataView> {
    const changed = this.#changed.get(sector);
    if (changed) return changed;
    const page = alignDown(sector, PAGE);
    return andThen(this.#pages.get(this.#offset + page), (table) => {
      const bytes = table.bytes.slice(sector - page, sector - page + LOG_SECTOR);
      const view = new DataView(bytes.buffer);
      this.#changed.set(sector, view);
      return view;
    });
  }

  /** Writes what changed through the log, after everything that it refers to. */
  flush(log: MetadataLog): MaybePromise<void> {
    return this.#changed.size === 0 ? this.#file.flush() : this.#flushChanged(log);
  }

  async #flushChanged(log: MetadataLog): Promise<void> {
    const sectors = [...this.#changed].sort(([a], [b]) => a - b);
    await log.write(sectors.map(([at, view]) => ({ offset: this.#offset + at, bytes: new Uint8Array(view.buffer) })));
    for (const [at] of sectors) this.#pages.forget(this.#offset + alignDown(at, PAGE));
    this.#changed.clear();
  }

  /**
   * Looks for stored blocks beyond the end of the file or over other structures.
   * @param report gets a line for each problem and says whether to go on.
   */
  async check(
    disk: { readonly blockSize: number; readonly virtualSize: number },
    regions: RegionMap,
    report: (line: string) => boolean,
  ): Promise<void> {
    const fileSize = Math.ceil(this.#file.size() / SECTOR) * SECTOR;
    const { blockSize, virtualSize } = disk;
    for (let block = 0; block < this.#blocks; block++) {
      const known = this.get(block);
      const { state, offset } = known instanceof Promise ? await known : known;
      if (state !== BlockState.fullyPresent) continue;
      const length = Math.min(blockSize, virtualSize - block * blockSize);
      for (const problem of placeProblems(block, offset, length, fileSize)) if (!report(problem)) return;
      const overlap = regions.overlap({ offset, length: blockSize });
      if (overlap !== undefined && !report(overlap)) return;
    }
  }
}

function* placeProblems(block: number, offset: number, length: number, fileSize: number): Generator<string> {
  if (offset >= 2 ** 63 - length) yield `VHDX BAT entry ${block} offset overflow.`;
  const beyond = `points after end of file (${fileSize}). Image has probably been truncated.`;
  if (offset >= fileSize) yield `VHDX BAT entry ${block} start offset ${BigInt(offset)} ${beyond}`;
  else if (offset + length > fileSize) {
    yield `VHDX BAT entry ${block} end offset ${BigInt(offset + length - 1)} ${beyond}`;
  }
}

function entryAt(view: DataView, at: number): BlockEntry {
  const low = view.getUint32(at, true);
  const high = view.getUint32(at + 4, true);
  return { state: low % 8, offset: high * TWO32 + alignDown(low, PLACE_UNIT) };
}
