/** What has to be on the disk before something else: the edges of the order that a format writes in. */
import { andThen, type MaybePromise } from '../../base/async.ts';

/** Something that has to be on the disk first. */
export interface Flushable {
  /** Writes what is pending, behind what has to come first, and makes it durable; cheap when nothing is pending. */
  flush(): MaybePromise<void>;
}

/** One that tells whether a flush of it would do anything. */
export interface Pending extends Flushable {
  /** Something may not be on the disk yet. */
  readonly isPending: boolean;
}

/** What is written by others and made durable here. */
export class Barrier implements Pending {
  readonly #sync: () => MaybePromise<void>;
  #written = 0;
  #durable = 0;

  /** @param sync makes everything durable that was written until it is called. */
  constructor(sync: () => MaybePromise<void>) {
    this.#sync = sync;
  }

  /** Something was written that has to be durable before what waits for this. */
  arm(): void {
    this.#written++;
  }

  get isPending(): boolean {
    return this.#durable < this.#written;
  }

  flush(): MaybePromise<void> {
    if (!this.isPending) return;
    const until = this.#written;
    return andThen(this.#sync(), () => {
      this.#durable = Math.max(this.#durable, until);
    });
  }
}

/**
 * Flushes what has to come first, and runs `then` at a moment when nothing of it is pending: not even what was changed
 * while others were waited for.
 * @param first is asked again after every flush.
 * @param then takes copies of what is going to be written, without waiting for anything.
 */
export async function behind<T>(first: () => readonly Pending[], then: () => T): Promise<T> {
  for (;;) {
    const pending = first().find(({ isPending }) => isPending);
    if (!pending) return then();
    await pending.flush();
  }
}
