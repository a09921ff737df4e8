/** From guest offsets to grains: the directory, the tables, and runs of entries of one kind. */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { MetadataCache, type Table } from '../../block/kit/cache.ts';
import { PagedTable } from '../../block/kit/pagedTable.ts';
import type { Mapping } from '../../block/mapping.ts';
import type { Storage } from '../../storage/storage.ts';

/** Bytes of grain tables that are kept. */
const TABLE_BUDGET = 16777216;
/** Bytes of the directory that are kept. */
const DIRECTORY_BUDGET = 4194304;

/** What a table entry says, where it is not the place of a grain. */
export const Entry = { unallocated: -1, zero: -2, invalid: -3 } as const;

/** How directories and tables of one kind of extent look. */
export interface TableLayout {
  readonly bytes: number;
  readonly grainBytes: number;
  readonly entryBytes: 4 | 8;
  readonly tableEntries: number;
  readonly directoryOffset: number;
  readonly directoryEntries: number;
  readonly compressed: boolean;
  /** Place of a table from a directory entry at `position`, 0 if there is no table. */
  tableOffset(view: DataView, position: number): number;
  /** Place of a grain in bytes, or one of {@link Entry}. */
  grainOffset(view: DataView, position: number): number;
}

/** The real tool's error for tables that cannot be followed. */
export function ioError(): BlockError {
  return new BlockError('io', 'Input/output error');
}

/** A run of guest bytes of one kind. */
class Run {
  /** One of {@link Entry}; 0: grains, from `host` on. */
  kind = 0;
  host = 0;
  length = 0;

  /** Appends a piece; false if it does not continue the run. @param entry place of the piece or one of {@link Entry}. */
  add(entry: number, length: number, compressed: boolean): boolean {
    const kind = entry < 0 ? entry : 0;
    if (this.length === 0) {
      this.kind = kind;
      this.host = entry;
    } else if (kind !== this.kind || (kind === 0 && !compressed && entry !== this.host + this.length)) {
      return false;
    }
    this.length += length;
    return true;
  }
}

function sameEntry(view: DataView, a: number, b: number, bytes: number): boolean {
  return view.getInt32(a) === view.getInt32(b) && (bytes === 4 || view.getInt32(a + 4) === view.getInt32(b + 4));
}

/** The tables of one extent. */
export class GrainTables {
  readonly layout: TableLayout;
  readonly tables: MetadataCache;
  /** Guest bytes that one table stands for. */
  readonly coverage: number;
  readonly #storage: Storage;
  readonly #directory: PagedTable;
  /** What was last learned about holes of the file. */
  #extent = { start: 0, end: 0, hole: false };

