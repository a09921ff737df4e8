/** What a file on a server is to the storage over it, whichever protocol brings its bytes. */
import { BlockError } from '../../base/error.ts';
import { secondsOf, type Services } from '../../block/services.ts';

/** The first bytes of a file, which come while others are at work already. */
export interface Head {
  readonly bytes: Uint8Array;
  /** Resolves when so many of them are there; rejects when they will not be. */
  arrived(count: number): Promise<void>;
}

/** A file on a server. */
export interface Remote {
  /** Bytes when it was opened. */
  readonly size: number;
  /** What the first request brings besides, from the first byte on; undefined: nothing. */
  readonly head: Head | undefined;
  /**
   * Fills `into`. Several calls may be under way.
   * @throws BlockError with what curl would say.
   */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Hangs up. */
  close(): void;
}

/** Milliseconds before the second attempt; each one after it waits twice as long. */
const FIRST_WAIT = 100;

/** Attempts besides the first. */
const MORE = 5;

/** Marks failures that may be over soon: what a server says when it is busy, a connection that has ended. */
export class Passing extends Error {
  /** What is said if it does not pass. */
  readonly error: BlockError;
  /** Seconds that the server asks to wait; undefined if it does not. */
  readonly seconds: number | undefined;

  constructor(error: BlockError, seconds?: number) {
    super(error.message);
    this.error = error;
    this.seconds = seconds;
  }
}

/** True for a connection that has ended, and was there before. */
export function hasEnded(error: unknown): error is BlockError {
  return error instanceof BlockError && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

/**
 * Does something until it does not fail in {@link Passing}, a few times, with longer and longer breaks.
 * @param seconds within which the last attempt has to begin; 0: as many as there are.
 * @throws BlockError
 */
export async function persist<T>(
  services: Pick<Services, 'now' | 'wait'>,
  seconds: number,
  attempt: () => Promise<T>,
): Promise<T> {
  const end = seconds === 0 ? Number.POSITIVE_INFINITY : secondsOf(services) + seconds;
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (thrown) {
      if (!(thrown instanceof Passing)) throw thrown;
      const wait = Math.max(FIRST_WAIT * 2 ** failures, (thrown.seconds ?? 0) * 1000);
      if (failures === MORE || secondsOf(services) + wait / 1000 > end) throw thrown.error;
      await services.wait(wait);
    }
  }
}
