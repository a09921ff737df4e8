/** Bytes that come one after the other, and cannot be gone back to. */
import type { MaybePromise } from './async.ts';

/** A source of bytes in order. One call at a time. */
export interface ByteStream {
  /**
   * Puts the next bytes at the start of `into`, which has room for one at least.
   * @returns their number; 0 at the end, then and ever after.
   */
  read(into: Uint8Array): MaybePromise<number>;
  /** Gives back what the stream uses; it need not be at its end. A second call does nothing. */
  close(): MaybePromise<void>;
}

/** Where bytes go in order. */
export interface ByteSink {
  /** Takes all of `bytes`, which may change afterwards. One call at a time. */
  write(bytes: Uint8Array): MaybePromise<void>;
  /** Everything has been written. @throws BlockError if it did not get where it should. */
  finish(): MaybePromise<void>;
  /** Nothing more comes: what has been written is of no use. Never throws. */
  abandon(): MaybePromise<void>;
}

/** Fills `into` as far as the stream goes; returns how far that is. */
export async function readFully(stream: ByteStream, into: Uint8Array): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const count = await stream.read(done === 0 ? into : into.subarray(done));
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** A stream that may give so many bytes. @param refused the error for one that has more. */
export function boundedStream(stream: ByteStream, most: number, refused: () => Error): ByteStream {
  if (most === Number.POSITIVE_INFINITY) return stream;
  let left = most;
  return {
    async read(into) {
      const count = await stream.read(into);
      left -= count;
      if (left < 0) throw refused();
      return count;
    },
    close: () => stream.close(),
  };
}

/** Bytes of a stream that can be looked at before they are taken. */
export class PeekableStream implements ByteStream {
  readonly #stream: ByteStream;
  readonly #held: Uint8Array;
  #start = 0;
  #end = 0;
  #ended = false;

  /** @param most bytes that can be looked at. */
  constructor(stream: ByteStream, most: number) {
    this.#stream = stream;
    this.#held = new Uint8Array(most);
  }

  /** The next bytes, so many at most, fewer at the end; valid until the next call. */
  async peek(count: number): Promise<Uint8Array> {
    if (this.#start + count > this.#held.length) {
      this.#held.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    while (this.#end - this.#start < count && !this.#ended) {
      const got = await this.#stream.read(this.#held.subarray(this.#end));
      this.#end += got;
      this.#ended = got === 0;
    }
    return this.#held.subarray(this.#start, Math.min(this.#end, this.#start + count));
  }

  /** Passes over bytes that {@link peek} has returned. */
  skip(count: number): void {
    this.#start += count;
  }

  read(into: Uint8Array): MaybePromise<number> {
    const held = Math.min(into.length, this.#end - this.#start);
    if (held === 0) return this.#ended ? 0 : this.#stream.read(into);
    into.set(this.#held.subarray(this.#start, this.#start + held));
    this.#start += held;
    return held;
  }

  close(): MaybePromise<void> {
    return this.#stream.close();
  }
}
