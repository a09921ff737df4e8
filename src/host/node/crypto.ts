/** The crypto port on `node:crypto`. */
import type * as Crypto from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { mayUseThreads, soon } from './limits.ts';
import { otherRuntime } from './runtime.ts';
import type { BlockCipher, CryptoPort } from '../../crypto/crypto.ts';
import type { HashName } from '../../crypto/spec.ts';
import { checkIterations } from '../shared/pbkdf2.ts';

let loaded: typeof Crypto | undefined;

/** `node:crypto`, loaded at the first call: most commands answer in less time than that takes. */
function crypto(): typeof Crypto {
  loaded ??= createRequire(import.meta.url)('node:crypto') as typeof Crypto;
  return loaded;
}

/** What cipher and decipher objects have in common. */
type Update = { update(data: Uint8Array): Uint8Array };

/** The bytes without what `Buffer` adds to them. */
function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
}

function aes(key: Uint8Array): BlockCipher {
  const algorithm = `aes-${key.length * 8}`;
  const encryptor: Update = crypto().createCipheriv(`${algorithm}-ecb`, key, null).setAutoPadding(false);
  // A decryptor costs a second key schedule; who only encrypts never pays for it.
  let decryptor: Update | undefined;
  return {
    blockSize: 16,
    encrypt: (data) => aligned(encryptor.update(data)),
    decrypt(data) {
      decryptor ??= crypto().createDecipheriv(`${algorithm}-ecb`, key, null).setAutoPadding(false) as Update;
      return aligned(decryptor.update(data));
    },
    startCbc() {
      const chain: Update = crypto().createCipheriv(`${algorithm}-cbc`, key, new Uint8Array(16)).setAutoPadding(false);
      return (data) => aligned(chain.update(data));
    },
  };
}

function derive(
  hash: HashName,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Promise<Uint8Array> {
  checkIterations(iterations);
  if (!mayUseThreads()) return soon(() => plain(crypto().pbkdf2Sync(password, salt, iterations, length, hash)));
  return new Promise((resolve, reject) => {
    crypto().pbkdf2(password, salt, iterations, length, hash, (error, key) =>
      error ? reject(error) : resolve(plain(key)),
    );
  });
}

/** Most bytes that are read from the kernel. */
const FEW = 256;

/** Few bytes, as for names and identifiers, come from the kernel itself: `node:crypto` takes longer to load. */
export function fillRandom(into: Uint8Array): void {
  if (!loaded && into.length <= FEW && readRandom(into)) return;
  crypto().randomFillSync(into);
}

/** True if the kernel filled the array. */
function readRandom(into: Uint8Array): boolean {
  try {
    const fd = openSync('/dev/urandom', 'r');
    try {
      return readSync(fd, into) === into.length;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

/** One-shot hashing costs half as much as a hash object, and LUKS hashes thousands of small pieces; Bun lacks it. */
function digest(name: HashName, data: Uint8Array): Uint8Array {
  const { createHash, hash } = crypto();
  return plain(typeof hash === 'function' ? hash(name, data, 'buffer') : createHash(name).update(data).digest());
}

/** The crypto port of Node (and of what offers `node:crypto`); PBKDF2 runs on the thread pool. */
export function nodeCrypto(): CryptoPort {
  let hashes: Set<string> | undefined;
  const port: CryptoPort = {
    fillRandom,
    hasHash(name) {
      hashes ??= new Set(
        crypto()
          .getHashes()
          .map((known) => known.toLowerCase()),
      );
      return hashes.has(name);
    },
    hash: digest,
    pbkdf2: derive,
    aes,
    cpuTime() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
  };
  return otherRuntime()?.crypto(port) ?? port;
}
