/**
 * The crypto port without a platform: hashes and AES in JavaScript. Key derivation is the platform's where it has
 * WebCrypto and that knows the hash, as it takes seconds by design.
 */
import { md5, ripemd160, sha1 } from '@noble/hashes/legacy.js';
import { pbkdf2 } from '@noble/hashes/pbkdf2.js';
import { sha224, sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import type { CHash } from '@noble/hashes/utils.js';
import { unsupported } from '../../base/error.ts';
import { aes } from '../../crypto/aes.ts';
import type { CryptoPort } from '../../crypto/crypto.ts';
import type { HashName } from '../../crypto/spec.ts';
import { sm3 } from './sm3.ts';
import { checkIterations } from '../shared/pbkdf2.ts';

const HASHES: Readonly<Record<HashName, CHash>> = { md5, sha1, sha224, sha256, sha384, sha512, ripemd160, sm3 };

/** The hashes that WebCrypto derives keys with (Web Cryptography API, section 18.2.2). */
const WEB_HASHES: Partial<Record<HashName, string>> = {
  sha1: 'SHA-1',
  sha256: 'SHA-256',
  sha384: 'SHA-384',
  sha512: 'SHA-512',
};

/** Most bytes that `getRandomValues` gives at once. */
const RANDOM_BYTES = 65536;

/** What is used of the global `crypto`. `subtle` is absent from pages that did not come through TLS. */
interface WebCrypto {
  getRandomValues(into: Uint8Array): unknown;
  readonly subtle?: {
    importKey(
      format: 'raw',
      key: Uint8Array,
      algorithm: 'PBKDF2',
      extractable: false,
      usages: ['deriveBits'],
    ): Promise<object>;
    deriveBits(
      how: { name: 'PBKDF2'; hash: string; salt: Uint8Array; iterations: number },
      key: object,
      bits: number,
    ): Promise<ArrayBuffer>;
  };
}

function webCrypto(): WebCrypto | undefined {
  return (globalThis as { crypto?: WebCrypto }).crypto;
}

/** Fills `into`, which may lie on shared memory: WebCrypto refuses that. */
function fillRandom(into: Uint8Array): void {
  const source = webCrypto();
  if (!source) throw unsupported('this platform has no source of random bytes');
  const piece = new Uint8Array(Math.min(into.length, RANDOM_BYTES));
  for (let at = 0; at < into.length; at += piece.length) {
    source.getRandomValues(piece);
    into.set(piece.subarray(0, into.length - at), at);
  }
}

async function derive(
  hash: HashName,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Promise<Uint8Array> {
  checkIterations(iterations);
  const subtle = webCrypto()?.subtle;
  const webHash = WEB_HASHES[hash];
  if (!subtle || !webHash) return pbkdf2(HASHES[hash], password, salt, { c: iterations, dkLen: length });
  const key = await subtle.importKey('raw', password, 'PBKDF2', false, ['deriveBits']);
  return new Uint8Array(await subtle.deriveBits({ name: 'PBKDF2', hash: webHash, salt, iterations }, key, length * 8));
}

/** The crypto port of any platform; its clock is the time of day. */
export function portableCrypto(): CryptoPort {
  return {
    fillRandom,
    hasHash: () => true,
    hash: (name, data) => HASHES[name](data),
    pbkdf2: derive,
    aes,
    cpuTime: () => Date.now(),
  };
}
