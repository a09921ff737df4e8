/** Decides which writes are done on the calling thread and which on another one. */
import { KiB, MiB } from '../../base/offset.ts';

/** Transfers up to here are done on the calling thread: quicker than a change of threads, and no promise is needed. */
export const SMALL: number = 64 * KiB;
/** Longest write on the calling thread. */
const LARGEST = 2 * MiB;
/** A write that takes so many milliseconds waits for a disk: other events must not wait with it. */
const SLOW = 10;
/** Milliseconds for which larger writes then go to other threads. */
const PAUSE = 2000;

/** A clock that never goes back. (Not `performance`: loading that takes a millisecond.) */
export function milliseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/**
 * Into the page cache, even large writes take less time than it takes to hand them over and to hear of their end; on
 * a busy machine much less. When the kernel makes writers wait, they are handed over.
 */
export class WriteMode {
  #handOverUntil = 0;

  /** True if a write of so many bytes is done at once. */
  atOnce(length: number): boolean {
    return length <= SMALL || (length <= LARGEST && milliseconds() >= this.#handOverUntil);
  }

  /** Learns how long a write took that was done at once. @param started {@link milliseconds} at its start. */
  took(started: number): void {
    const now = milliseconds();
    if (now - started >= SLOW) this.#handOverUntil = now + PAUSE;
  }
}
