/** The crypto port of Bun: Node's, and the one hash that the library in Bun lacks. */
import type { CryptoPort } from '../../crypto/crypto.ts';
import { portableCrypto } from '../portable/crypto.ts';

/** `own`, with the hashes that it does not know in JavaScript. */
export function withAllHashes(own: CryptoPort): CryptoPort {
  const other = portableCrypto();
  return {
    ...own,
    hasHash: (name) => own.hasHash(name) || other.hasHash(name),
    hash: (name, data) => (own.hasHash(name) ? own : other).hash(name, data),
    pbkdf2: (hash, ...rest) => (own.hasHash(hash) ? own : other).pbkdf2(hash, ...rest),
  };
}
