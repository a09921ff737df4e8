/**
 * Cache of metadata tables (L2 tables, refcount blocks, grain tables) over a storage, with the order of writing as
 * data: a cache can be told that its changes must not reach the disk before something else did.
 */
import { isPromise, type MaybePromise, andThen } from '../../base/async.ts';
import type { DebugEvent, Storage } from '../../storage/storage.ts';
import { Barrier, behind, type Flushable, type Pending } from './barrier.ts';

/** One cached table. Valid until the caller waits for something: get it again afterwards. */
export class Table {
  /** Where the table is in the storage. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Changed since it was last written. Set through {@link MetadataCache.markDirty}. */
  dirty = false;
  /** Somebody waited for it, who may not have had his turn yet. */
  awaited = false;

  constructor(offset: number, bytes: Uint8Array) {
    this.offset = offset;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

/** Largest single write of adjacent tables in bytes. */
const RUN = 4194304;

/** How a {@link MetadataCache} is set up. */
export interface CacheOptions {
  readonly storage: Storage;
  /** Bytes in each table. */
  readonly tableSize: number;
  /** Bytes of tables to keep; at least two tables are kept. */
  readonly budget: number;
  /** Nothing is ever changed. */
  readonly readOnly?: boolean;
  /** What always has to be on the disk before any table is written. */
  readonly after?: () => readonly Pending[];
  /** What the storage is told of. */
  readonly events?: { readonly load: DebugEvent; readonly write: DebugEvent };
  /** Throws if nothing may be written to a byte range: other metadata is there. */
  readonly mayWrite?: (offset: number, length: number) => MaybePromise<void>;
}

/** Tables that are kept at first where nothing is changed: so many bytes, but not fewer than so many tables. */
const FIRST = { bytes: 2097152, tables: 16 } as const;

/**
 * How many tables are kept of storages that are only read: few, whose memory is used again and again, until one is asked
 * for that was given up. Who goes through all tables once touches little memory; whoever comes back soon has more of them.
 */
class Kept {
  limit: number;
  readonly #most: number;
  readonly #spare: Uint8Array[] = [];
  /** Places of tables that were given up. */
  readonly #gone = new Set<number>();

  constructor(tableSize: number, most: number) {
    this.#most = most;
    this.limit = Math.min(most, Math.max(FIRST.tables, Math.floor(FIRST.bytes / tableSize)));
  }

  /** Memory for the table at `offset`, if there is some. */
  memoryFor(offset: number): Uint8Array | undefined {
    if (this.#gone.delete(offset)) {
      this.limit = Math.min(this.#most, this.limit * 2);
      this.#gone.clear();
    }
    return this.#spare.pop();
  }

  giveUp({ offset, bytes, awaited }: Table): void {
    if (this.#gone.size < this.#most) this.#gone.add(offset);
    if (!awaited) this.#spare.push(bytes);
  }
}

/** Changed tables that follow each other, as they are going to be written. */
interface TableRun {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly tables: readonly Table[];
}

/** LRU cache of tables of one size. */
export class MetadataCache implements Pending {
  readonly tableSize: number;
  readonly #storage: Storage;
  readonly #capacity: number;
  /** Undefined where tables may change, or are too few for their memory to be used again. */
  readonly #kept: Kept | undefined;
  /** What has to be on the disk before any table is written. */
  readonly #first: () => readonly Pending[];
  readonly #mayWrite: CacheOptions['mayWrite'];
  readonly #events: CacheOptions['events'];
  /** Tables that are written, but perhaps not durable. */
  readonly #written: Barrier;
  /** In order of use, the least recently used first. */
  readonly #tables = new Map<number, Table>();
  readonly #loading = new Map<number, Promise<Table>>();
  readonly #dirty = new Set<Table>();
  /** Being written: no longer marked as changed, but the storage does not hold them yet. */
  readonly #busy = new Set<Table>();
  readonly #before = new Set<Flushable>();
  #last: Table | undefined;
  #flushing: Promise<void> | undefined;

  constructor(options: CacheOptions) {
    this.tableSize = options.tableSize;
    this.#storage = options.storage;
    const before = this.#before;
    const once: Pending = {
      get isPending() {
        return before.size > 0;
      },
      flush: () => this.#flushBefore(),
    };
    this.#first = () => [...(options.after?.() ?? []), once];
    this.#mayWrite = options.mayWrite;
    this.#events = options.events;
    this.#written = new Barrier(() => this.#storage.flush());
    this.#capacity = Math.max(2, Math.floor(options.budget / options.tableSize));
    const reuse = options.readOnly && this.#capacity >= FIRST.tables;
    this.#kept = reuse ? new Kept(options.tableSize, this.#capacity) : undefined;
  }

  /** True if a table has changes that are not written. */
  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  get isPending(): boolean {
    return this.#dirty.size > 0 || this.#flushing !== undefined || this.#written.isPending;
  }

  /** The table at `offset`, at once if it is cached. Bytes beyond the end of the storage read as zeroes. */
  get(offset: number): MaybePromise<Table> {
    if (this.#last?.offset === offset) return this.#last;
    const cached = this.#tables.get(offset);
    if (cached) return this.#touch(cached);
    const loading = this.#loading.get(offset);
    if (loading) return loading;
    const room = this.#makeRoom();
    if (isPromise(room))
      return this.#remember(
        offset,
        room.then(() => this.#load(offset)),
      );
    const loaded = this.#load(offset);
    return isPromise(loaded) ? this.#remember(offset, loaded) : loaded;
  }

  #touch(table: Table): Table {
    this.#tables.delete(table.offset);
    this.#tables.set(table.offset, table);
    this.#last = table;
    return table;
  }

  #remember(offset: number, loading: Promise<Table>): Promise<Table> {
    const tracked = loading.finally(() => this.#loading.delete(offset));
    this.#loading.set(offset, tracked);
    return tracked;
  }

  #load(offset: number): MaybePromise<Table> {
    const bytes = this.#kept?.memoryFor(offset) ?? new Uint8Array(this.tableSize);
    if (this.#events) this.#storage.debugEvent?.(this.#events.load);
    const reading = this.#storage.readPadded(offset, bytes);
    return andThen(reading, () => {
      // A table of that place may have been created meanwhile: it is newer than what was read.
      const known = this.#tables.get(offset);
      if (known) return known;
      const table = new Table(offset, bytes);
      table.awaited = isPromise(reading);
      return this.#touch(table);
    });
  }

  /** A new table at `offset`, all zero or with a copy of `content`; it counts as changed. */
  create(offset: number, content?: Uint8Array): MaybePromise<Table> {
    return andThen(this.#makeRoom(), () => {
      const old = this.#tables.get(offset);
      if (old) this.#drop(old);
      const table = new Table(offset, content ? content.slice() : new Uint8Array(this.tableSize));
      this.#touch(table);
      this.markDirty(table);
      return table;
    });
  }

  /** Records that `table` was changed. */
  markDirty(table: Table): void {
    if (table.dirty) return;
    table.dirty = true;
    this.#dirty.add(table);
  }

  /** No change made until now may be written before `other` is flushed. */
  writeAfter(other: Flushable): void {
    this.#before.add(other);
  }

  /** Forgets a table without writing it: its place has another use now. */
  forget(offset: number): void {
    const table = this.#tables.get(offset);
    if (table) this.#drop(table);
  }

  /** Forgets everything without writing. */
  clear(): void {
    for (const table of this.#tables.values()) this.#drop(table);
  }

  #drop(table: Table): void {
    this.#tables.delete(table.offset);
    this.#dirty.delete(table);
    table.dirty = false;
    if (this.#last === table) this.#last = undefined;
  }

  #makeRoom(): MaybePromise<void> {
    if (this.#tables.size < (this.#kept?.limit ?? this.#capacity)) return;
    for (const table of this.#tables.values()) {
      if (table.dirty || this.#busy.has(table)) continue;
      this.#drop(table);
      this.#kept?.giveUp(table);
      return;
    }
    return andThen(this.#flushing ?? this.write(), () => this.#makeRoom());
  }

  /** Writes all changed tables in safe order, and makes them durable. */
  flush(): MaybePromise<void> {
    return andThen(this.write(), () => this.#written.flush());
  }

  /** Writes all changed tables in safe order; they are not yet durable. */
  write(): MaybePromise<void> {
    if (this.#flushing) return this.#flushing.then(() => this.write());
    if (this.#dirty.size === 0) return;
    this.#flushing = this.#writeAll().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #writeAll(): Promise<void> {
    const runs = await behind(this.#first, () => this.#takeRuns());
    for (const [index, run] of runs.entries()) {
      try {
        await this.#mayWrite?.(run.offset, run.bytes.length);
        this.#written.arm();
        if (this.#events) this.#storage.debugEvent?.(this.#events.write);
        await this.#storage.write(run.offset, run.bytes);
      } catch (error) {
        for (const failed of runs.slice(index)) this.#restore(failed.tables);
        this.#busy.clear();
        throw error;
      }
      for (const table of run.tables) this.#busy.delete(table);
    }
  }

  /** Copies of the changed tables, which count as written from here on. */
  #takeRuns(): TableRun[] {
    const tables = [...this.#dirty].sort((a, b) => a.offset - b.offset);
    const runs: TableRun[] = [];
    for (let i = 0; i < tables.length; ) {
      const count = adjacent(tables, i, this.tableSize);
      const run = tables.slice(i, i + count);
      const bytes = new Uint8Array(count * this.tableSize);
      run.forEach((table, k) => {
        bytes.set(table.bytes, k * this.tableSize);
        table.dirty = false;
        this.#dirty.delete(table);
        this.#busy.add(table);
      });
      runs.push({ offset: run[0]?.offset ?? 0, bytes, tables: run });
      i += count;
    }
    return runs;
  }

  async #flushBefore(): Promise<void> {
    const first = [...this.#before];
    this.#before.clear();
    try {
      for (const other of first) await other.flush();
    } catch (error) {
      for (const other of first) this.#before.add(other);
      throw error;
    }
  }

  #restore(tables: readonly Table[]): void {
    for (const table of tables) if (this.#tables.get(table.offset) === table) this.markDirty(table);
  }
}

/** How many tables from `start` on follow each other without a gap and fit into one write. */
function adjacent(tables: readonly Table[], start: number, size: number): number {
  const first = tables[start]?.offset ?? 0;
  let count = 1;
  while ((count + 1) * size <= RUN && tables[start + count]?.offset === first + count * size) count++;
  return count;
}
