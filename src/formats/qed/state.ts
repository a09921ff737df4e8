/** State of an open QED image; the other files of this folder are functions on it. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { type BlockError, invalidImage } from '../../base/error.ts';
import { alignDown, alignUp, SECTOR } from '../../base/offset.ts';
import { MetadataCache, type Table } from '../../block/kit/cache.ts';
import type { BackingReference } from '../../block/capabilities.ts';
import type { Storage } from '../../storage/storage.ts';
import { encodeHeader, Feature, type Header, isTableOffset } from './header.ts';

/** Bytes of a table that are read and written at a time. */
const PAGE = 65536;
/** Bytes of L1 and of L2 tables that are kept. */
const L1_BUDGET = 8388608;
const L2_BUDGET = 33554432;

/** One entry of a table: `table.view` holds it at byte `at`. Valid until something is waited for. */
export interface Slot {
  readonly table: Table;
  readonly at: number;
}

/** A 64-bit table entry, rounded where it is far outside any file. */
export function entryOf(slot: Slot): number {
  const { view } = slot.table;
  return view.getUint32(slot.at + 4, true) * 4294967296 + view.getUint32(slot.at, true);
}

/** Puts an offset into an entry. */
export function setEntry(slot: Slot, offset: number): void {
  const { view } = slot.table;
  const low = offset % 4294967296;
  view.setUint32(slot.at, low, true);
  view.setUint32(slot.at + 4, (offset - low) / 4294967296, true);
}

/** What {@link QedState} is made of. */
export interface ImageParts {
  readonly file: Storage;
  readonly header: Header;
  readonly readOnly: boolean;
  readonly backing: BackingReference | undefined;
}

/** One open QED image. */
export class QedState {
  readonly file: Storage;
  readonly header: Header;
  readonly readOnly: boolean;
  backing: BackingReference | undefined;
  /** Bytes of a table. */
  readonly tableBytes: number;
  /** Entries of a table. */
  readonly tableEntries: number;
  /** Guest bytes that one L2 table covers. */
  readonly l2Coverage: number;
  readonly pageSize: number;
  readonly l1: MetadataCache;
  readonly l2: MetadataCache;
  /** Damage was found that cannot be repaired: the image keeps its mark. */
  damaged = false;
  /** First byte behind all clusters; new ones are put there. */
  #end: number;

  constructor(parts: ImageParts) {
    this.file = parts.file;
    this.header = parts.header;
    this.readOnly = parts.readOnly;
    this.backing = parts.backing;
    const { clusterSize, tableClusters } = parts.header;
    this.tableBytes = clusterSize * tableClusters;
    this.tableEntries = this.tableBytes / 8;
    this.l2Coverage = this.tableEntries * clusterSize;
    this.pageSize = Math.min(PAGE, this.tableBytes);
    this.l1 = new MetadataCache({ storage: this.file, tableSize: this.pageSize, budget: L1_BUDGET });
    this.l2 = new MetadataCache({ storage: this.file, tableSize: this.pageSize, budget: L2_BUDGET });
    // A cluster that is not there as a whole cannot be in use.
    this.#end = alignDown(this.fileSize, clusterSize);
  }

  /** Bytes of the file, in whole sectors. */
  get fileSize(): number {
    return alignUp(this.file.size(), SECTOR);
  }

  /** End of what table entries can refer to, in bytes. */
  get limit(): number {
    return Math.max(this.fileSize, this.#end);
  }

  #slot(cache: MetadataCache, table: number, index: number): MaybePromise<Slot> {
    const at = (index * 8) % this.pageSize;
    const page = cache.get(table + (index * 8 - at));
    return isPromise(page) ? page.then((loaded) => ({ table: loaded, at })) : { table: page, at };
  }

  /** Entry `index` of the L1 table. */
  l1Slot(index: number): MaybePromise<Slot> {
    return this.#slot(this.l1, this.header.l1Offset, index);
  }

  /** Entry `index` of the L2 table at `table`. */
  l2Slot(table: number, index: number): MaybePromise<Slot> {
    return this.#slot(this.l2, table, index);
  }

  /** Checks an L1 entry that is not zero; throws what the real tool reports as `Invalid argument`. */
  checkTable(offset: number): void {
    if (!isTableOffset(this.header, offset, this.limit)) throw invalidOffset(offset);
  }

  /** Reserves adjacent clusters at the end of the file; returns the offset of the first. */
  reserve(clusters: number): number {
    const offset = this.#end;
    this.#end += clusters * this.header.clusterSize;
    return offset;
  }

  /** Takes back a reservation that was not used, if nothing was reserved after it. */
  giveBack(offset: number, clusters: number): void {
    if (this.#end === offset + clusters * this.header.clusterSize) this.#end = offset;
  }

  /** Makes guest data durable; what refers to it is written after. */
  readonly dataBarrier = {
    flush: async (): Promise<void> => {
      // The last cluster may have been written in part, and clusters count only if they are there as a whole.
      if (this.#end > this.file.size()) await this.file.truncate(this.#end);
      await this.file.flush();
    },
  };

  /** Writes the header as it is now. */
  async writeHeader(): Promise<void> {
    await this.file.write(0, encodeHeader(this.header));
  }

  /** Marks the image as being changed, durably, before its tables are. */
  async beginChanges(): Promise<void> {
    if ((this.header.features & Feature.needCheck) !== 0) return;
    this.header.features |= Feature.needCheck;
    await this.writeHeader();
    await this.file.flush();
  }

  /** Takes the mark away, when everything is on the disk. */
  async endChanges(): Promise<void> {
    if ((this.header.features & Feature.needCheck) === 0 || this.damaged) return;
    this.header.features &= ~Feature.needCheck;
    await this.writeHeader();
    await this.file.flush();
  }

  /** Writes everything that is cached: data, then L2 tables, then the L1 table. */
  async flush(): Promise<void> {
    if (this.readOnly) return;
    await this.dataBarrier.flush();
    await this.l2.flush();
    await this.l1.flush();
  }
}

/** The error for an entry that leads nowhere. */
export function invalidOffset(offset: number): BlockError {
  return invalidImage('Invalid argument', { context: { offset, access: 'look up' } });
}
