/** State of an open VDI image; the other files of this folder are functions on it. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { ioError, posixError } from '../../base/error.ts';
import { alignDown, alignUp } from '../../base/offset.ts';
import { MetadataCache } from '../../block/kit/cache.ts';
import { tableWindow } from '../../block/kit/tableWindow.ts';
import type { Storage } from '../../storage/storage.ts';
import { BLOCK, FIRST_UNALLOCATED, type Header, setAllocated } from './header.ts';

/** Bytes of the block map that are read and written at a time. */
const PAGE = 65536;
/** Bytes of the block map that are kept. */
const BUDGET = 16777216;

/** One open VDI image. */
export class VdiState {
  readonly file: Storage;
  readonly header: Header;
  /** Pages of the block map, by their offset within it. */
  readonly map: MetadataCache;
  readonly pageSize: number;
  /** The 512 bytes of the header as they are to be on the disk. */
  readonly #headerBytes: Uint8Array;
  #headerDirty = false;
  /** Index behind the last block in use; undefined until the block map was looked through. */
  #next: number | undefined;

  constructor(file: Storage, header: Header, headerBytes: Uint8Array) {
    this.file = file;
    this.header = header;
    this.#headerBytes = headerBytes;
    const mapBytes = header.blocks * 4;
    this.pageSize = Math.min(PAGE, alignUp(Math.max(mapBytes, 1), 512));
    const storage = tableWindow(file, header.mapOffset, mapBytes);
    this.map = new MetadataCache({ storage, tableSize: this.pageSize, budget: BUDGET });
  }

  /** Bytes of the block map that the file really has. */
  get storedMapBytes(): number {
    return Math.max(0, Math.min(this.header.blocks * 4, this.file.size() - this.header.mapOffset));
  }

  /** The page of the block map with the entry of a guest block. */
  page(block: number): MaybePromise<DataView> {
    const table = this.map.get(alignDown(block * 4, this.pageSize));
    return isPromise(table) ? table.then(({ view }) => view) : table.view;
  }

  /** Position of a guest block's entry in its page. */
  position(block: number): number {
    return (block * 4) % this.pageSize;
  }

  /** Where block `index` of the file is, in bytes. */
  place(index: number): number {
    return this.header.dataOffset + index * BLOCK;
  }

  /** Bytes of the disk in a guest block: the last one may be short. */
  bytesIn(block: number): number {
    return Math.min(BLOCK, this.header.virtualSize - block * BLOCK);
  }

  /**
   * Reserves `count` blocks behind all others; returns the index of the first. The block map and not the header decides
   * what is free: after a crash the header is out of date.
   */
  async reserve(count: number): Promise<number> {
    const first = this.#next ?? (await this.#findEnd());
    if (first + count > this.header.blocks) throw posixError('no-space', `cannot add blocks to ${this.file.name}`);
    this.#next = first + count;
    return first;
  }

  /** Throws if a block is not in the file: new ones could be put at its place. */
  checkStored(index: number): void {
    if (index < this.header.blocks && this.place(index) < this.file.size()) return;
    const context = { filename: this.file.name, offset: this.place(index), access: 'write' };
    throw ioError(context);
  }

  /** Takes back a reservation that was not used, if nothing was reserved after it. */
  giveBack(first: number, count: number): void {
    if (this.#next === first + count) this.#next = first;
  }

  async #findEnd(): Promise<number> {
    let end = 0;
    const stored = this.storedMapBytes;
    for (let start = 0; start < stored; start += this.pageSize) {
      const table = this.map.get(start);
      const { view } = isPromise(table) ? await table : table;
      const length = Math.min(this.pageSize, this.header.blocks * 4 - start);
      for (let at = 0; at < length; at += 4) {
        const index = view.getUint32(at, true);
        // Entries beyond the number of blocks are damage; they must not push new blocks there.
        if (index >= this.header.blocks || index >= FIRST_UNALLOCATED) continue;
        this.checkStored(index);
        if (index >= end) end = index + 1;
      }
    }
    return end;
  }

  /** Makes guest blocks from `block` on refer to blocks of the file from `index` on. The data has been written. */
  async link(block: number, index: number, count: number): Promise<void> {
    this.map.writeAfter(this.#dataBarrier);
    this.#headerDirty = true;
    for (let i = 0; i < count; i++) {
      const table = this.map.get(alignDown((block + i) * 4, this.pageSize));
      const loaded = isPromise(table) ? await table : table;
      loaded.view.setUint32(this.position(block + i), index + i, true);
      this.map.markDirty(loaded);
    }
  }

  /**
   * What has to be on the disk before the block map refers to it: data, and the count in the header, because programs
   * that trust the count would otherwise write new blocks over these.
   */
  readonly #dataBarrier = {
    flush: async (): Promise<void> => {
      await this.#writeHeader();
      await this.file.flush();
    },
  };

  async #writeHeader(): Promise<void> {
    if (!this.#headerDirty || this.#next === undefined) return;
    const end = this.place(this.#next);
    // The last block may have been written only in part.
    if (this.file.size() < end) await this.file.truncate(end);
    setAllocated(this.#headerBytes, this.#next);
    await this.file.write(0, this.#headerBytes);
    this.#headerDirty = false;
  }

  /** Writes data, header and block map in safe order. */
  async flush(): Promise<void> {
    if (this.file.readOnly) return;
    await this.#writeHeader();
    if (this.map.isDirty) await this.map.flush();
    else await this.file.flush();
  }
}
