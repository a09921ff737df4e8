/**
 * The crypto port: what a host (Node, a browser, a test) provides. Cipher modes, the rarer ciphers and LUKS are pure
 * TypeScript on top of it.
 */
import type { MaybePromise } from '../base/async.ts';
import type { CipherSpec, HashName } from './spec.ts';

/**
 * A block cipher with its key, applied to many independent blocks at once (ECB); the modes are built on it. Input is
 * a whole number of blocks and stays as it is. The result starts at a multiple of four bytes of its buffer and is valid
 * until the next call on the same object. Not to be used by two callers at a time.
 */
export interface BlockCipher {
  /** Bytes in a block. */
  readonly blockSize: 8 | 16;
  encrypt(data: Uint8Array): Uint8Array;
  decrypt(data: Uint8Array): Uint8Array;
  /**
   * Starts a CBC chain with an all-zero initialization vector; each call of the result encrypts the next blocks of
   * that chain.
   */
  startCbc(): (data: Uint8Array) => Uint8Array;
}

/** Sectors to encrypt or decrypt in place. Plain data: can be sent to another thread. */
export interface SectorWork {
  readonly spec: CipherSpec;
  /** The volume's key. */
  readonly key: Uint8Array;
  readonly decrypt: boolean;
  /** Number of the first sector. */
  readonly sector: number;
  /** A multiple of 512 bytes; not to be touched until the work is done. */
  readonly data: Uint8Array;
}

/** What the host provides. */
export interface CryptoPort {
  /** Fills the array with random bytes that are good enough for keys. */
  fillRandom(into: Uint8Array): void;
  /** True if `hash` and `pbkdf2` know this hash. */
  hasHash(name: HashName): boolean;
  /** Digest of `data`. */
  hash(name: HashName, data: Uint8Array): Uint8Array;
  /** PBKDF2 with HMAC (RFC 8018, section 5.2): `length` bytes. */
  pbkdf2(
    hash: HashName,
    password: Uint8Array,
    salt: Uint8Array,
    iterations: number,
    length: number,
  ): MaybePromise<Uint8Array>;
  /** AES with a key of 16, 24 or 32 bytes. */
  aes(key: Uint8Array): BlockCipher;
  /** Works on long runs of sectors with more than one thread. Absent where there is only one. */
  cryptSectors?(work: SectorWork): Promise<void>;
  /** Processor time that this program has used, in milliseconds; wall-clock time where that is not known. */
  cpuTime(): number;
}
