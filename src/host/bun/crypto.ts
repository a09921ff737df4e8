/** The crypto port of Bun: Node's, and the one hash that the library in Bun lacks. */
import type { CryptoPort } from '../../crypto/crypto.ts';

/** Of another chunk, loaded when it is called: few images need it. The bundler knows this name. */
declare const require: (path: '../portable/crypto.ts') => typeof import('../portable/crypto.ts');

let loaded: CryptoPort | undefined;

function portable(): CryptoPort {
  loaded ??= require('../portable/crypto.ts').portableCrypto();
  return loaded;
}

/** `own`, with the hashes that it does not know in JavaScript. */
export function withAllHashes(own: CryptoPort): CryptoPort {
  return {
    ...own,
    hasHash: (name) => own.hasHash(name) || portable().hasHash(name),
    hash: (name, data) => (own.hasHash(name) ? own : portable()).hash(name, data),
    pbkdf2: (hash, ...rest) => (own.hasHash(hash) ? own : portable()).pbkdf2(hash, ...rest),
  };
}
