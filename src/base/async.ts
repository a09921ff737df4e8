/** Control flow for code that is synchronous while its metadata is cached and asynchronous otherwise. */

/** A value, or a promise of it. Cached paths stay synchronous: no promise per cluster. */
export type MaybePromise<T> = T | Promise<T>;

/** True if `value` is a promise that has to be awaited. */
export function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return value instanceof Promise;
}

/** Calls `next` with the value, at once if it is there already. (Not named `then`: a module exporting that is a promise to `import()`.) */
export function andThen<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return isPromise(value) ? value.then(next) : next(value);
}

/** Calls `other` with what `body` throws or rejects with. */
export function orElse<T>(body: () => MaybePromise<T>, other: (error: unknown) => MaybePromise<T>): MaybePromise<T> {
  try {
    const value = body();
    return isPromise(value) ? value.catch(other) : value;
  } catch (error) {
    return other(error);
  }
}

/** Lets at most `permits` holders in at a time; waiters are served in order. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(permits: number) {
    this.#free = permits;
  }

  /** Takes a permit; resolves when one is free. */
  acquire(): MaybePromise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Gives a permit back. */
  release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }

  /** Runs `body` while holding a permit. Stays synchronous if it can. */
  run<T>(body: () => MaybePromise<T>): MaybePromise<T> {
    const entry = this.acquire();
    if (isPromise(entry)) return entry.then(() => this.#hold(body));
    return this.#hold(body);
  }

  #hold<T>(body: () => MaybePromise<T>): MaybePromise<T> {
    let result: MaybePromise<T>;
    try {
      result = body();
    } catch (error) {
      this.release();
      throw error;
    }
    if (isPromise(result)) return result.finally(() => this.release());
    this.release();
    return result;
  }
}

/** Mutual exclusion over ranges of offsets: two holders never overlap; waiters keep their order. */
export class RangeLock {
  readonly #held: { start: number; end: number; queue: (() => void)[] }[] = [];

  /** Resolves with a release function once no holder overlaps `[start, end)`. */
  acquire(start: number, end: number): MaybePromise<() => void> {
    const blocker = this.#held.find((range) => range.start < end && start < range.end);
    if (blocker) {
      return new Promise<void>((resolve) => blocker.queue.push(resolve)).then(() => this.acquire(start, end));
    }
    const range = { start, end, queue: [] as (() => void)[] };
    this.#held.push(range);
    return () => {
      this.#held.splice(this.#held.indexOf(range), 1);
      for (const wake of range.queue) wake();
    };
  }

  /** Runs `body` while holding `[start, end)`. Stays synchronous if it can. */
  run<T>(start: number, end: number, body: () => MaybePromise<T>): MaybePromise<T> {
    return andThen(this.acquire(start, end), (release) => {
      let result: MaybePromise<T>;
      try {
        result = body();
      } catch (error) {
        release();
        throw error;
      }
      if (isPromise(result)) return result.finally(release);
      release();
      return result;
    });
  }
}
