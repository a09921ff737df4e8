/** One key slot: the master key, split, encrypted with a key that is derived from a passphrase. */
import type { MaybePromise } from '../../base/async.ts';
import { equalBytes } from '../../base/bytes.ts';
import type { CryptoPort } from '../crypto.ts';
import { sectorCipher } from '../sectorCipher.ts';
import { volumeKeyLength } from '../spec.ts';
import { mergeKey, splitKey } from './afsplit.ts';
import {
  encodeSlot,
  keyMaterialLength,
  LUKS_DIGEST_LENGTH,
  LUKS_SALT_LENGTH,
  LUKS_STRIPES,
  type LuksHeader,
  type LuksKeySlot,
  slotPosition,
} from './header.ts';

/** Where a header and its key material are kept. Offsets are in bytes from the start of the header. */
export interface LuksIo {
  /** Fills all of `into`; what is beyond the end of the file reads as zeroes. */
  read(offset: number, into: Uint8Array): MaybePromise<void>;
  write(offset: number, from: Uint8Array): MaybePromise<void>;
}

/** Digest by which a master key is recognized. */
export async function masterKeyDigest(
  port: CryptoPort,
  header: Pick<LuksHeader, 'hash' | 'masterKeySalt' | 'masterKeyIterations'>,
  masterKey: Uint8Array,
): Promise<Uint8Array> {
  const { hash, masterKeySalt, masterKeyIterations } = header;
  return await port.pbkdf2(hash, masterKey, masterKeySalt, masterKeyIterations, LUKS_DIGEST_LENGTH);
}

/** The master key out of an active slot, or undefined if the passphrase is not that slot's. */
export async function unlockSlot(
  port: CryptoPort,
  io: LuksIo,
  header: LuksHeader,
  slot: LuksKeySlot,
  passphrase: Uint8Array,
): Promise<Uint8Array | undefined> {
  const { spec, hash } = header;
  const keyLength = volumeKeyLength(spec);
  const slotKey = await port.pbkdf2(hash, passphrase, slot.salt, slot.iterations, keyLength);
  const material = new Uint8Array(keyMaterialLength(keyLength));
  await io.read(slot.keyOffset, material);
  sectorCipher(port, spec, slotKey).decrypt(0, material);
  const masterKey = mergeKey(port, hash, material, keyLength, LUKS_STRIPES);
  const digest = await masterKeyDigest(port, header, masterKey);
  wipe(slotKey, material);
  if (equalBytes(digest, header.masterKeyDigest)) return masterKey;
  wipe(masterKey);
  return undefined;
}

/**
 * Writes the material of a slot that holds `masterKey` under `passphrase`. The entry that it returns is not written:
 * it must not be there before its material is.
 */
export async function writeKeyMaterial(
  port: CryptoPort,
  io: LuksIo,
  header: Pick<LuksHeader, 'spec' | 'hash'>,
  keyOffset: number,
  iterations: number,
  masterKey: Uint8Array,
  passphrase: Uint8Array,
): Promise<LuksKeySlot> {
  const { spec, hash } = header;
  const salt = new Uint8Array(LUKS_SALT_LENGTH);
  port.fillRandom(salt);
  const slotKey = await port.pbkdf2(hash, passphrase, salt, iterations, masterKey.length);
  const material = new Uint8Array(keyMaterialLength(masterKey.length));
  splitKey(port, hash, masterKey, LUKS_STRIPES, material);
  sectorCipher(port, spec, slotKey).encrypt(0, material);
  await io.write(keyOffset, material);
  wipe(slotKey);
  return { active: true, iterations, salt, keyOffset };
}

/** An inactive slot. */
export function emptySlot(keyOffset: number): LuksKeySlot {
  return { active: false, iterations: 0, salt: new Uint8Array(LUKS_SALT_LENGTH), keyOffset };
}

/** Destroys a slot: random bytes over its material, then an inactive entry, which is returned. */
export async function eraseSlot(port: CryptoPort, io: LuksIo, header: LuksHeader, index: number): Promise<LuksKeySlot> {
  const { keyOffset } = header.slots[index]!;
  const noise = new Uint8Array(keyMaterialLength(volumeKeyLength(header.spec)));
  port.fillRandom(noise);
  await io.write(keyOffset, noise);
  const empty = emptySlot(keyOffset);
  await writeSlotEntry(io, index, empty);
  return empty;
}

/** Writes a slot's entry into the header. */
export async function writeSlotEntry(io: LuksIo, index: number, slot: LuksKeySlot): Promise<void> {
  await io.write(slotPosition(index), encodeSlot(slot));
}

/** Overwrites keys that are needed no more. */
function wipe(...secrets: Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}
