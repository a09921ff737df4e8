/** Keeps a copy to a number of bytes per second. */
import type { Services } from '../../block/services.ts';

/** Spreads work evenly over time. */
export class Pace {
  readonly #bytesPerSecond: number;
  readonly #now: () => number;
  #due: number;

  constructor(bytesPerSecond: number, services: Pick<Services, 'now'>) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#now = () => {
      const { seconds, nanoseconds } = services.now();
      return seconds + nanoseconds / 1e9;
    };
    this.#due = this.#now();
  }

  /** Waits until `bytes` more may be written. A wait ends early when the signal fires. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = this.#now();
    const wait = this.#due - now;
    this.#due = Math.max(this.#due, now) + bytes / this.#bytesPerSecond;
    if (wait > 0) await sleep(wait * 1000, signal);
  }
}

/** Resolves after so many milliseconds, or when the signal fires. */
function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener('abort', finish);
    if (signal?.aborted) finish();
  });
}
