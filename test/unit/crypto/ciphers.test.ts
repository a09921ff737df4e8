import { createCipheriv, createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cast5 } from '../../../src/crypto/cast5.ts';
import { CAST5_BOXES } from '../../../src/crypto/cast5Boxes.ts';
import type { BlockCipher } from '../../../src/crypto/crypto.ts';
import { serpent } from '../../../src/crypto/serpent.ts';
import { sm4 } from '../../../src/crypto/sm4.ts';
import { twofish } from '../../../src/crypto/twofish.ts';
import { hex, unhex } from './hex.ts';

const ZERO = '00'.repeat(16);

/** Published vectors: the NESSIE project's for Serpent, the Twofish paper's, RFC 2144's, GB/T 32907's. */
const VECTORS: readonly [string, (key: Uint8Array) => BlockCipher, key: string, plain: string, encrypted: string][] = [
  ['serpent-128', serpent, `80${'00'.repeat(15)}`, ZERO, '264e5481eff42a4606abda06c0bfda3d'],
  ['serpent-192', serpent, `80${'00'.repeat(23)}`, ZERO, '9e274ead9b737bb21efcfca548602689'],
  ['serpent-256', serpent, `80${'00'.repeat(31)}`, ZERO, 'a223aa1288463c0e2be38ebd825616c0'],
  ['twofish-128', twofish, ZERO, ZERO, '9f589f5cf6122c32b6bfec2f2ae8c35a'],
  [
    'twofish-192',
    twofish,
    '0123456789abcdeffedcba98765432100011223344556677',
    ZERO,
    'cfd1d2e5a9be9cdf501f13b892bd2248',
  ],
  [
    'twofish-256',
    twofish,
    '0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff',
    ZERO,
    '37527be0052334b89f0cfccae87cfa20',
  ],
  ['cast5-128', cast5, '0123456712345678234567893456789a', '0123456789abcdef', '238b4fe5847e44b2'],
  [
    'sm4',
    sm4,
    '0123456789abcdeffedcba9876543210',
    '0123456789abcdeffedcba9876543210',
    '681edf34d206965e86b3e94f536e4246',
  ],
];

describe.each(VECTORS)('%s', (_name, make, key, plain, encrypted) => {
  test('gives the published vector, both ways', () => {
    const cipher = make(unhex(key));
    expect(hex(cipher.encrypt(unhex(plain)))).toBe(encrypted);
    expect(hex(cipher.decrypt(unhex(encrypted)))).toBe(plain);
  });

  test('decrypting undoes encrypting, for any key and any number of blocks', () => {
    const keys = fc.uint8Array({ minLength: key.length / 2, maxLength: key.length / 2 });
    fc.assert(
      fc.property(keys, fc.uint8Array({ minLength: 16, maxLength: 96 }), (anyKey, data) => {
        const cipher = make(anyKey);
        const whole = data.subarray(0, data.length - (data.length % cipher.blockSize));
        expect(hex(cipher.decrypt(cipher.encrypt(whole).slice()))).toBe(hex(whole));
      }),
      { numRuns: 20 },
    );
  });
});

test('blocks do not influence each other', () => {
  const block = unhex('000102030405060708090a0b0c0d0e0f');
  const many = new Uint8Array(16 * 300);
  for (let at = 0; at < many.length; at += 16) many.set(block, at);
  const cipher = twofish(new Uint8Array(16));
  const one = hex(cipher.encrypt(block));
  expect(hex(cipher.encrypt(many))).toBe(one.repeat(300));
});

test('SM4 equals the host for random keys', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (key) => {
      const data = new Uint8Array(64).fill(0x5a);
      const reference = createCipheriv('sm4-ecb', key, null).setAutoPadding(false).update(data);
      expect(hex(sm4(key).encrypt(data))).toBe(hex(reference));
    }),
    { numRuns: 20 },
  );
});

// The tables were tried against another implementation with 1500 random keys, which look at every entry.
test('the boxes of CAST-128 are those of the RFC', () => {
  expect(CAST5_BOXES.map((box) => box.length)).toEqual(Array(8).fill(2048));
  expect(createHash('sha256').update(CAST5_BOXES.join('')).digest('hex')).toBe(
    '806e5320caae19788d3c686f80b66ee5b56b61224f09617b2dd8bf4d9866d95c',
  );
});
