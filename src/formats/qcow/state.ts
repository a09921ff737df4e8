/** State of an open qcow image; the other files of this folder are functions on it. */
import type { MaybePromise } from '../../base/async.ts';
import { type BlockError, ioError } from '../../base/error.ts';
import { alignUp, MAX_SIZE } from '../../base/offset.ts';
import type { Table } from '../../block/kit/cache.ts';
import { FileEnd } from '../../block/kit/fileEnd.ts';
import { TwoLevels } from '../../block/kit/twoLevels.ts';
import { Units } from '../../block/kit/units.ts';
import type { MissingTables } from '../../block/node/missing.ts';
import type { Services } from '../../block/services.ts';
import type { SectorCipher } from '../../crypto/sectorCipher.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Header } from './header.ts';

const TWO31 = 2147483648;
const TWO32 = 4294967296;

/** What {@link QcowState} is made of. */
export interface ImageParts {
  readonly file: Storage;
  readonly header: Header;
  readonly filename: string;
  readonly readOnly: boolean;
  readonly services: Services;
  readonly cipher: SectorCipher | undefined;
}

/** One open qcow image. */
export class QcowState {
  readonly file: Storage;
  readonly header: Header;
  readonly filename: string;
  readonly readOnly: boolean;
  readonly services: Services;
  /** Set when the image is encrypted and a key was given. */
  readonly cipher: SectorCipher | undefined;
  readonly clusterSize: number;
  readonly units: Units;
  readonly tables: TwoLevels;
  /** Bytes of an L2 table. */
  readonly tableBytes: number;
  #unreadable: Storage | undefined;
  /** Counts changes of guest content, to know when decoded data is stale. */
  generation = 0;
  /** Tells of L2 tables that are not in the file, while guest data is read. */
  missing: MissingTables | undefined;
  /** Entries of the L1 table were changed: the file may not have them yet. */
  l1Changed = false;
  /** Behind everything in use. */
  end: FileEnd;

  constructor(parts: ImageParts) {
    this.file = parts.file;
    this.header = parts.header;
    this.filename = parts.filename;
    this.readOnly = parts.readOnly;
    this.services = parts.services;
    this.cipher = parts.cipher;
    const { clusterBits, l2Bits, l1Entries, l1Offset } = parts.header;
    this.clusterSize = 2 ** clusterBits;
    this.tableBytes = 2 ** l2Bits * 8;
    this.units = new Units(this.file, this.clusterSize);
    this.tables = new TwoLevels({
      file: this.file,
      units: this.units,
      l1Offset,
      l1Entries,
      l2Entries: 2 ** l2Bits,
      tableAt: entryAt,
    });
    // A last cluster of which the file has only a part belongs to the guest as a whole.
    this.end = new FileEnd(this.file, alignUp(this.file.size(), this.clusterSize));
  }

  /** The file as damaged entries see it: reading fails. */
  get unreadable(): Storage {
    const { file, filename } = this;
    const read = (offset: number): never => {
      throw ioError({ filename, offset });
    };
    // Beyond the end of the file too, where reading would give zeroes.
    const driver = { limits: file.limits, size: () => MAX_SIZE, read, close: () => undefined };
    return (this.#unreadable ??= new CheckedStorage(driver, { name: file.name, readOnly: true }));
  }

  get encrypted(): boolean {
    return this.header.encryption !== 0;
  }

  /** Looks at an entry of the L1 table that is not 0: some lead nowhere. */
  readonly checkTable = (table: number): void => {
    if (table >= 2 ** 63) throw ioError({ filename: this.filename });
  };

  /** The same, for guest data: tells of a table that the file does not have. */
  readonly followTable = (table: number, offset: number): void => {
    this.missing?.look(table, this.tableBytes, offset);
    this.checkTable(table);
  };

  /** Position of a guest cluster's entry in its L2 table. */
  position(guest: number): number {
    return this.tables.l2.position(this.tables.unitIndex(guest));
  }

  /** The L2 table that covers a guest offset; it is made if it is not there. */
  async writableL2(guest: number): Promise<Table> {
    const { l1, l2 } = this.tables;
    const offset = await this.tables.table(guest);
    if (offset !== 0) return this.#existingL2(offset);
    if (l1.stored < l1.entries && !this.l1Changed) throw this.#missingTable(this.header.l1Offset);
    const place = this.end.reserve(this.tableBytes, this.clusterSize);
    const table = await l2.pages.create(place);
    await l1.set(this.tables.tableIndex(guest), 1, l2.pages, (page, at) => writeEntry(page, at, place));
    this.l1Changed = true;
    return table;
  }

  /** Tables that the file does not have as a whole are damage: new clusters could be put over them. */
  #existingL2(offset: number): MaybePromise<Table> {
    if (offset + this.tableBytes <= this.end.offset) return this.tables.l2.page(0, offset);
    throw this.#missingTable(offset);
  }

  #missingTable(offset: number): BlockError {
    return ioError({ filename: this.filename, offset });
  }

  /** Records a change of an L2 table; the data that it refers to now was written before. */
  changed(table: Table): void {
    this.generation++;
    this.tables.l2.pages.writeAfter(this.file);
    this.tables.l2.pages.markDirty(table);
  }

  /** Writes everything that is cached: data, then L2 tables, then the L1 table. */
  async flush(): Promise<void> {
    if (this.readOnly) return;
    await this.tables.l2.pages.flush();
    await this.tables.l1.pages.flush();
    if (this.end.grown) await this.end.complete();
    await this.file.flush();
  }

  /** Forgets all clusters: an empty L1 table, and nothing behind it. */
  async makeEmpty(): Promise<void> {
    const { l1Offset, l1Entries } = this.header;
    this.generation++;
    this.tables.l1.pages.clear();
    this.tables.l2.pages.clear();
    await this.file.writeZeroes(l1Offset, l1Entries * 8);
    await this.file.flush();
    this.end = new FileEnd(this.file, l1Offset + l1Entries * 8);
    await this.file.truncate(this.end.offset);
    await this.file.flush();
  }
}

/** A 64-bit table entry, rounded where it is far outside any file. */
export function entryAt(view: DataView, at: number): number {
  return view.getUint32(at) * TWO32 + view.getUint32(at + 4);
}

/** True if an entry is that of a compressed cluster. */
export function isCompressed(view: DataView, at: number): boolean {
  return view.getUint32(at) >= TWO31;
}

/** Puts an offset below 2^63 into an entry. */
export function writeEntry(view: DataView, at: number, offset: number): void {
  const low = offset % TWO32;
  view.setUint32(at, (offset - low) / TWO32);
  view.setUint32(at + 4, low);
}

/** Where the bytes of a compressed cluster are. */
export interface CompressedPlace {
  readonly offset: number;
  readonly length: number;
}

/** The place in an entry: bit 63 marks it, the next `clusterBits` bits are the length, the others the offset. */
export function compressedPlace(view: DataView, at: number, clusterBits: number): CompressedPlace {
  const entry = view.getBigUint64(at);
  const shift = BigInt(63 - clusterBits);
  const length = Number((entry >> shift) & ((1n << BigInt(clusterBits)) - 1n));
  return { offset: Number(entry & ((1n << shift) - 1n)), length };
}

/** Puts a compressed cluster into an entry. */
export function writeCompressed(view: DataView, at: number, clusterBits: number, place: CompressedPlace): void {
  const shift = BigInt(63 - clusterBits);
  view.setBigUint64(at, (1n << 63n) | (BigInt(place.length) << shift) | BigInt(place.offset));
}
