/** Control flow for code that is synchronous while its metadata is cached and asynchronous otherwise. */

/** A value, or a promise of it. Cached paths stay synchronous: no promise per cluster. */
export type MaybePromise<T> = T | Promise<T>;

/** True if `value` is a promise that has to be awaited. */
export function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return value instanceof Promise;
}

/** Resolves when all have ended; rejects then with the first failure in their order. */
export async function allOf(work: readonly Promise<void>[]): Promise<void> {
  if (work.length > 1) await Promise.allSettled(work);
  for (const one of work) await one;
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

/** Whether others may hold the same offsets at the same time: only those who share them, too. */
export type Sharing = 'alone' | 'shared';

/** One who holds a range or waits for it. */
interface Claim {
  readonly start: number;
  readonly end: number;
  readonly shared: boolean;
  /** Claims that came earlier and stand in the way. */
  blockers: number;
  /** Claims that came later and for which this one stands in the way. */
  readonly blocked: Claim[];
  /** Lets the one who waits in. */
  enter: (() => void) | undefined;
}

/**
 * Locks over ranges of offsets: two holders never overlap, unless both share. Everybody waits for all that came earlier and
 * stand in the way, also for those who wait themselves: nobody is overtaken, and nobody waits for ever.
 */
export class RangeLock {
  /** In the order of their coming. */
  readonly #claims = new Set<Claim>();

  /** Resolves with a release function once `[start, end)` is free. */
  acquire(start: number, end: number, sharing: Sharing = 'alone'): MaybePromise<() => void> {
    const claim = this.#claim(start, end, sharing === 'shared');
    const release = (): void => this.#release(claim);
    if (claim.blockers === 0) return release;
    return new Promise((resolve) => {
      claim.enter = () => resolve(release);
    });
  }

  #claim(start: number, end: number, shared: boolean): Claim {
    const claim: Claim = { start, end, shared, blockers: 0, blocked: [], enter: undefined };
    for (const other of this.#claims) {
      if (other.start >= end || start >= other.end || (shared && other.shared)) continue;
      other.blocked.push(claim);
      claim.blockers++;
    }
    this.#claims.add(claim);
    return claim;
  }

  #release(claim: Claim): void {
    this.#claims.delete(claim);
    for (const waiter of claim.blocked) if (--waiter.blockers === 0) waiter.enter?.();
  }

  /** Runs `body` while holding `[start, end)`. Stays synchronous if it can. */
  run<T>(start: number, end: number, body: () => MaybePromise<T>, sharing: Sharing = 'alone'): MaybePromise<T> {
    return andThen(this.acquire(start, end, sharing), (release) => {
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

/**
 * Closes what is there, in that order, whatever fails.
 * @throws the first failure, when all are closed.
 */
export async function closeEach(list: Iterable<{ close(): MaybePromise<void> } | undefined>): Promise<void> {
  const failures: unknown[] = [];
  for (const one of list) {
    try {
      await one?.close();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
