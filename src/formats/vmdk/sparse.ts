/** Sparse extents that are read and written in place: hosted ones and those of ESX Server (COWD). */
import { andThen, type MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import { FileEnd } from '../../block/kit/fileEnd.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import type { Extent } from './extent.ts';
import { Entry, GrainTables, type TableLayout } from './grains.ts';
import type { SparseHeader } from './header.ts';

/** Table entry of a grain of zeroes, where the header allows it. */
const ZERO_ENTRY = 1;
/** Sectors that a table entry can name. */
const MAX_SECTORS = 2 ** 32;

/** Directory and tables as a header describes them. */
export function layoutOfHeader(header: SparseHeader): TableLayout {
  const { zeroedGrains } = header;
  return {
    bytes: header.capacity,
    grainBytes: header.grainBytes,
    entryBytes: 4,
    tableEntries: header.tableEntries,
    directoryOffset: header.directoryOffset,
    directoryEntries: header.directoryEntries,
    compressed: header.compressed,
    tableOffset: (view, position) => view.getUint32(position, true) * SECTOR,
    grainOffset: (view, position) => {
      const sector = view.getUint32(position, true);
      if (sector === 0) return Entry.unallocated;
      return zeroedGrains && sector === ZERO_ENTRY ? Entry.zero : sector * SECTOR;
    },
  };
}

/** Tables that can be changed: both copies are kept in step, and written after the grains that they name. */
export class WritableTables extends GrainTables {
  readonly storage: Storage;
  readonly #redundant: number | undefined;
  #end: FileEnd | undefined;

  /** @param redundantOffset place of the second directory, if the extent has one. */
  constructor(storage: Storage, layout: TableLayout, redundantOffset: number | undefined) {
    super(storage, layout);
    this.storage = storage;
    this.#redundant = redundantOffset;
  }

  /** Behind everything that is in use; from the first change on, which may have made the descriptor longer. */
  get end(): FileEnd {
    this.#end ??= new FileEnd(this.storage, this.storage.size(), (_, end) => {
      if (end / SECTOR > MAX_SECTORS) throw new BlockError('too-large', 'File too large');
    });
    return this.#end;
  }

  /** Records entries of consecutive grains from guest offset `offset` on. They must lie in one table. */
  async setEntries(offset: number, sectors: readonly number[]): Promise<void> {
    const index = Math.floor(offset / this.coverage);
    const position = this.position(offset);
    const primary = await this.tableOffset(index);
    const second = await this.#secondTable(index);
    this.tables.writeAfter(this.storage);
    for (const place of second === 0 || second === primary ? [primary] : [primary, second]) {
      const found = this.tables.get(place);
      const table = found instanceof Promise ? await found : found;
      sectors.forEach((sector, i) => table.view.setUint32(position + i * 4, sector, true));
      this.tables.markDirty(table);
    }
  }

  async #secondTable(index: number): Promise<number> {
    if (this.#redundant === undefined) return 0;
    const entry = await readAt(this.storage, this.#redundant + index * 4, 4);
    return this.layout.tableOffset(new DataView(entry.buffer), 0);
  }

  /** Makes sure that table `index` exists. A new one is on the disk before the directory names it. */
  async ensureTable(index: number): Promise<void> {
    if ((await this.tableOffset(index)) !== 0) return;
    const bytes = alignUp(this.layout.tableEntries * 4, SECTOR);
    const copies = this.#redundant === undefined ? 1 : 2;
    const place = this.end.reserve(bytes * copies, SECTOR);
    await this.storage.write(place, new Uint8Array(bytes * copies));
    await this.storage.flush();
    await this.#name(this.layout.directoryOffset + index * 4, place);
    if (this.#redundant !== undefined) await this.#name(this.#redundant + index * 4, place + bytes);
    this.forgetDirectory();
  }

  async #name(where: number, place: number): Promise<void> {
    const entry = new Uint8Array(4);
    new DataView(entry.buffer).setUint32(0, place / SECTOR, true);
    await this.storage.write(where, entry);
  }

  /** Writes tables in safe order, completes the last grain, and makes all durable. */
  async flush(): Promise<void> {
    if (this.storage.readOnly) return;
    await this.#end?.complete();
    await this.tables.flush();
    await this.storage.flush();
  }
}

/** A sparse extent of plain grains. */
export class SparseExtent implements Extent {
  readonly bytes: number;
  readonly grainBytes: number;
  readonly compressed = false;
  readonly zeroedGrains: boolean;
  readonly storage: Storage;
  readonly type: string;
  readonly tables: WritableTables;

  constructor(storage: Storage, type: string, header: SparseHeader) {
    this.storage = storage;
    this.type = type;
    this.bytes = header.capacity;
    this.grainBytes = header.grainBytes;
    this.zeroedGrains = header.zeroedGrains;
    this.tables = new WritableTables(storage, layoutOfHeader(header), header.redundantOffset);
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return this.tables.map(offset, length);
  }

  tableOf(offset: number): MaybePromise<{ readonly table: number; readonly coverage: number }> {
    return this.tables.tableOf(offset);
  }

  async allocate(offset: number, length: number): Promise<Allocation> {
    const { grainBytes, tables } = this;
    const index = Math.floor(offset / tables.coverage);
    const start = offset - (offset % grainBytes);
    const end = Math.min(offset + length, (index + 1) * tables.coverage);
    await tables.ensureTable(index);
    const known = await tables.map(start, Math.min(end, this.bytes) - start);
    const grains = Math.ceil(known.length / grainBytes);
    const room = Math.min(start + grains * grainBytes, this.bytes) - start;
    const { storage } = this;
    if (known.kind === 'data') return { start, length: room, storage, offset: known.offset, fresh: false };
    const place = tables.end.reserve(grains * grainBytes, grainBytes);
    const sectors = Array.from({ length: grains }, (_, i) => (place + i * grainBytes) / SECTOR);
    return {
      start,
      length: room,
      storage,
      offset: place,
      fresh: true,
      zeroed: true,
      commit: () => tables.setEntries(start, sectors),
    };
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    const { tables, grainBytes } = this;
    for (let at = offset; at < offset + length; ) {
      const index = Math.floor(at / tables.coverage);
      const end = Math.min(offset + length, (index + 1) * tables.coverage);
      await tables.ensureTable(index);
      const grains = Math.ceil((end - at) / grainBytes);
      await tables.setEntries(
        at,
        Array.from({ length: grains }, () => ZERO_ENTRY),
      );
      at = end;
    }
  }

  flush(): MaybePromise<void> {
    return andThen(this.tables.flush(), () => {});
  }
}
