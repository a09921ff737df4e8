/**
 * The layout of an image that is written in one pass: its format writes it once without its data, as if the source had been read,
 * and what it does is remembered. What tables and headers are in the end, and where in the file which guest bytes are, is known
 * then, before the first byte goes out.
 */
import { BlockError } from '../../base/error.ts';
import { MiB } from '../../base/offset.ts';
import { MemoryDriver } from '../../storage/memory.ts';
import type { Extent, Limits, Preallocation, StorageDriver, ZeroFlags } from '../../storage/storage.ts';

/** Guest bytes in the file. */
export interface DataRun {
  /** Offset in the file. */
  readonly place: number;
  /** Offset on the guest's disk. */
  readonly guest: number;
  readonly length: number;
}

/** Bytes that stand for guest data: what they hold is of no matter. */
const STAND_IN = 2 * MiB;

/** A file that keeps what a format writes by itself, and of guest data only where they are. */
export class LayoutStorage implements StorageDriver {
  readonly limits: Limits = { requestAlignment: 1 };
  readonly #own: MemoryDriver = new MemoryDriver();
  readonly #standIn: Uint8Array = new Uint8Array(new ArrayBuffer(STAND_IN));
  #runs: DataRun[] = [];
  /** The guest's offset that the first byte of the stand-in is for. */
  #guest = 0;
  #isSorted = true;

  /** Longest piece of data. */
  readonly most: number = STAND_IN;

  /** What is to be written in place of `length` guest bytes at `guest`, until the next call. */
  dataFor(guest: number, length: number): Uint8Array {
    this.#guest = guest;
    return this.#standIn.subarray(0, length);
  }

  size(): number {
    return this.#own.size();
  }

  read(offset: number, into: Uint8Array): void {
    this.#own.read(offset, into);
  }

  write(offset: number, from: Uint8Array): void {
    if (from.buffer !== this.#standIn.buffer) {
      this.#own.write(offset, from);
      return;
    }
    const { length, byteOffset } = from;
    const guest = this.#guest + byteOffset;
    const last = this.#runs.at(-1);
    if (last && last.place + last.length === offset && last.guest + last.length === guest) {
      this.#runs[this.#runs.length - 1] = { ...last, length: last.length + length };
    } else {
      this.#isSorted &&= last === undefined || last.place + last.length <= offset;
      this.#runs.push({ place: offset, guest, length });
    }
    if (offset + length > this.#own.size()) this.#own.truncate(offset + length, 'off');
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): void {
    this.#own.writeZeroes(offset, length, flags);
  }

  discard(offset: number, length: number): void {
    this.#own.discard(offset, length);
  }

  status(offset: number, length: number): Extent {
    return this.#own.status(offset, length);
  }

  truncate(size: number, preallocation: Preallocation): void {
    this.#own.truncate(size, preallocation);
  }

  /** What was written stays for {@link runs}. */
  close(): void {}

  /** Runs of data in the order of the file. @throws BlockError if a format has written something twice. */
  runs(): readonly DataRun[] {
    if (!this.#isSorted) this.#runs.sort((a, b) => a.place - b.place);
    for (let i = 1; i < this.#runs.length; i++) {
      const before = this.#runs[i - 1] as DataRun;
      if (before.place + before.length > (this.#runs[i] as DataRun).place) {
        throw new BlockError('internal', 'the layout of the image is not that of one pass');
      }
    }
    return this.#runs;
  }
}
