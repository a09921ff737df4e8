/** What the key derivation of every host has in common. */
import { BlockError } from '../../base/error.ts';

/** Largest number of iterations that platforms take. */
const MOST_ITERATIONS = 0x7fffffff;

/** Throws kind `limit` for more iterations than a host can do. */
export function checkIterations(iterations: number): void {
  if (iterations > MOST_ITERATIONS) {
    throw new BlockError('limit', `PBKDF2 iteration count ${iterations} is too large`);
  }
}
