/** What worker threads do for encryption. */
import { equalBytes } from '../../base/bytes.ts';
import type { SectorWork } from '../../crypto/crypto.ts';
import { type SectorCipher, sectorCipher } from '../../crypto/sectorCipher.ts';
import type { CipherSpec } from '../../crypto/spec.ts';
import { nodeCrypto } from './crypto.ts';
import type { Task } from './task.ts';

/** Encrypts or decrypts sectors in place; the result is the memory that was given. */
export type SectorsTask = Task<SectorWork, Uint8Array>;

/** Ciphers kept for the next job: source and target of a copy, with room for others. */
const KEPT = 4;

interface KeptCipher {
  readonly spec: CipherSpec;
  readonly key: Uint8Array;
  readonly cipher: SectorCipher;
}

const kept: KeptCipher[] = [];

function sameSpec(one: CipherSpec, other: CipherSpec): boolean {
  return (
    one.cipher === other.cipher &&
    one.mode === other.mode &&
    one.ivgen === other.ivgen &&
    one.ivgenHash === other.ivgenHash
  );
}

function cipherFor({ spec, key }: SectorWork): SectorCipher {
  const known = kept.find((entry) => sameSpec(entry.spec, spec) && equalBytes(entry.key, key));
  if (known) return known.cipher;
  const cipher = sectorCipher(nodeCrypto(), spec, key);
  kept.unshift({ spec, key: key.slice(), cipher });
  kept.length = Math.min(kept.length, KEPT);
  return cipher;
}

/** {@link SectorsTask} */
export const sectorsTask: SectorsTask = {
  run(work) {
    const cipher = cipherFor(work);
    if (work.decrypt) cipher.decrypt(work.sector, work.data);
    else cipher.encrypt(work.sector, work.data);
    return work.data;
  },
  transfer: ({ buffer }) => (buffer instanceof ArrayBuffer ? [buffer] : []),
};
