/** How many requests are under way: few as long as they are answered at once, more when that takes its time. */
import { type MaybePromise, Semaphore } from '../../base/async.ts';
import { MiB } from '../../base/offset.ts';
import { secondsOf, type Services } from '../../block/services.ts';

/**
 * Milliseconds from which on a request is slow, for each MiB if it is longer than that. Moving bytes within the memory of a
 * machine takes less; a disk that has to move its arm, or a server, takes more.
 */
const SLOW = 4;
/** Share of the newest request in the mean. */
const NEWEST = 1 / 8;

/** Permits for requests, which become more once requests are slow. They never become fewer: many requests share one medium. */
export class Window {
  readonly #permits: Semaphore;
  readonly #services: Pick<Services, 'now'>;
  #spare: number;
  /** Milliseconds that requests took lately. */
  #mean = 0;

  /**
   * @param few requests at a time as long as they are fast.
   * @param most requests at a time.
   */
  constructor(few: number, most: number, services: Pick<Services, 'now'>) {
    const first = Math.min(few, most);
    this.#permits = new Semaphore(first);
    this.#spare = most - first;
    this.#services = services;
  }

  /** Takes a permit; resolves when one is free. */
  acquire(): MaybePromise<void> {
    return this.#permits.acquire();
  }

  /** Gives a permit back. */
  release(): void {
    this.#permits.release();
  }

  /** Gives out all permits that there may be. */
  widen(): void {
    for (; this.#spare > 0; this.#spare--) this.#permits.release();
  }

  /** Milliseconds since whenever. */
  now(): number {
    return secondsOf(this.#services) * 1000;
  }

  /**
   * Looks at how long a request took, and widens the window if requests are slow.
   * @param since when it began, by `now`.
   * @param length of it in bytes.
   * @returns true if they are.
   */
  look(since: number, length: number): boolean {
    if (this.#spare === 0) return false;
    const taken = (this.now() - since) / Math.max(1, length / MiB);
    this.#mean += (taken - this.#mean) * NEWEST;
    if (this.#mean < SLOW) return false;
    this.widen();
    return true;
  }
}
