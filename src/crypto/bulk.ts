/** Encryption of guest data: short runs of sectors at once, long ones on all cores where the host has them. */
import type { MaybePromise } from '../base/async.ts';
import type { CryptoPort } from './crypto.ts';
import { sectorCipher } from './sectorCipher.ts';
import type { CipherSpec } from './spec.ts';

/** Fewest bytes that are worth a message to another thread. */
const WORTH_A_MESSAGE = 131072;

/** Encrypts and decrypts whole sectors in place. Any number of callers at a time, each with its own memory. */
export interface BulkCipher {
  /**
   * @param sector number of the first sector, of which the initialization vector is made.
   * @param data a multiple of 512 bytes; not to be touched until the result is there.
   */
  encrypt(sector: number, data: Uint8Array): MaybePromise<void>;
  decrypt(sector: number, data: Uint8Array): MaybePromise<void>;
}

/** The cipher that `spec` and the volume's `key` describe; throws as `sectorCipher` does. */
export function bulkCipher(port: CryptoPort, spec: CipherSpec, key: Uint8Array): BulkCipher {
  const own = sectorCipher(port, spec, key);
  const spread = port.cryptSectors?.bind(port);
  const run = (decrypt: boolean, sector: number, data: Uint8Array): MaybePromise<void> => {
    if (spread && data.length >= WORTH_A_MESSAGE) return spread({ spec, key, decrypt, sector, data });
    if (decrypt) own.decrypt(sector, data);
    else own.encrypt(sector, data);
  };
  return {
    encrypt: (sector, data) => run(false, sector, data),
    decrypt: (sector, data) => run(true, sector, data),
  };
}