  constructor(storage: Storage, layout: TableLayout) {
    this.layout = layout;
    this.coverage = layout.grainBytes * layout.tableEntries;
    this.#storage = storage;
    const tableSize = layout.tableEntries * layout.entryBytes;
    this.tables = new MetadataCache({ storage, tableSize, budget: TABLE_BUDGET });
    this.#directory = new PagedTable({
      file: storage,
      offset: layout.directoryOffset,
      entries: layout.directoryEntries,
      entryBytes: layout.entryBytes,
      budget: DIRECTORY_BUDGET,
    });
  }

  /** Place of table `index`, 0 if there is none. */
  tableOffset(index: number): MaybePromise<number> {
    if (index >= this.layout.directoryEntries) throw ioError();
    return andThen(this.#directory.page(index), ({ view }) =>
      this.layout.tableOffset(view, this.#directory.position(index)),
    );
  }

  /** Forgets what is known of the directory: it was changed in the storage. */
  forgetDirectory(): void {
    this.#directory.pages.clear();
  }

  /** Table `index`, undefined if there is none, or if it is surely empty. */
  table(index: number): MaybePromise<Table | undefined> {
    return andThen(this.tableOffset(index), (offset) => {
      if (offset === 0) return undefined;
      // Where nothing is written, the file says quicker than its bytes that tables are empty.
      if (!this.#storage.readOnly) return this.tables.get(offset);
      return andThen(this.#isHole(offset), (hole) => (hole ? undefined : this.tables.get(offset)));
    });
  }

  /** True if the whole table at `offset` is in a hole of the file, or beyond its end. */
  #isHole(offset: number): MaybePromise<boolean> {
    const end = offset + this.tables.tableSize;
    const size = this.#storage.size();
    if (offset >= size) return true;
    const { start, end: stop, hole } = this.#extent;
    if (start <= offset && (hole ? end : offset + 1) <= stop) return hole;
    return andThen(this.#storage.status(offset, size - offset), (extent) => {
      this.#extent = { start: offset, end: offset + extent.length, hole: extent.kind === 'hole' };
      return extent.kind === 'hole' && end <= offset + extent.length;
    });
  }

  /** Place of the table for a guest byte, 0 if there is none, and the guest bytes that a table stands for. */
  tableOf(offset: number): MaybePromise<{ readonly table: number; readonly coverage: number }> {
    const { coverage } = this;
    return andThen(this.tableOffset(Math.floor(offset / coverage)), (table) => ({ table, coverage }));
  }

  /** Entry of the grain with guest offset `offset`. */
  entry(offset: number): MaybePromise<number> {
    return andThen(this.table(Math.floor(offset / this.coverage)), (table) =>
      table ? this.layout.grainOffset(table.view, this.position(offset)) : Entry.unallocated,
    );
  }

  /** Position within a table of the entry for a guest offset. */
  position(offset: number): number {
    return Math.floor((offset % this.coverage) / this.layout.grainBytes) * this.layout.entryBytes;
  }

  /** The run at `offset`, at most `length` bytes. */
  map(offset: number, length: number): MaybePromise<Mapping> {
    return this.#follow(offset, length, new Run());
  }

  #follow(start: number, length: number, run: Run): MaybePromise<Mapping> {
    while (run.length < length) {
      const offset = start + run.length;
      const index = Math.floor(offset / this.coverage);
      if (index >= this.layout.directoryEntries && run.length > 0) break;
      const table = this.table(index);
      if (isPromise(table)) {
        return table.then((known) =>
          andThen(this.#add(known, index, start, length, run), (goesOn) =>
            goesOn ? this.#follow(start, length, run) : this.#mapping(run, length),
          ),
        );
      }
      const goesOn = this.#add(table, index, start, length, run);
      if (isPromise(goesOn)) {
        return goesOn.then((more) => (more ? this.#follow(start, length, run) : this.#mapping(run, length)));
      }
      if (!goesOn) break;
    }
    return this.#mapping(run, length);
  }

  /** Adds a table, and what follows of the directory that says the same; false if the run ends before. */
  #add(table: Table | undefined, index: number, start: number, length: number, run: Run): MaybePromise<boolean> {
    const before = run.length;
    if (!this.#scan(table, start + before, start + length, run)) return false;
    const isSame = run.kind !== 0 || this.layout.compressed;
    if (!isSame || run.length - before < this.coverage || run.length >= length) return true;
    return andThen(this.#sameTables(index, Math.ceil((start + length) / this.coverage)), (more) => {
      run.length = Math.min(length, run.length + more * this.coverage);
      return true;
    });
  }

  /** How many directory entries behind `index`, up to `end`, in the same page of it, name the same table. */
  #sameTables(index: number, end: number): MaybePromise<number> {
    const { entryBytes, directoryEntries } = this.layout;
    return andThen(this.#directory.page(index), ({ view }) => {
      const first = this.#directory.position(index);
      const most = Math.min(end, directoryEntries, index + this.#directory.rest(index)) - index;
      let count = 1;
      while (count < most && sameEntry(view, first, first + count * entryBytes, entryBytes)) count++;
      return count - 1;
    });
  }

  /** Adds one table's entries from `offset` to `end`; false if the run ends before. */
  #scan(table: Table | undefined, offset: number, end: number, run: Run): boolean {
    const { grainBytes, compressed, entryBytes } = this.layout;
    const tableEnd = Math.min(end, offset - (offset % this.coverage) + this.coverage);
    if (!table) return run.add(Entry.unallocated, tableEnd - offset, compressed);
    let position = this.position(offset);
    for (let at = offset; at < tableEnd; position += entryBytes) {
      const inGrain = at % grainBytes;
      const entry = this.layout.grainOffset(table.view, position);
      if (entry === Entry.invalid) {
        if (run.length > 0) return false;
        throw ioError();
      }
      if (!run.add(entry < 0 ? entry : entry + inGrain, grainBytes - inGrain, compressed)) return false;
      at += grainBytes - inGrain;
    }
    return true;
  }

  #mapping(run: Run, limit: number): Mapping {
    const length = Math.min(run.length, limit);
    if (run.kind === Entry.unallocated) return { kind: 'unallocated', length };
    if (run.kind === Entry.zero) return { kind: 'zero', length };
    if (this.layout.compressed) return { kind: 'special', length, compressed: true, encrypted: false };
    return { kind: 'data', length, storage: this.#storage, offset: run.host };
  }
}
