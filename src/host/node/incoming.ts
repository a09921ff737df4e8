/** What comes over a connection, piece by piece, to whoever asks for it: nothing is said of those who do not. */
import type { Readable } from 'node:stream';
import type { BlockError } from '../../base/error.ts';
import { MiB } from '../../base/offset.ts';

/** Bytes that wait for somebody before no more are taken from the connection. */
const MOST_WAITING = MiB;

/** Why a stream has ended, in the words of whoever reads it. */
export interface EndWords {
  /** Nothing has come for so long. */
  silent(received: number): BlockError;
  /** @param error undefined: it has ended before its end. */
  broken(error: Error | undefined): BlockError;
}

/** The pieces of a stream. */
export class Incoming {
  readonly #stream: Readable;
  readonly #patience: number;
  readonly #words: EndWords;
  readonly #waiting: Uint8Array[] = [];
  #size = 0;
  #ended = false;
  #failure: BlockError | undefined;
  #wake: (() => void) | undefined;
  /** Bytes that have come. */
  received = 0;

  /** @param patience milliseconds; 0: for ever. */
  constructor(stream: Readable, patience: number, words: EndWords) {
    this.#stream = stream;
    this.#patience = patience;
    this.#words = words;
    stream.on('data', (bytes: Uint8Array) => this.#arrive(bytes));
    stream.on('end', () => {
      this.#ended = true;
      this.#wake?.();
    });
    stream.on('error', (error: Error) => this.#fail(words.broken(error)));
    stream.on('close', () => this.#fail(words.broken(undefined)));
  }

  #arrive(bytes: Uint8Array): void {
    this.received += bytes.length;
    this.#waiting.push(bytes);
    this.#size += bytes.length;
    if (this.#size > MOST_WAITING) this.#stream.pause();
    this.#wake?.();
  }

  #fail(error: BlockError): void {
    if (!this.#ended) this.#failure ??= error;
    this.#wake?.();
  }

  /**
   * The next piece; undefined at the end. One call at a time.
   * @throws BlockError when there will be none.
   */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const bytes = this.#waiting.shift();
      if (bytes) {
        this.#size -= bytes.length;
        if (this.#waiting.length === 0 && this.#stream.isPaused()) this.#stream.resume();
        return bytes;
      }
      if (this.#ended) return undefined;
      if (this.#failure) throw this.#failure;
      await this.#wait();
    }
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      if (this.#patience === 0) return;
      timer = setTimeout(() => {
        this.#fail(this.#words.silent(this.received));
        this.#stream.destroy();
      }, this.#patience);
    });
  }
}
