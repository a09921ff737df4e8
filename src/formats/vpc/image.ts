/** Open VHD images as the block layer sees them: dynamic ones, whose blocks are found through a table, and fixed ones. */
import type { MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import type { Checker, FormatInfo, ImageDriver, Writing } from '../../block/capabilities.ts';
import { Place, type Run, runOf, Units } from '../../block/kit/units.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { Limits, Storage, ZeroFlags } from '../../storage/storage.ts';
import { fixedCheckerOf } from './deepCheck.ts';
import { bitmapSize, FOOTER_SIZE } from './header.ts';
import type { BlockTable } from './tables.ts';

/** What a {@link DynamicImage} is made of. */
export interface DynamicParts {
  readonly file: Storage;
  readonly table: BlockTable;
  readonly virtualSize: number;
  readonly blockSize: number;
  /** The 512 bytes that end the file. */
  readonly footer: Uint8Array;
  readonly checker: Checker;
}

/** An open dynamic image: blocks in the order in which they were first written. */
export class DynamicImage implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly virtualSize: number;
  readonly allocationUnit: number;
  readonly checker: Checker;
  readonly #file: Storage;
  readonly #table: BlockTable;
  readonly #units: Units;
  readonly #bitmapSize: number;
  readonly #footer: Uint8Array;
  /** Blocks that have room but are not in the table before their data is there. */
  readonly #pending = new Set<number>();

  constructor(parts: DynamicParts) {
    this.virtualSize = parts.virtualSize;
    this.allocationUnit = parts.blockSize;
    this.checker = parts.checker;
    this.#file = parts.file;
    this.#table = parts.table;
    this.#units = new Units(parts.file, parts.blockSize);
    this.#bitmapSize = bitmapSize(parts.blockSize);
    this.#footer = parts.footer;
  }

  /** The bitmap of written sectors is not looked at: sectors that were never written hold zeroes. */
  map(offset: number, length: number): Mapping {
    return this.#units.mapping(this.#runAt(offset, length), offset, length);
  }

  #runAt(offset: number, length: number): Run {
    const block = this.#units.indexOf(offset);
    return runOf(this.#units.count(offset, length), this.#units.size, (i) => {
      const place = this.#table.get(block + i);
      return place === undefined ? Place.zero : place + this.#bitmapSize;
    });
  }

  allocate(offset: number, length: number): MaybePromise<Allocation> {
    const run = this.#runAt(offset, length);
    return run.place >= 0 ? this.#units.room(run, offset, length) : this.#append(offset);
  }

  /**
   * Makes room for a block where the footer is. The footer moves to the new end first, so that a file that is left
   * behind unfinished has one; a block that is not in the table yet is free space.
   */
  async #append(offset: number): Promise<Allocation> {
    const block = this.#units.indexOf(offset);
    if (this.#pending.has(block)) throw new BlockError('internal', `vpc: block ${block} is being written already`);
    const place = this.#table.end;
    const data = place + this.#bitmapSize;
    const end = data + this.#units.size;
    if (place / SECTOR >= 0xffffffff) throw new BlockError('too-large', 'File too large');
    const zeroed = this.#file.size() <= data;
    await this.#file.write(end, this.#footer);
    await this.#file.write(place, new Uint8Array(this.#bitmapSize).fill(0xff));
    this.#table.end = end;
    this.#pending.add(block);
    const commit = (): void => {
      this.#pending.delete(block);
      this.#table.set(block, place);
    };
    const abort = async (): Promise<void> => {
      this.#pending.delete(block);
      if (this.#table.end === end) await this.#giveBack(place);
    };
    return { ...this.#units.newRoom({ place: data, count: 1 }, offset, commit, abort), zeroed };
  }

  async #giveBack(place: number): Promise<void> {
    this.#table.end = place;
    await this.#file.write(place, this.#footer);
    await this.#file.truncate(place + FOOTER_SIZE);
  }

  /** Blocks that are not stored read as zeroes already. */
  async writeZeroes(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const mapping = this.map(at, end - at);
      if (mapping.kind === 'data') await this.#file.writeZeroes(mapping.offset, mapping.length, flags);
      at += mapping.length;
    }
  }

  flush(): MaybePromise<void> {
    return this.#table.flush();
  }

  close(): MaybePromise<void> {
    return this.#file.readOnly ? undefined : this.#table.flush();
  }

  info(): FormatInfo {
    return { clusterSize: this.#units.size, dirty: false };
  }
}

/** An open fixed image: the guest's bytes as they are, and a footer behind them. */
export class FixedImage implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly virtualSize: number;
  readonly checker: Checker;
  readonly #file: Storage;

  constructor(file: Storage, virtualSize: number) {
    this.#file = file;
    this.virtualSize = virtualSize;
    this.checker = fixedCheckerOf({ file, virtualSize });
  }

  get limits(): Limits {
    return this.#file.limits;
  }

  map(offset: number, length: number): Mapping {
    return { kind: 'data', length, storage: this.#file, offset, sparse: true };
  }

  allocate(offset: number, length: number): Allocation {
    return { start: offset, length, storage: this.#file, offset, fresh: false };
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    return this.#file.writeZeroes(offset, length, flags);
  }

  flush(): MaybePromise<void> {
    return this.#file.flush();
  }

  close(): void {}

  info(): FormatInfo {
    return { dirty: false };
  }
}
