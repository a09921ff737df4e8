/** Tables of units that are found through a table of their own (L1 and L2 tables). */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import { MAX_DISK } from '../../base/offset.ts';
import type { Storage } from '../../storage/storage.ts';
import { PagedTable, type PlaceAt, type TableRun } from './pagedTable.ts';
import { Place, type Units } from './units.ts';

/** Bytes of L1 and of L2 tables that are kept. */
const L1_BUDGET = 8388608;
const L2_BUDGET = 33554432;

/** What {@link TwoLevels} is made of. Entries have 8 bytes. */
export interface LevelParts {
  readonly file: Storage;
  readonly units: Units;
  readonly l1Offset: number;
  readonly l1Entries: number;
  /** Entries of an L2 table, a power of two of at least 64. */
  readonly l2Entries: number;
  /** Reads an entry of the L1 table: the place of an L2 table, 0 if there is none. */
  readonly tableAt: PlaceAt;
}

/** Sees the place of an L2 table and the guest byte that it is looked at for. */
export type Follow = (table: number, offset: number) => void;

/** Both levels. */
export class TwoLevels {
  readonly l1: PagedTable;
  /** The L2 tables, each looked at by its place. */
  readonly l2: PagedTable;
  /** Guest bytes that an L2 table stands for. */
  readonly coverage: number;
  readonly #file: Storage;
  readonly #units: Units;
  readonly #tableAt: PlaceAt;
  /** The last table that says the same of all its units, and what; kept where nothing changes. */
  #uniform: { readonly table: number; readonly place: number } | undefined;

  constructor({ file, units, l1Offset, l1Entries, l2Entries, tableAt }: LevelParts) {
    this.l1 = new PagedTable({ file, offset: l1Offset, entries: l1Entries, entryBytes: 8, budget: L1_BUDGET });
    this.l2 = new PagedTable({ file, entries: l2Entries, entryBytes: 8, budget: L2_BUDGET });
    this.coverage = l2Entries * units.size;
    this.#file = file;
    this.#units = units;
    this.#tableAt = tableAt;
  }

  /** Entry of the L1 table for a guest byte. */
  tableIndex(offset: number): number {
    return Math.floor(offset / this.coverage);
  }

  /** Entry of an L2 table for a guest byte. */
  unitIndex(offset: number): number {
    return this.#units.indexOf(offset) - this.tableIndex(offset) * this.l2.entries;
  }

  /** Place of the L2 table for a guest byte, 0 if there is none. */
  table(offset: number): MaybePromise<number> {
    const index = this.tableIndex(offset);
    return andThen(this.l1.page(index), ({ view }) => this.#tableAt(view, this.l1.position(index)));
  }

  /** Bytes of a guest range that one L2 table stands for. */
  lengthIn(offset: number, length: number): number {
    return Math.min(length, this.coverage - (offset % this.coverage));
  }

  /**
   * The run at a guest offset: in one page of an L2 table, of units that have none, or of tables that say nothing else.
   * @param follow sees the place of the L2 table before it is read, and throws if that cannot be.
   */
  run(offset: number, length: number, placeAt: PlaceAt, follow: Follow): MaybePromise<TableRun> {
    const page = this.l1.page(this.tableIndex(offset));
    if (isPromise(page)) return page.then(({ view }) => this.#runBelow(view, offset, length, placeAt, follow));
    return this.#runBelow(page.view, offset, length, placeAt, follow);
  }

  #runBelow(l1: DataView, offset: number, length: number, placeAt: PlaceAt, follow: Follow): MaybePromise<TableRun> {
    const index = this.tableIndex(offset);
    const limit = this.#units.count(offset, length);
    const table = this.#tableAt(l1, this.l1.position(index));
    if (table !== 0) {
      follow(table, offset);
      const first = this.unitIndex(offset);
      if (!this.#file.readOnly || first > 0 || limit < this.l2.entries) {
        return this.l2.run(first, limit, this.#units.size, placeAt, table);
      }
      return andThen(this.#natureOf(table, placeAt), (place) => {
        if (place === undefined) return this.l2.run(0, limit, this.#units.size, placeAt, table);
        return this.#sameTables(l1, offset, limit, table, place);
      });
    }
    return this.#sameTables(l1, offset, limit, 0, Place.unallocated);
  }

  /** The run of units whose tables are the one at `table` (0: none), which says `place` of all of them. */
  #sameTables(l1: DataView, offset: number, limit: number, table: number, place: number): TableRun {
    const first = this.#units.indexOf(offset);
    const index = this.tableIndex(offset);
    const tables = Math.ceil((this.unitIndex(offset) + limit) / this.l2.entries);
    // Whoever follows the first table that the file does not have may follow all of them.
    const isMissing = this.#isMissing(table);
    const same = this.l1.runIn(l1, index, tables, 0, (page, at) => {
      const next = this.#tableAt(page, at);
      return next === table || (isMissing && this.#isMissing(next)) ? -1 : 0;
    });
    const end = (index + same.count) * this.l2.entries;
    return { ...same, place, count: Math.min(limit, end - first) };
  }

  /**
   * What a table says of all its units, where that is the same and no place. In damaged images one table may be named by
   * all entries, or lie where the file has nothing: neither is worth more than one look.
   */
  #natureOf(table: number, placeAt: PlaceAt): MaybePromise<number | undefined> {
    if (this.#isMissing(table)) return Place.unallocated;
    if (this.#uniform?.table === table) return this.#uniform.place;
    return andThen(this.#scan(table, 0, placeAt), (place) => {
      if (place !== undefined) this.#uniform = { table, place };
      return place;
    });
  }

  #isMissing(table: number): boolean {
    return table >= this.#file.size() && table < MAX_DISK;
  }

  /** The place that all units of a table from `index` on have, if it is none. */
  #scan(table: number, index: number, placeAt: PlaceAt, before?: number): MaybePromise<number | undefined> {
    return andThen(this.l2.run(index, this.l2.entries - index, 0, placeAt, table), ({ place, count }) => {
      if (place >= 0 || place <= Place.special || (before !== undefined && place !== before)) return undefined;
      const next = index + count;
      if (next >= this.l2.entries) return place;
      // Where a page ends the next one may go on.
      return this.l2.position(next) === 0 ? this.#scan(table, next, placeAt, place) : undefined;
    });
  }
}
