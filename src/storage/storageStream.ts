/** The bytes of a storage in order, read ahead. */
import type { ByteStream } from '../base/byteStream.ts';
import { KiB } from '../base/offset.ts';
import type { Storage } from './storage.ts';

/** Bytes that are read at a time: what is far away is asked for in pieces that pay. */
const PIECE = 512 * KiB;

/** What is being read, or was. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly done: Promise<void>;
}

class StorageStream implements ByteStream {
  readonly #storage: Storage;
  readonly #end: number;
  /** Offset of the next piece to be read. */
  #next: number;
  readonly #free: Uint8Array[] = [];
  #ahead: Piece | undefined;
  #held: Uint8Array | undefined;
  #heldAt = 0;

  constructor(storage: Storage, start: number, end: number) {
    this.#storage = storage;
    this.#next = start;
    this.#end = end;
  }

  async read(into: Uint8Array): Promise<number> {
    if (this.#held === undefined || this.#heldAt === this.#held.length) {
      const piece = this.#ahead ?? this.#begin();
      this.#ahead = undefined;
      if (!piece) return 0;
      await piece.done;
      if (this.#held) this.#free.push(new Uint8Array(this.#held.buffer));
      this.#held = piece.bytes;
      this.#heldAt = 0;
      this.#ahead = this.#begin();
    }
    const count = Math.min(into.length, this.#held.length - this.#heldAt);
    into.set(this.#held.subarray(this.#heldAt, this.#heldAt + count));
    this.#heldAt += count;
    return count;
  }

  #begin(): Piece | undefined {
    const length = Math.min(PIECE, this.#end - this.#next);
    if (length <= 0) return undefined;
    const whole = this.#free.pop() ?? new Uint8Array(PIECE);
    const bytes = whole.subarray(0, length);
    const done = Promise.resolve(this.#storage.read(this.#next, bytes));
    // Whoever takes the piece is told.
    done.catch(() => undefined);
    this.#next += length;
    return { bytes, done };
  }

  async close(): Promise<void> {
    this.#next = this.#end;
    await this.#ahead?.done.catch(() => undefined);
    this.#ahead = undefined;
  }
}

/** Bytes `[start, end)` of a storage, which stays open; those that it does not have are left out. */
export function storageStream(storage: Storage, start = 0, end: number = storage.size()): ByteStream {
  return new StorageStream(storage, start, Math.min(end, storage.size()));
}
