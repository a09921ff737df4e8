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

/** Somebody who waits. */
interface Reader {
  /** Takes what it can of a piece that has just come, and gives back the rest. */
  take(bytes: Uint8Array): Uint8Array;
  /** There is all that was waited for, or there will be none. */
  done(): void;
}

/** The pieces of a stream. One call at a time. */
export class Incoming {
  readonly #stream: Readable;
  readonly #patience: number;
  readonly #words: EndWords;
  readonly #waiting: Uint8Array[] = [];
  #size = 0;
  #ended = false;
  #failure: BlockError | undefined;
  #reader: Reader | undefined;
  #timer: NodeJS.Timeout | undefined;
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
      this.#reader?.done();
    });
    stream.on('error', (error: Error) => this.fail(words.broken(error)));
    stream.on('close', () => this.fail(words.broken(undefined)));
  }

  #arrive(bytes: Uint8Array): void {
    this.received += bytes.length;
    this.#timer?.refresh();
    const rest = this.#reader ? this.#reader.take(bytes) : bytes;
    if (rest.length > 0) this.#wait(rest);
  }

  #wait(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    this.#size += bytes.length;
    if (this.#size > MOST_WAITING) this.#stream.pause();
  }

  /** Nothing more will come, unless all has come. */
  fail(error: BlockError): void {
    if (!this.#ended) this.#failure ??= error;
    this.#reader?.done();
  }

  /** What has come first of what waits. */
  #shift(): Uint8Array | undefined {
    const bytes = this.#waiting.shift();
    this.#size -= bytes?.length ?? 0;
    if (this.#waiting.length === 0 && this.#stream.isPaused()) this.#stream.resume();
    return bytes;
  }

  /**
   * The next piece; undefined at the end.
   * @throws BlockError when there will be none.
   */
  async next(): Promise<Uint8Array | undefined> {
    const there = this.#shift();
    if (there) return there;
    let next: Uint8Array | undefined;
    await this.#until(
      () => next !== undefined,
      (bytes) => {
        next = bytes;
        return bytes.subarray(bytes.length);
      },
    );
    return next;
  }

  /**
   * Fills `into` and gives its length; less only at the end. Each byte is copied once.
   * @throws BlockError when there will be none.
   */
  async fill(into: Uint8Array): Promise<number> {
    let filled = 0;
    const take = (bytes: Uint8Array): Uint8Array => {
      const fitting = bytes.length <= into.length - filled ? bytes : bytes.subarray(0, into.length - filled);
      into.set(fitting, filled);
      filled += fitting.length;
      return bytes.subarray(fitting.length);
    };
    while (filled < into.length) {
      const bytes = this.#shift();
      if (!bytes) break;
      const rest = take(bytes);
      if (rest.length === 0) continue;
      this.#waiting.unshift(rest);
      this.#size += rest.length;
    }
    await this.#until(() => filled === into.length, take);
    return filled;
  }

  /**
   * Has a reader take what comes until there is enough, or the end.
   * @throws BlockError when nothing more comes before.
   */
  async #until(enough: () => boolean, take: Reader['take']): Promise<void> {
    if (enough() || this.#ended) return;
    this.#throwFailure();
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(this.#timer);
        this.#timer = undefined;
        this.#reader = undefined;
        resolve();
      };
      this.#reader = {
        done,
        take(bytes) {
          const rest = take(bytes);
          if (enough()) done();
          return rest;
        },
      };
      // Silence counts only while somebody waits.
      if (this.#patience > 0) this.#timer = setTimeout(() => this.#giveUp(), this.#patience);
    });
    if (!enough()) this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure;
  }

  #giveUp(): void {
    this.fail(this.#words.silent(this.received));
    this.#stream.destroy();
  }
}
