/** Memory for the duration of one request. */
import { alignUp } from '../../base/offset.ts';
import type { BufferPool } from '../../base/inflight.ts';

/** Pieces start at multiples of this. */
const ALIGNMENT = 64;

/** Cuts pieces from pooled buffers, which worker threads see as they are; what is longer than a buffer is other memory. */
export class Scratch {
  readonly #buffers: BufferPool;
  readonly #taken: Uint8Array[] = [];
  #used = 0;

  constructor(buffers: BufferPool) {
    this.#buffers = buffers;
  }

  /** Some bytes, whatever they hold. */
  take(length: number): Uint8Array {
    if (length > this.#buffers.size) return new Uint8Array(length);
    let buffer = this.#taken.at(-1);
    if (!buffer || this.#used + length > buffer.length) {
      buffer = this.#buffers.acquire();
      this.#taken.push(buffer);
      this.#used = 0;
    }
    const piece = buffer.subarray(this.#used, this.#used + length);
    this.#used = alignUp(this.#used + length, ALIGNMENT);
    return piece;
  }

  /** Gives all pieces back; they are not to be touched any more. */
  release(): void {
    for (const buffer of this.#taken.splice(0)) this.#buffers.release(buffer);
  }
}
