/** The end of what is in use of a file: new units and tables are put there. */
import type { MaybePromise } from '../../base/async.ts';
import { alignUp } from '../../base/offset.ts';
import type { Storage } from '../../storage/storage.ts';

/** Room at the end of one file. Nothing is written: whoever takes room fills it, and what is left over is given back. */
export class FileEnd {
  readonly #file: Storage;
  readonly #admit: ((start: number, end: number) => void) | undefined;
  #offset: number;
  #grown = false;

  /**
   * @param offset first byte that is not in use.
   * @param admit throws if the format cannot have something at bytes `[start, end)`.
   */
  constructor(file: Storage, offset: number, admit?: (start: number, end: number) => void) {
    this.#file = file;
    this.#offset = offset;
    this.#admit = admit;
  }

  /** First byte that is not in use. */
  get offset(): number {
    return this.#offset;
  }

  /** Room was taken, even if it was given back since. */
  get grown(): boolean {
    return this.#grown;
  }

  /** Takes `length` bytes, at a multiple of `alignment`; returns where they begin. */
  reserve(length: number, alignment = 1): number {
    const start = alignUp(this.#offset, alignment);
    this.#admit?.(start, start + length);
    this.#offset = start + length;
    this.#grown = true;
    return start;
  }

  /** Takes back room that was not used; false, and it stays, if something was put behind it. */
  giveBack(start: number, length: number): boolean {
    if (this.#offset !== start + length) return false;
    this.#offset = start;
    return true;
  }

  /** Lets the file reach to the end of what is in use: what is last may have been written only in part. */
  complete(): MaybePromise<void> {
    if (this.#file.size() < this.#offset) return this.#file.truncate(this.#offset);
  }
}
