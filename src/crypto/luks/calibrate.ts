/** How many PBKDF2 iterations a given time is worth on this machine. */
import { BlockError } from '../../base/error.ts';
import type { CryptoPort } from '../crypto.ts';
import { HASH_LENGTHS, type HashName } from '../spec.ts';

/** Fewest iterations of a new key (LUKS On-Disk Format Specification, section 4.1). */
const LEAST_ITERATIONS = 1000;
/** Largest number that the header has room for. */
const MOST_ITERATIONS = 0xffffffff;
/** Measuring for this many milliseconds of processor time is exact enough. */
const LONG_ENOUGH = 20;
/** The first measurement, and a bound for hosts whose clock stands still. */
const FIRST_RUN = 1 << 13;
const LONGEST_RUN = 1 << 24;
const UINT64_MAX = 2 ** 64;

/** Speed of PBKDF2 with one hash. */
export interface PbkdfSpeed {
  /** Iterations per second that derive a key of `length` bytes. */
  rate(length: number): number;
}

/** Measures PBKDF2. */
export async function measurePbkdf(port: CryptoPort, hash: HashName): Promise<PbkdfSpeed> {
  const size = HASH_LENGTHS[hash];
  const password = new Uint8Array(16);
  const salt = new Uint8Array(32);
  for (let count = FIRST_RUN; ; count *= 2) {
    const start = port.cpuTime();
    await port.pbkdf2(hash, password, salt, count, size);
    const time = port.cpuTime() - start;
    if (time >= LONG_ENOUGH || count >= LONGEST_RUN) {
      const perBlock = (count * 1000) / Math.max(time, 1);
      // Each digest-sized piece of a longer key is derived on its own.
      return { rate: (length) => Math.max(1, Math.floor(perBlock / Math.ceil(length / size))) };
    }
  }
}

/**
 * Iterations for `milliseconds / divisor` of work.
 * @param rate iterations per second.
 * Throws `limit` if the header cannot hold the number.
 */
export function iterationsFor(rate: number, milliseconds: number, divisor = 1): number {
  const range = { posix: { code: 'ERANGE', text: 'Numerical result out of range' } };
  if (milliseconds > 0 && rate > UINT64_MAX / milliseconds) {
    const message = `PBKDF iterations ${rate} too large to scale: ${range.posix.text}`;
    throw new BlockError('limit', message, range);
  }
  const iterations = Math.floor((rate * milliseconds) / 1000 / divisor);
  if (iterations > MOST_ITERATIONS) {
    const message = `PBKDF iterations ${iterations} larger than ${MOST_ITERATIONS}: ${range.posix.text}`;
    throw new BlockError('limit', message, range);
  }
  return Math.max(LEAST_ITERATIONS, iterations);
}
