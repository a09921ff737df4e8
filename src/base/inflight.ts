/** Bounded work: several things under way at the same time, the first failure kept, other events let in. */
import { type MaybePromise, Semaphore } from './async.ts';
import { asBlockError, BlockError } from './error.ts';

/** Throws kind `aborted` if the signal has fired. */
export function throwIfStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new BlockError('aborted', 'Operation canceled', { cause: signal.reason });
}

/** Who can wait: the services of a host. */
export interface Waiter {
  /** Resolves after so many milliseconds; 0 lets other events in and goes on. */
  wait(milliseconds: number): Promise<void>;
}

/** Lets other events in now and then, such as a request to stop: what never has to wait would keep them out. */
export class Breath {
  readonly #steps: number;
  readonly #waiter: Waiter;
  readonly #signal: AbortSignal | undefined;
  #count = 0;

  /** @param steps after which other events get a chance. */
  constructor(steps: number, waiter: Waiter, signal: AbortSignal | undefined) {
    this.#steps = steps;
    this.#waiter = waiter;
    this.#signal = signal;
  }

  /**
   * Counts a step.
   * @throws BlockError `aborted` if the work is to stop.
   */
  step(): MaybePromise<void> {
    throwIfStopped(this.#signal);
    if (++this.#count % this.#steps === 0) return this.#waiter.wait(0);
  }
}

/** Work that runs beside other work, in a number of slots. */
export class InFlight {
  readonly #slots: Semaphore;
  readonly #running: Set<Promise<unknown>> = new Set();
  #failure: BlockError | undefined;

  constructor(slots: number) {
    this.#slots = new Semaphore(slots);
  }

  /** Something has failed: there is no sense in beginning more. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Keeps a failure, if it is the first one. */
  fail(error: unknown): void {
    this.#failure ??= asBlockError(error);
  }

  /** Takes a slot; resolves when one is free. */
  enter(): MaybePromise<void> {
    return this.#slots.acquire();
  }

  /**
   * Follows work that has a slot, which is free again when it is done.
   * @returns what the work gives, undefined if it fails; never rejects.
   */
  follow<T>(work: Promise<T>): Promise<T | undefined> {
    const done = work
      .catch((error: unknown) => {
        this.fail(error);
        return undefined;
      })
      .finally(() => {
        this.#running.delete(done);
        this.#slots.release();
      });
    this.#running.add(done);
    return done;
  }

  /** Waits for all that is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Waits for all that is under way; throws the first failure. */
  async finish(): Promise<void> {
    await this.idle();
    if (this.#failure) throw this.#failure;
  }
}

/** Reusable transfer buffers of one size. */
export interface BufferPool {
  /** Bytes in each buffer. */
  readonly size: number;
  acquire(): Uint8Array;
  release(buffer: Uint8Array): void;
}

/** Buffers of at least some size: those of a pool if they are large enough, else own ones, which are used again. */
export class SpareBuffers implements BufferPool {
  readonly size: number;
  readonly #pool: BufferPool | undefined;
  readonly #spare: Uint8Array[] = [];

  /** @param size bytes that are needed in each buffer. */
  constructor(size: number, pool?: BufferPool) {
    this.size = size;
    this.#pool = pool && size <= pool.size ? pool : undefined;
  }

  acquire(): Uint8Array {
    return this.#pool?.acquire() ?? this.#spare.pop() ?? new Uint8Array(this.size);
  }

  release(buffer: Uint8Array): void {
    if (this.#pool) this.#pool.release(buffer);
    else this.#spare.push(buffer);
  }
}
