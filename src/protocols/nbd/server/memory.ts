/** How much memory requests may take: those of one connection, and all together. */
import type { MaybePromise } from '../../../base/async.ts';
import type { BufferPool } from '../../../base/inflight.ts';
import { KiB, MiB } from '../../../base/offset.ts';

/** Bytes under way on one connection. */
const OWN = 16 * MiB;
/** Bytes under way on all of them, but for one small piece of each: who takes no answers keeps nobody else waiting. */
const ALL = 128 * MiB;
/** Sizes of pieces. */
const SIZES: readonly number[] = [64 * KiB, 256 * KiB, 2 * MiB];
/** The largest piece that everybody gets who has none. */
const SURE = 256 * KiB;
/** What a request counts that has no bytes: the memory of its answer, and work that is not to pile up. */
const PLAIN = 32 * KiB;

/** A piece of memory for as long as a request needs it. */
export interface Loan {
  /** As many bytes as were wanted, or less. */
  readonly bytes: Uint8Array;
  /** The whole piece; undefined where none was wanted. */
  readonly piece: Uint8Array | undefined;
}

const NOTHING: Loan = { bytes: new Uint8Array(), piece: undefined };

function costOf({ piece }: Loan): number {
  return piece ? piece.length : PLAIN;
}

/** The memory of all connections of a server. */
export class Memory {
  /** Bytes that are lent. */
  used = 0;
  readonly #buffers: BufferPool;
  readonly #shares = new Set<Share>();
  readonly #free = new Map<number, Uint8Array[]>(SIZES.map((size) => [size, []]));

  constructor(buffers: BufferPool) {
    this.#buffers = buffers;
  }

  /** The part of one more connection. */
  share(): Share {
    const share = new Share(this);
    this.#shares.add(share);
    return share;
  }

  /** The part of a connection that has ended. */
  end(share: Share): void {
    this.#shares.delete(share);
  }

  /** A piece of one of the sizes. */
  piece(size: number): Uint8Array {
    const free = this.#free.get(size) ?? [];
    const found = free.pop();
    if (found) return found;
    const whole = this.#buffers.size >= size ? this.#buffers.acquire() : new Uint8Array(size);
    for (let at = size; at + size <= whole.length; at += size) free.push(whole.subarray(at, at + size));
    return whole.subarray(0, size);
  }

  /** Takes a piece back, or the lack of one. */
  give(loan: Loan): void {
    const wasFull = this.used + (SIZES.at(-1) ?? 0) > ALL;
    this.used -= costOf(loan);
    if (loan.piece) this.#free.get(loan.piece.length)?.push(loan.piece);
    if (wasFull) for (const share of this.#shares) share.wake();
  }

  fits(bytes: number): boolean {
    return this.used + bytes <= ALL;
  }
}

/** What one connection may have. */
export class Share {
  readonly #memory: Memory;
  #used = 0;
  #waiting: { readonly wanted: number; readonly enter: (loan: Loan) => void } | undefined;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** Lends so many bytes or less, when there are some; 0 for a request without any. One call at a time. */
  take(wanted: number): MaybePromise<Loan> {
    const loan = this.#lend(wanted);
    if (loan) return loan;
    return new Promise((enter) => {
      this.#waiting = { wanted, enter };
    });
  }

  /** Takes a loan back. */
  give(loan: Loan): void {
    this.#used -= costOf(loan);
    this.#memory.give(loan);
    this.wake();
  }

  /** Lends to the one who waits, if that is possible now. */
  wake(): void {
    const waiting = this.#waiting;
    const loan = waiting && this.#lend(waiting.wanted);
    if (!loan) return;
    this.#waiting = undefined;
    waiting?.enter(loan);
  }

  #lend(wanted: number): Loan | undefined {
    const largest = SIZES.at(-1) ?? 0;
    const size = wanted === 0 ? PLAIN : (SIZES.find((one) => one >= wanted) ?? largest);
    if (this.#used + size <= OWN && this.#memory.fits(size)) return this.#add(wanted, size);
    if (this.#used > 0) return undefined;
    return this.#add(wanted, Math.min(size, SURE));
  }

  #add(wanted: number, size: number): Loan {
    this.#used += size;
    this.#memory.used += size;
    if (wanted === 0) return NOTHING;
    const piece = this.#memory.piece(size);
    return { bytes: wanted < size ? piece.subarray(0, wanted) : piece, piece };
  }
}
