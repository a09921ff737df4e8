/** Encryption of sectors of 512 bytes: cipher, mode and IV generator put together. */
import { BlockError, invalidArgument } from '../base/error.ts';
import { SECTOR } from '../base/offset.ts';
import { cast5 } from './cast5.ts';
import type { BlockCipher, CryptoPort } from './crypto.ts';
import { type IvGenerator, ivGenerator } from './ivgen.ts';
import { type ModeCipher, PIECE } from './mode.ts';
import { cbc, ctr, ecb } from './modes.ts';
import { serpent } from './serpent.ts';
import { sm4 } from './sm4.ts';
import {
  type CipherName,
  type CipherSpec,
  checkIvGen,
  checkMode,
  cipherBlockSize,
  cipherFamily,
  essivHash,
  volumeKeyLength,
} from './spec.ts';
import { twofish } from './twofish.ts';
import { xts } from './xts.ts';

/** Encrypts and decrypts whole sectors in place. One object serves one caller at a time. */
export interface SectorCipher {
  /**
   * @param sector number of the first sector, of which the initialization vector is made.
   * @param data a multiple of 512 bytes.
   */
  encrypt(sector: number, data: Uint8Array): void;
  decrypt(sector: number, data: Uint8Array): void;
}

/** A block cipher by name, keyed with `key` of the length that goes with the name. */
function blockCipher(port: CryptoPort, cipher: CipherName, key: Uint8Array): BlockCipher {
  switch (cipherFamily(cipher)) {
    case 'aes':
      return port.aes(key);
    case 'serpent':
      return serpent(key);
    case 'twofish':
      return twofish(key);
    case 'cast5':
      return cast5(key);
    case 'sm4':
      return sm4(key);
  }
}

function ivs(port: CryptoPort, spec: CipherSpec, key: Uint8Array): IvGenerator {
  const blockSize = cipherBlockSize(spec.cipher);
  if (spec.ivgen !== 'essiv') return ivGenerator(spec.ivgen, blockSize);
  const digest = port.hash(essivHash(spec), key);
  const family = cipherFamily(spec.cipher);
  return ivGenerator('essiv', blockSize, blockCipher(port, `${family}-${digest.length * 8}` as CipherName, digest));
}

function modeCipher(port: CryptoPort, spec: CipherSpec, key: Uint8Array): ModeCipher {
  const iv = ivs(port, spec, key);
  const make = (part: Uint8Array): BlockCipher => blockCipher(port, spec.cipher, part);
  switch (spec.mode) {
    case 'ecb':
      return ecb(make(key));
    case 'cbc':
      return cbc(make(key), iv);
    case 'ctr':
      return ctr(make(key), iv);
    case 'xts':
      return xts(make(key.subarray(0, key.length / 2)), make(key.subarray(key.length / 2)), iv);
  }
}

/**
 * The sector cipher that `spec` describes.
 * @param key the volume's key: of the cipher's length, twice that for XTS.
 * Throws `unsupported` for a combination that does not exist and `invalid-argument` for a key of another length.
 */
export function sectorCipher(port: CryptoPort, spec: CipherSpec, key: Uint8Array): SectorCipher {
  checkIvGen(spec);
  checkMode(spec);
  if (key.length !== volumeKeyLength(spec)) {
    throw invalidArgument(`Cipher key length ${key.length} should be ${volumeKeyLength(spec)}`);
  }
  const mode = modeCipher(port, spec, key.slice());
  return {
    encrypt: (sector, data) => inPieces(sector, data, (at, piece) => mode.encrypt(at, piece)),
    decrypt: (sector, data) => inPieces(sector, data, (at, piece) => mode.decrypt(at, piece)),
  };
}

/** The first encryption of qcow and qcow2: AES-128-CBC with `plain64`. */
const LEGACY_AES: CipherSpec = { cipher: 'aes-128', mode: 'cbc', ivgen: 'plain64' };

/** What the encryption method "AES" of qcow and qcow2 encrypts with: the key is the passphrase itself, 16 bytes of it. */
export function legacyAes(passphrase: Uint8Array): { readonly spec: CipherSpec; readonly key: Uint8Array } {
  const key = new Uint8Array(16);
  key.set(passphrase.subarray(0, key.length));
  return { spec: LEGACY_AES, key };
}

/** The cipher of {@link legacyAes}. */
export function legacyAesCipher(port: CryptoPort, passphrase: Uint8Array): SectorCipher {
  const { spec, key } = legacyAes(passphrase);
  return sectorCipher(port, spec, key);
}

/** Calls `apply` with pieces that a {@link ModeCipher} can take; data at odd addresses makes a detour. */
function inPieces(sector: number, data: Uint8Array, apply: (sector: number, piece: Uint8Array) => void): void {
  if (data.length % SECTOR !== 0) {
    throw new BlockError('internal', `Encryption of ${data.length} bytes, which are not whole sectors`);
  }
  const direct = data.byteOffset % 4 === 0;
  for (let at = 0; at < data.length; at += PIECE) {
    const part = data.subarray(at, Math.min(at + PIECE, data.length));
    const piece = direct ? part : part.slice();
    apply(sector + at / SECTOR, piece);
    if (!direct) part.set(piece);
  }
}
