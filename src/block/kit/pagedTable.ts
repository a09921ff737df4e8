/** Tables that may be large: they are read and written in pages, and looked at where the pages are. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { Limits, Storage, StorageDriver } from '../../storage/storage.ts';
import type { Flushable } from './barrier.ts';
import { MetadataCache, type Table } from './cache.ts';
import type { Run } from './units.ts';

/** Most bytes of a page. */
const PAGE = 65536;

/** What a {@link PagedTable} is made of. */
export interface TableParts {
  readonly file: Storage;
  /** Where the table is, in bytes; absent: there are several, of whole pages, and each look at one says which. */
  readonly offset?: number;
  /** Entries of a table. */
  readonly entries: number;
  readonly entryBytes: 4 | 8;
  /** Bytes of pages to keep. */
  readonly budget: number;
  /** Nobody looks at a page after waiting for something: where nothing changes, its memory is used again. */
  readonly reuses?: boolean;
}

/** Reads the entry at a byte of a page: the place of a unit, or something below 0, as in {@link Run.place}. */
export type PlaceAt = (page: DataView, position: number) => number;

/** A run that was found in a table. */
export interface TableRun extends Run {
  /** The page with its entries, valid until something is waited for, and the byte where the first of them is. */
  readonly page: DataView;
  readonly position: number;
}

/** A table, or several of the same length. */
export class PagedTable {
  readonly entries: number;
  /** The pages, whose changes are marked here. */
  readonly pages: MetadataCache;
  readonly pageSize: number;
  readonly entryBytes: number;
  readonly #file: Storage;
  readonly #offset: number;

  constructor(parts: TableParts) {
    const { file, offset, entries, entryBytes, budget, reuses = false } = parts;
    const bytes = entries * entryBytes;
    this.entries = entries;
    this.entryBytes = entryBytes;
    this.#file = file;
    this.#offset = offset ?? 0;
    const storage = offset === undefined ? file : windowOf(file, offset, bytes);
    this.pageSize = Math.min(PAGE, offset === undefined ? bytes : alignUp(Math.max(1, bytes), SECTOR));
    this.pages = new MetadataCache({
      storage,
      tableSize: this.pageSize,
      budget,
      readOnly: reuses && file.readOnly,
    });
  }

  /** How many entries the file really has: those behind its end are zero. */
  get stored(): number {
    return Math.max(0, Math.min(this.entries, Math.ceil((this.#file.size() - this.#offset) / this.entryBytes)));
  }

  /** The page with entry `index`; of the table at byte `table` of the file, if there are several. */
  page(index: number, table = 0): MaybePromise<Table> {
    return this.pages.get(table + index * this.entryBytes - this.position(index));
  }

  /** Byte of entry `index` in its page. */
  position(index: number): number {
    return (index * this.entryBytes) % this.pageSize;
  }

  /** Entries from `index` on that are in the same page, some of them perhaps behind the end of the table. */
  rest(index: number): number {
    return (this.pageSize - this.position(index)) / this.entryBytes;
  }

  /**
   * The run that begins with entry `index`, in one page, at most `limit` units.
   * @param step bytes by which places differ that follow each other.
   */
  run(index: number, limit: number, step: number, placeAt: PlaceAt, table = 0): MaybePromise<TableRun> {
    const page = this.page(index, table);
    // Without a closure where it is there already: that is asked for each run of a disk.
    if (isPromise(page)) return page.then(({ view }) => this.runIn(view, index, limit, step, placeAt));
    return this.runIn(page.view, index, limit, step, placeAt);
  }

  /** The same in a page that is there. */
  runIn(page: DataView, index: number, limit: number, step: number, placeAt: PlaceAt): TableRun {
    const { entryBytes } = this;
    const position = this.position(index);
    const end = Math.min(this.pageSize, position + limit * entryBytes);
    const place = placeAt(page, position);
    const apart = place < 0 ? 0 : step;
    let next = place + apart;
    let at = position + entryBytes;
    for (; at < end && placeAt(page, at) === next; at += entryBytes) next += apart;
    return { place, count: (at - position) / entryBytes, page, position };
  }

  /**
   * Sets `count` entries from `index` on, each at its byte of its page.
   * @param after has to be on the disk before the changes are.
   */
  async set(
    index: number,
    count: number,
    after: Flushable,
    put: (page: DataView, position: number, i: number) => void,
    table = 0,
  ): Promise<void> {
    for (let i = 0; i < count; i++) {
      const found = this.page(index + i, table);
      const page = isPromise(found) ? await found : found;
      put(page.view, this.position(index + i), i);
      // With nothing to wait for in between: pages that are written meanwhile forget what had to come first.
      this.pages.writeAfter(after);
      this.pages.markDirty(page);
    }
  }
}

/**
 * The part of a file that one table takes. Writes end where it ends, so that a cache page which reaches beyond the table leaves its neighbours
 * alone.
 */
class TableWindow implements StorageDriver {
  readonly #file: Storage;
  readonly #start: number;
  readonly #length: number;

  constructor(file: Storage, start: number, length: number) {
    this.#file = file;
    this.#start = start;
    this.#length = length;
  }

  get limits(): Limits {
    return this.#file.limits;
  }

  size(): number {
    return this.#length;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    return this.#file.readPadded(this.#start + offset, into);
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    const length = Math.min(from.length, this.#length - offset);
    if (length > 0) return this.#file.write(this.#start + offset, from.subarray(0, length));
  }

  flush(): MaybePromise<void> {
    return this.#file.flush();
  }

  close(): void {}
}

function windowOf(file: Storage, start: number, length: number): Storage {
  return new CheckedStorage(new TableWindow(file, start, length), { name: file.name, readOnly: file.readOnly });
}
