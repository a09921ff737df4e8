import { createCipheriv, createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { legacyAesCipher, sectorCipher } from '../../../src/crypto/sectorCipher.ts';
import { CIPHER_MODES, CIPHER_NAMES, type CipherSpec, IVGEN_NAMES, volumeKeyLength } from '../../../src/crypto/spec.ts';
import { nodeCrypto } from '../../../src/host/node/crypto.ts';
import { hex, unhex } from './hex.ts';

const port = nodeCrypto();

function keyFor(spec: CipherSpec): Uint8Array {
  return Uint8Array.from({ length: volumeKeyLength(spec) }, (_, i) => (i * 7 + 1) & 255);
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);
}

function plain64(sector: number): Uint8Array {
  const iv = new Uint8Array(16);
  new DataView(iv.buffer).setBigUint64(0, BigInt(sector), true);
  return iv;
}

function essiv(key: Uint8Array, sector: number): Uint8Array {
  const salt = createHash('sha256').update(key).digest();
  return createCipheriv('aes-256-ecb', salt, null).setAutoPadding(false).update(plain64(sector));
}

/** The same by one cipher object of the host for each sector. */
function reference(algorithm: string, key: Uint8Array, data: Uint8Array, iv: (index: number) => Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i < data.length / 512; i++) {
    const cipher = createCipheriv(algorithm, key, iv(i)).setAutoPadding(false);
    parts.push(hex(cipher.update(data.subarray(i * 512, (i + 1) * 512))));
  }
  return parts.join('');
}

const ESSIV: Pick<CipherSpec, 'ivgen' | 'ivgenHash'> = { ivgen: 'essiv', ivgenHash: 'sha256' };

describe('AES against the host, one sector at a time', () => {
  // Beyond 2^32, where plain64 needs its upper half.
  const first = 0x1_2345_6789;
  test.each<[string, CipherSpec, string, boolean]>([
    ['xts 128', { cipher: 'aes-128', mode: 'xts', ivgen: 'plain64' }, 'aes-128-xts', false],
    ['xts 256', { cipher: 'aes-256', mode: 'xts', ivgen: 'plain64' }, 'aes-256-xts', false],
    ['cbc 192', { cipher: 'aes-192', mode: 'cbc', ivgen: 'plain64' }, 'aes-192-cbc', false],
    ['cbc essiv', { cipher: 'aes-256', mode: 'cbc', ...ESSIV }, 'aes-256-cbc', true],
    ['ctr', { cipher: 'aes-128', mode: 'ctr', ivgen: 'plain64' }, 'aes-128-ctr', false],
    ['ctr essiv', { cipher: 'aes-256', mode: 'ctr', ...ESSIV }, 'aes-256-ctr', true],
  ])('%s', (_name, spec, algorithm, withEssiv) => {
    const key = keyFor(spec);
    const data = pattern(512 * 260);
    const iv = (index: number): Uint8Array => (withEssiv ? essiv(key, first + index) : plain64(first + index));
    const expected = reference(algorithm, key, data, iv);
    const work = data.slice();
    const cipher = sectorCipher(port, spec, key);
    cipher.encrypt(first, work);
    expect(hex(work) === expected).toBe(true);
    cipher.decrypt(first, work);
    expect(hex(work) === hex(data)).toBe(true);
  });
});

test('XTS gives the first vector of IEEE 1619', () => {
  const data = new Uint8Array(512);
  sectorCipher(port, { cipher: 'aes-128', mode: 'xts', ivgen: 'plain64' }, new Uint8Array(32)).encrypt(0, data);
  expect(hex(data.subarray(0, 32))).toBe('917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e');
});

/** Start of an encrypted sector of zeroes. */
function firstBlock(ivgen: 'plain' | 'plain64', sector: number): string {
  const data = new Uint8Array(512);
  const spec: CipherSpec = { cipher: 'aes-128', mode: 'cbc', ivgen };
  sectorCipher(port, spec, keyFor(spec)).encrypt(sector, data);
  return hex(data.subarray(0, 16));
}

