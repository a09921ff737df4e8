/** State of an open qcow image; the other files of this folder are functions on it. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { type BlockError, ioError } from '../../base/error.ts';
import { alignDown, alignUp, MAX_SIZE, SECTOR } from '../../base/offset.ts';
import { MetadataCache, type Table } from '../../block/kit/cache.ts';
import type { MissingTables } from '../../block/node/missing.ts';
import { tableWindow } from '../../block/kit/tableWindow.ts';
import type { Services } from '../../block/services.ts';
import type { SectorCipher } from '../../crypto/sectorCipher.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Header } from './header.ts';

/** Bytes of the L1 table that are read and written at a time. */
const L1_PAGE = 65536;
/** Bytes of L1 and of L2 tables that are kept. */
const L1_BUDGET = 8388608;
const L2_BUDGET = 33554432;

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
  /** Entries of an L2 table. */
  readonly l2Entries: number;
  /** Guest bytes that one L2 table covers. */
  readonly l2Coverage: number;
  readonly l1: MetadataCache;
  readonly l2: MetadataCache;
  readonly #l1Page: number;
  #unreadable: Storage | undefined;
  /** Counts changes of guest content, to know when decoded data is stale. */
  generation = 0;
  /** Tells of L2 tables that are not in the file, while guest data is read. */
  missing: MissingTables | undefined;
  /** Entries of the L1 table were changed: the file may not have them yet. */
  l1Changed = false;
  /** First byte of the file that is not in use. */
  #end: number;
  /** Something was put there. */
  #grown = false;

  constructor(parts: ImageParts) {
    this.file = parts.file;
    this.header = parts.header;
    this.filename = parts.filename;
    this.readOnly = parts.readOnly;
    this.services = parts.services;
    this.cipher = parts.cipher;
    const { clusterBits, l2Bits, l1Entries, l1Offset } = parts.header;
    this.clusterSize = 2 ** clusterBits;
    this.l2Entries = 2 ** l2Bits;
    this.l2Coverage = this.clusterSize * this.l2Entries;
    const l1Bytes = l1Entries * 8;
    this.#l1Page = Math.min(L1_PAGE, alignUp(Math.max(8, l1Bytes), SECTOR));
    const storage = tableWindow(this.file, l1Offset, l1Bytes);
    this.l1 = new MetadataCache({ storage, tableSize: this.#l1Page, budget: L1_BUDGET });
    this.l2 = new MetadataCache({ storage: this.file, tableSize: this.l2Entries * 8, budget: L2_BUDGET });
    // A last cluster of which the file has only a part belongs to the guest as a whole.
    this.#end = alignUp(this.file.size(), this.clusterSize);
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

  /** Entries of the L1 table that the file really has; the others are zero. */
  get storedL1Entries(): number {
    const { l1Offset, l1Entries } = this.header;
    return Math.max(0, Math.min(l1Entries, Math.ceil((this.file.size() - l1Offset) / 8)));
  }

  /** The page of the L1 table with entry `index`. */
  l1Page(index: number): MaybePromise<Table> {
    return this.l1.get(alignDown(index * 8, this.#l1Page));
  }

  /** Position of entry `index` in its page of the L1 table. */
  l1Position(index: number): number {
    return (index * 8) % this.#l1Page;
  }

  /** Entries of the L1 table from `index` on that are in the same page. */
  l1Rest(index: number): number {
    return (this.#l1Page - this.l1Position(index)) / 8;
  }

  /** The L2 table at an offset from the L1 table, which is not 0. */
  l2Table(offset: number): MaybePromise<Table> {
    if (offset >= 2 ** 63) throw ioError({ filename: this.filename });
    return this.l2.get(offset);
  }

  /** Position of a guest cluster's entry in its L2 table. */
  position(guest: number): number {
    return Math.floor((guest % this.l2Coverage) / this.clusterSize) * 8;
  }

  /** Reserves bytes at the end of the file, at a multiple of `unit`. */
  reserve(length: number, unit: number): number {
    const offset = alignUp(this.#end, unit);
    this.#end = offset + length;
    this.#grown = true;
    return offset;
  }

  /** Takes back a reservation that was not used, if nothing was reserved after it. */
  giveBack(offset: number, length: number): void {
    if (this.#end === offset + length) this.#end = offset;
  }

  /** The L2 table that covers a guest offset; it is made if it is not there. */
  async writableL2(guest: number): Promise<Table> {
    const index = Math.floor(guest / this.l2Coverage);
    const found = this.l1Page(index);
    const page = isPromise(found) ? await found : found;
    const offset = readEntry(page.view, this.l1Position(index));
    if (offset !== 0) return this.#existingL2(offset);
    if (this.storedL1Entries < this.header.l1Entries && !this.l1Changed) throw this.#missingTable(this.header.l1Offset);
    const place = this.reserve(this.l2Entries * 8, this.clusterSize);
    const table = await this.l2.create(place);
    const again = await this.l1Page(index);
    writeEntry(again.view, this.l1Position(index), place);
    this.l1.writeAfter(this.l2);
    this.l1.markDirty(again);
    this.l1Changed = true;
    return table;
  }

  /** Tables that the file does not have as a whole are damage: new clusters could be put over them. */
  #existingL2(offset: number): MaybePromise<Table> {
    if (offset + this.l2Entries * 8 <= this.#end) return this.l2Table(offset);
    throw this.#missingTable(offset);
  }

  #missingTable(offset: number): BlockError {
    return ioError({ filename: this.filename, offset });
  }

  /** Records a change of an L2 table; the data that it refers to now was written before. */
  changed(table: Table): void {
    this.generation++;
    this.l2.writeAfter(this.#dataBarrier);
    this.l2.markDirty(table);
  }

  readonly #dataBarrier = { flush: (): MaybePromise<void> => this.file.flush() };

  /** Writes everything that is cached: data, then L2 tables, then the L1 table. */
  async flush(): Promise<void> {
    if (this.readOnly) return;
    await this.l2.flush();
    await this.l1.flush();
    // The last cluster may have been written in part.
    if (this.#grown && this.file.size() < this.#end) await this.file.truncate(this.#end);
    await this.file.flush();
  }

  /** Forgets all clusters: an empty L1 table, and nothing behind it. */
  async makeEmpty(): Promise<void> {
    const { l1Offset, l1Entries } = this.header;
    this.generation++;
    this.l1.clear();
    this.l2.clear();
    await this.file.writeZeroes(l1Offset, l1Entries * 8);
    await this.file.flush();
    this.#end = l1Offset + l1Entries * 8;
    this.#grown = false;
    await this.file.truncate(this.#end);
    await this.file.flush();
  }
}

/** A 64-bit table entry, rounded where it is far outside any file. */
export function readEntry(view: DataView, at: number): number {
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
