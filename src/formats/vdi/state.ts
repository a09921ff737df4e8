/** State of an open VDI image; the other files of this folder are functions on it. */
import { ioError, posixError } from '../../base/error.ts';
import { FileEnd } from '../../block/kit/fileEnd.ts';
import { PagedTable } from '../../block/kit/pagedTable.ts';
import { Units } from '../../block/kit/units.ts';
import type { Storage } from '../../storage/storage.ts';
import { BLOCK, FIRST_UNALLOCATED, type Header, setAllocated } from './header.ts';

/** Bytes of the block map that are kept. */
const BUDGET = 16777216;

/** One open VDI image. */
export class VdiState {
  readonly file: Storage;
  readonly header: Header;
  readonly units: Units;
  /** The block map: the place of each guest block, as a number of a block of the file. */
  readonly map: PagedTable;
  /** The 512 bytes of the header as they are to be on the disk. */
  readonly #headerBytes: Uint8Array;
  #headerDirty = false;
  /** Behind the last block in use; undefined until the block map was looked through. */
  #end: FileEnd | undefined;

  constructor(file: Storage, header: Header, headerBytes: Uint8Array) {
    this.file = file;
    this.header = header;
    this.#headerBytes = headerBytes;
    this.units = new Units(file, BLOCK);
    this.map = new PagedTable({
      file,
      offset: header.mapOffset,
      entries: header.blocks,
      entryBytes: 4,
      budget: BUDGET,
      reuses: true,
    });
  }

  /** Where block `index` of the file is, in bytes. */
  place(index: number): number {
    return this.header.dataOffset + index * BLOCK;
  }

  /** Bytes of the disk in a guest block: the last one may be short. */
  bytesIn(block: number): number {
    return Math.min(BLOCK, this.header.virtualSize - block * BLOCK);
  }

  /** Number of the block of the file that is at a place. */
  indexOf(place: number): number {
    return (place - this.header.dataOffset) / BLOCK;
  }

  /**
   * The space behind all blocks. The block map and not the header decides what is free: after a crash the header is out
   * of date.
   */
  async end(): Promise<FileEnd> {
    this.#end ??= new FileEnd(this.file, this.place(await this.#findEnd()), (_, end) => {
      if (end > this.place(this.header.blocks)) throw posixError('no-space', `cannot add blocks to ${this.file.name}`);
    });
    return this.#end;
  }

  /** Throws if a block is not in the file: new ones could be put at its place. */
  checkStored(index: number): void {
    if (index < this.header.blocks && this.place(index) < this.file.size()) return;
    const context = { filename: this.file.name, offset: this.place(index), access: 'write' };
    throw ioError(context);
  }

  async #findEnd(): Promise<number> {
    let end = 0;
    const { blocks } = this.header;
    for (let block = 0; block < this.map.stored; block += this.map.rest(block)) {
      const { view } = await this.map.page(block);
      const count = Math.min(this.map.rest(block), blocks - block);
      for (let i = 0; i < count; i++) {
        const index = view.getUint32(i * 4, true);
        // Entries beyond the number of blocks are damage; they must not push new blocks there.
        if (index >= blocks || index >= FIRST_UNALLOCATED) continue;
        this.checkStored(index);
        if (index >= end) end = index + 1;
      }
    }
    return end;
  }

  /** Makes guest blocks from `block` on refer to blocks of the file from `index` on. The data has been written. */
  link(block: number, index: number, count: number): Promise<void> {
    this.#headerDirty = true;
    return this.map.set(block, count, this.#dataBarrier, (page, position, i) =>
      page.setUint32(position, index + i, true),
    );
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
    if (!this.#headerDirty || !this.#end) return;
    await this.#end.complete();
    setAllocated(this.#headerBytes, this.indexOf(this.#end.offset));
    await this.file.write(0, this.#headerBytes);
    this.#headerDirty = false;
  }

  /** Writes data, header and block map in safe order. */
  async flush(): Promise<void> {
    if (this.file.readOnly) return;
    await this.#writeHeader();
    if (this.map.pages.isDirty) await this.map.pages.flush();
    else await this.file.flush();
  }
}
