/** Whoever waits for bytes of a stream, and how the stream ends: for connections, and for what programs write. */
import { BlockError } from '../../base/error.ts';

/** Somebody who waits. */
interface Reader {
  readonly into: Uint8Array;
  filled: number;
  resolve(count: number): void;
  reject(error: BlockError): void;
}

/** The bytes that are wanted of a stream, by one reader at a time. */
export class Demand {
  #reader: Reader | undefined;
  #ended = false;
  #failure: BlockError | undefined;

  /** Nothing more comes. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Why nothing more comes, if that is no ordinary end. */
  get failure(): BlockError | undefined {
    return this.#failure;
  }

  /** @throws BlockError if somebody waits already. */
  checkFree(): void {
    if (this.#reader) throw new BlockError('internal', 'two reads at the same time');
  }

  /** Waits until `into`, which has `filled` bytes already, is full, or there are no more; resolves to its length then. */
  wait(into: Uint8Array, filled: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#reader = { into, filled, resolve, reject };
    });
  }

  /** What is still to be filled for whoever waits; undefined if nobody does. */
  get room(): Uint8Array | undefined {
    return this.#reader?.into.subarray(this.#reader.filled);
  }

  /** So many bytes have come into {@link room}. */
  advance(count: number): void {
    const reader = this.#reader;
    if (!reader) return;
    reader.filled += count;
    if (reader.filled < reader.into.length) return;
    this.#reader = undefined;
    reader.resolve(reader.filled);
  }

  /** Moves bytes to whoever waits; gives how many. */
  put(bytes: Uint8Array): number {
    const { room } = this;
    const taken = Math.min(bytes.length, room?.length ?? 0);
    room?.set(bytes.subarray(0, taken));
    this.advance(taken);
    return taken;
  }

  /** Nothing more comes: who waits gets what has come, or the failure. */
  finish(): void {
    this.#ended = true;
    const reader = this.#reader;
    this.#reader = undefined;
    if (this.#failure) reader?.reject(this.#failure);
    else reader?.resolve(reader.filled);
  }

  /** From now on the end is a failure: the first one counts. Who waits hears of it at the end. */
  refuse(error: BlockError): void {
    this.#failure ??= error;
  }

  /** The end, with a failure. */
  fail(error: BlockError): void {
    this.refuse(error);
    this.finish();
  }
}
