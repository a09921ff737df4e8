/** Keeps a copy to a number of bytes per second. */
import { secondsOf, type Services } from '../../block/services.ts';

/** Spreads work evenly over time. */
export class Pace {
  readonly #bytesPerSecond: number;
  readonly #services: Pick<Services, 'now' | 'wait'>;
  #due: number;

  constructor(bytesPerSecond: number, services: Pick<Services, 'now' | 'wait'>) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#services = services;
    this.#due = secondsOf(services);
  }

  /** Waits until `bytes` more may be written. A wait ends early when the signal fires. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = secondsOf(this.#services);
    const wait = this.#due - now;
    this.#due = Math.max(this.#due, now) + bytes / this.#bytesPerSecond;
    if (wait > 0) await this.#services.wait(wait * 1000, signal);
  }
}