/** Sector 3, all zeroes, encrypted with the old method. */
function legacySector(passphrase: string): string {
  const data = new Uint8Array(512);
  legacyAesCipher(port, unhex(passphrase)).encrypt(3, data);
  return hex(data);
}

test('plain forgets the upper half of a sector number, plain64 does not', () => {
  expect(firstBlock('plain', 2 ** 32 + 5)).toBe(firstBlock('plain64', 5));
  expect(firstBlock('plain64', 2 ** 32 + 5)).not.toBe(firstBlock('plain64', 5));
});

test('the passphrase of the old AES method is cut or filled up to 16 bytes', () => {
  const expected = reference('aes-128-cbc', unhex(`abcd${'00'.repeat(14)}`), new Uint8Array(512), () => plain64(3));
  expect(legacySector('abcd')).toBe(expected);
  expect(legacySector(`${'11'.repeat(16)}22`)).toBe(legacySector('11'.repeat(16)));
});

const COMBINATIONS = CIPHER_NAMES.flatMap((cipher) =>
  CIPHER_MODES.flatMap((mode) =>
    IVGEN_NAMES.map((ivgen): CipherSpec => ({ cipher, mode, ...(ivgen === 'essiv' ? ESSIV : { ivgen }) })),
  ),
);

/** What does not exist, and the real tool's words for it. */
function refusal(spec: CipherSpec): string | undefined {
  if (spec.ivgen === 'essiv' && /cast5|sm4/.test(spec.cipher)) return `Cipher ${spec.cipher} not supported with essiv`;
  if (spec.mode !== 'ecb' && spec.cipher === 'sm4') return `Unsupported cipher mode ${spec.mode}`;
  if (spec.mode === 'xts' && spec.cipher === 'cast5-128') return 'Unsupported cipher mode xts';
  return undefined;
}

const named = COMBINATIONS.map((spec) => ({ spec, name: `${spec.cipher} ${spec.mode} ${spec.ivgen}` }));

test.each(named.filter(({ spec }) => refusal(spec) !== undefined))('$name is refused', ({ spec }) => {
  expect(() => sectorCipher(port, spec, keyFor(spec))).toThrow(refusal(spec));
});

test.each(named.filter(({ spec }) => refusal(spec) === undefined))(
  '$name: sectors can be worked on in any grouping and at any address',
  ({ spec }) => {
    const cipher = sectorCipher(port, spec, keyFor(spec));
    const data = pattern(512 * 6);
    const whole = data.slice();
    cipher.encrypt(77, whole);
    const runs = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(runs, fc.integer({ min: 0, max: 5 }), (cuts, shift) => {
        const room = new Uint8Array(data.length + shift);
        const work = room.subarray(shift);
        work.set(data);
        const edges = [...new Set([0, ...cuts, 6])].sort((a, b) => a - b);
        for (let i = 0; i + 1 < edges.length; i++) {
          cipher.encrypt(77 + edges[i]!, work.subarray(edges[i]! * 512, edges[i + 1]! * 512));
        }
        expect(hex(work)).toBe(hex(whole));
        cipher.decrypt(77, work);
        expect(hex(work)).toBe(hex(data));
      }),
      { numRuns: 5 },
    );
  },
);

test('keys of a wrong length and half sectors are refused', () => {
  const spec: CipherSpec = { cipher: 'aes-256', mode: 'xts', ivgen: 'plain64' };
  expect(() => sectorCipher(port, spec, new Uint8Array(32))).toThrow('Cipher key length 32 should be 64');
  expect(() => sectorCipher(port, spec, new Uint8Array(64)).encrypt(0, new Uint8Array(100))).toThrow(/whole sectors/);
});

test('essiv needs a hash whose digest is a key', () => {
  const spec: CipherSpec = { cipher: 'serpent-256', mode: 'cbc', ivgen: 'essiv', ivgenHash: 'sha1' };
  expect(() => sectorCipher(port, spec, new Uint8Array(32))).toThrow('No Serpent cipher with key size 20 available');
  const bare: CipherSpec = { cipher: 'serpent-256', mode: 'cbc', ivgen: 'essiv' };
  expect(() => sectorCipher(port, bare, new Uint8Array(32))).toThrow('Missing IV generator hash specification');
});
