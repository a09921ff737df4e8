/** A window of another storage. */
import type { MaybePromise } from '../base/async.ts';
import { BlockError } from '../base/error.ts';
import type { Extent, Limits, Storage, StorageDriver, ZeroFlags } from './storage.ts';

/** Bytes `[start, start + length)` of another storage; cannot grow. Closing it leaves the other storage open. */
export class SliceDriver implements StorageDriver {
  readonly #whole: Storage;
  readonly #start: number;
  readonly #length: number;

  constructor(whole: Storage, start: number, length: number) {
    this.#whole = whole;
    this.#start = start;
    this.#length = length;
  }

  get limits(): Limits {
    return this.#whole.limits;
  }

  size(): number {
    return this.#length;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    return this.#whole.readPadded(this.#start + offset, into);
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    this.#checkEnd(offset + from.length);
    return this.#whole.write(this.#start + offset, from);
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    this.#checkEnd(offset + length);
    return this.#whole.writeZeroes(this.#start + offset, length, flags);
  }

  discard(offset: number, length: number): MaybePromise<void> {
    return this.#whole.discard(this.#start + offset, length);
  }

  status(offset: number, length: number): MaybePromise<Extent> {
    return this.#whole.status(this.#start + offset, length);
  }

  flush(): MaybePromise<void> {
    return this.#whole.flush();
  }

  close(): void {}

  #checkEnd(end: number): void {
    if (end > this.#length) throw new BlockError('out-of-range', `write beyond the end of the window at ${end}`);
  }
}
