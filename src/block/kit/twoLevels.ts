/** Tables of units that are found through a table of their own (L1 and L2 tables). */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
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
  readonly #units: Units;
  readonly #tableAt: PlaceAt;

  constructor({ file, units, l1Offset, l1Entries, l2Entries, tableAt }: LevelParts) {
    this.l1 = new PagedTable({ file, offset: l1Offset, entries: l1Entries, entryBytes: 8, budget: L1_BUDGET });
    this.l2 = new PagedTable({ file, entries: l2Entries, entryBytes: 8, budget: L2_BUDGET });
    this.coverage = l2Entries * units.size;
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
   * The run at a guest offset: in one page of an L2 table, or of units that have none.
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
      return this.l2.run(this.unitIndex(offset), limit, this.#units.size, placeAt, table);
    }
    const tables = this.tableIndex(offset + length - 1) - index + 1;
    const none = this.l1.runIn(l1, index, tables, 0, (page, at) => this.#tableAt(page, at) || Place.unallocated);
    const end = (index + none.count) * this.l2.entries;
    return { ...none, count: Math.min(limit, end - this.#units.indexOf(offset)) };
  }
}
