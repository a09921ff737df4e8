/** The block allocation table: for each block of the disk the sector where its bitmap starts, its data behind it. */
import type { MaybePromise } from '../../base/async.ts';
import { BlockError, invalidImage } from '../../base/error.ts';
import { alignDown, SECTOR } from '../../base/offset.ts';
import type { Storage } from '../../storage/storage.ts';

/** Entry of a block that is not stored. */
const UNUSED = 0xffffffff;
/** Bytes of the table that are read at a time. */
const CHUNK = 1048576;
/** Largest table in bytes: 2040 GiB in blocks of 128 KiB. */
const MAX_TABLE = 67108864;

/** Where a table is, and what its entries mean. */
export interface TableLayout {
  readonly offset: number;
  readonly entries: number;
  /** Bytes that a stored block takes, its bitmap included. */
  readonly blockBytes: number;
}

/** The whole table in memory; changes are written by {@link flush}. */
export class BlockTable {
  readonly #file: Storage;
  readonly #offset: number;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  /** Starts of changed sectors, counted from the start of the table. */
  readonly #dirty = new Set<number>();
  /** End of the last stored block: where the next one goes, and where the footer is until then. */
  end: number;

  private constructor(file: Storage, offset: number, bytes: Uint8Array, end: number) {
    this.#file = file;
    this.#offset = offset;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    this.end = end;
  }

  /**
   * Reads a table.
   * @throws BlockError if a block, or the table itself, lies beyond the end of the file.
   */
  static async load(file: Storage, layout: TableLayout): Promise<BlockTable> {
    const length = layout.entries * 4;
    const limit = Math.ceil(file.size() / SECTOR) * SECTOR;
    let end = Math.ceil((layout.offset + length) / SECTOR) * SECTOR;
    if (end > limit) throw truncated();
    if (length > MAX_TABLE) {
      throw new BlockError('limit', `Block allocation table of ${length} bytes is too large`);
    }
    const bytes = new Uint8Array(Math.ceil(length / SECTOR) * SECTOR);
    for (let at = 0; at < bytes.length; at += CHUNK) {
      await file.readPadded(layout.offset + at, bytes.subarray(at, at + CHUNK));
    }
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < length; at += 4) {
      const sector = view.getUint32(at);
      if (sector !== UNUSED) end = Math.max(end, sector * SECTOR + layout.blockBytes);
    }
    if (end > limit) throw truncated();
    return new BlockTable(file, layout.offset, bytes, end);
  }

  /** Place of a block's bitmap; undefined if the block is not stored. */
  get(block: number): number | undefined {
    const sector = this.#view.getUint32(block * 4);
    return sector === UNUSED ? undefined : sector * SECTOR;
  }

  /** Records where a block's bitmap is. */
  set(block: number, offset: number): void {
    this.#view.setUint32(block * 4, offset / SECTOR);
    this.#dirty.add(alignDown(block * 4, SECTOR));
  }

  /** Writes what changed. The blocks that it refers to are made durable first. */
  flush(): MaybePromise<void> {
    return this.#dirty.size === 0 ? this.#file.flush() : this.#flushDirty();
  }

  async #flushDirty(): Promise<void> {
    const sectors = [...this.#dirty].sort((a, b) => a - b);
    this.#dirty.clear();
    try {
      await this.#file.flush();
      for (let i = 0; i < sectors.length; ) {
        const start = sectors[i] as number;
        let stop = start;
        while (sectors[i] === stop) {
          stop += SECTOR;
          i++;
        }
        await this.#file.write(this.#offset + start, this.#bytes.slice(start, stop));
      }
    } catch (error) {
      for (const sector of sectors) this.#dirty.add(sector);
      throw error;
    }
    await this.#file.flush();
  }
}

function truncated(): BlockError {
  return invalidImage('block-vpc: free_data_block_offset points after the end of file. The image has been truncated.');
}
