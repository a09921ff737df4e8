/** Names of ciphers, modes, IV generators and hashes as options spell them, and which of them go together. */
import { invalidArgument, unsupported } from '../base/error.ts';

/** Hashes that volumes can name, spelled as in options and in LUKS headers. */
export const HASH_NAMES = ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'ripemd160', 'sm3'] as const;

/** Name of a hash. */
export type HashName = (typeof HASH_NAMES)[number];

/** Length in bytes of what each hash gives. */
export const HASH_LENGTHS: Readonly<Record<HashName, number>> = {
  md5: 16,
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
  ripemd160: 20,
  sm3: 32,
};

/** Ciphers of sector encryption: cipher and key length in bits. */
export const CIPHER_NAMES = [
  'aes-128',
  'aes-192',
  'aes-256',
  'cast5-128',
  'serpent-128',
  'serpent-192',
  'serpent-256',
  'twofish-128',
  'twofish-192',
  'twofish-256',
  'sm4',
] as const;

/** Name of a cipher with its key length. */
export type CipherName = (typeof CIPHER_NAMES)[number];

/** Names that the option takes but LUKS has no use for. */
const CIPHERS_NEVER_SUPPORTED: readonly string[] = ['des', '3des'];

/** Modes of operation within a sector. */
export const CIPHER_MODES = ['ecb', 'cbc', 'xts', 'ctr'] as const;

/** Name of a mode. */
export type CipherMode = (typeof CIPHER_MODES)[number];

/** Generators of a sector's initialization vector. */
export const IVGEN_NAMES = ['plain', 'plain64', 'essiv'] as const;

/** Name of an IV generator. */
export type IvGenName = (typeof IVGEN_NAMES)[number];

/** Family of ciphers: what a LUKS header calls a cipher; the length of the key is a field of its own there. */
export type CipherFamily = 'aes' | 'cast5' | 'serpent' | 'twofish' | 'sm4';

/** How sectors are encrypted, without the key. Plain data: can be sent to a worker. */
export interface CipherSpec {
  readonly cipher: CipherName;
  readonly mode: CipherMode;
  readonly ivgen: IvGenName;
  /** Hash of the key for `essiv`; other generators ignore it. */
  readonly ivgenHash?: HashName;
}

/** The family that a cipher belongs to. */
export function cipherFamily(cipher: CipherName): CipherFamily {
  return cipher.split('-')[0] as CipherFamily;
}

/** Bytes of the cipher's own key; XTS takes two of them. */
function cipherKeyLength(cipher: CipherName): number {
  return Number(cipher.split('-')[1] ?? 128) / 8;
}

/** Bytes in a block of the cipher. */
export function cipherBlockSize(cipher: CipherName): 8 | 16 {
  return cipher === 'cast5-128' ? 8 : 16;
}

/** Bytes of key that sectors are encrypted with: twice the cipher's key for XTS. */
export function volumeKeyLength(spec: Pick<CipherSpec, 'cipher' | 'mode'>): number {
  return cipherKeyLength(spec.cipher) * (spec.mode === 'xts' ? 2 : 1);
}

/** The member of a family with a key of `length` bytes, or undefined. */
export function findCipher(family: string, length: number): CipherName | undefined {
  return CIPHER_NAMES.find((name) => cipherFamily(name) === family && cipherKeyLength(name) === length);
}

/** What messages call a family that can encrypt initialization vectors. */
const FAMILY_TITLES: Partial<Record<CipherFamily, string>> = { aes: 'AES', serpent: 'Serpent', twofish: 'Twofish' };

/**
 * The cipher that ESSIV encrypts sector numbers with: of the same family, its key is the digest of the volume's key.
 * Throws `unsupported` if there is none.
 */
function essivCipher(cipher: CipherName, hash: HashName): CipherName {
  const title = FAMILY_TITLES[cipherFamily(cipher)];
  if (title === undefined) throw unsupported(`Cipher ${cipher} not supported with essiv`);
  const found = findCipher(cipherFamily(cipher), HASH_LENGTHS[hash]);
  if (found) return found;
  throw unsupported(`No ${title} cipher with key size ${HASH_LENGTHS[hash]} available`);
}

/** The hash of an `essiv` generator; throws if the spec names none. */
export function essivHash(spec: CipherSpec): HashName {
  if (spec.ivgenHash) return spec.ivgenHash;
  throw invalidArgument('Missing IV generator hash specification');
}

/** Throws `unsupported` if IV generator and cipher do not go together. */
export function checkIvGen(spec: CipherSpec): void {
  if (spec.ivgen === 'essiv') essivCipher(spec.cipher, essivHash(spec));
}

/** Throws `unsupported` if cipher and mode do not go together: XTS wants blocks of 16 bytes, SM4 is there as ECB only. */
export function checkMode(spec: CipherSpec): void {
  const wrongBlock = spec.mode === 'xts' && cipherBlockSize(spec.cipher) !== 16;
  if (wrongBlock || (spec.cipher === 'sm4' && spec.mode !== 'ecb')) {
    throw unsupported(`Unsupported cipher mode ${spec.mode}`);
  }
}

function parseName<T extends string>(names: readonly T[], option: string, value: string): T {
  const found = names.find((name) => name === value);
  if (found) return found;
  throw invalidArgument(`Parameter '${option}' does not accept value '${value}'`);
}

/** A cipher from the option `cipher-alg`. */
export function parseCipherName(value: string): CipherName {
  if (CIPHERS_NEVER_SUPPORTED.includes(value)) {
    throw unsupported(`Algorithm '${value}' not supported`);
  }
  return parseName(CIPHER_NAMES, 'cipher-alg', value);
}

/** A mode from the option `cipher-mode`. */
export function parseCipherMode(value: string): CipherMode {
  return parseName(CIPHER_MODES, 'cipher-mode', value);
}

/** An IV generator from the option `ivgen-alg`. */
export function parseIvGenName(value: string): IvGenName {
  return parseName(IVGEN_NAMES, 'ivgen-alg', value);
}

/** A hash from the option `hash-alg` or `ivgen-hash-alg`. */
export function parseHashName(option: 'hash-alg' | 'ivgen-hash-alg', value: string): HashName {
  return parseName(HASH_NAMES, option, value);
}
