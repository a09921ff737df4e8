/** Tests that all hosts' crypto ports share. */
import { createCipheriv, createHash, pbkdf2Sync } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CryptoPort } from '../../../src/crypto/crypto.ts';
import { HASH_LENGTHS, HASH_NAMES } from '../../../src/crypto/spec.ts';
import { hex, unhex } from '../crypto/hex.ts';

/** What every crypto port has to do. */
export function checkCrypto(port: CryptoPort): void {
  describe('AES', () => {
    test('gives the example of FIPS 197 for every key length', () => {
      const plain = unhex('00112233445566778899aabbccddeeff');
      const key = Uint8Array.from({ length: 32 }, (_, i) => i);
      const results = [16, 24, 32].map((length) => hex(port.aes(key.subarray(0, length)).encrypt(plain)));
      expect(results).toEqual([
        '69c4e0d86a7b0430d8cdb78070b4c55a',
        'dda97ca4864cdfe06eaf70a0ec0d7191',
        '8ea2b7ca516745bfeafc49904b496089',
      ]);
    });

    test('is that of OpenSSL for any key', () => {
      const keys = fc.constantFrom(16, 24, 32).chain((size) => fc.uint8Array({ minLength: size, maxLength: size }));
      fc.assert(
        fc.property(keys, fc.uint8Array({ minLength: 48, maxLength: 48 }), (key, data) => {
          const reference = createCipheriv(`aes-${key.length * 8}-ecb`, key, null).update(data);
          const cipher = port.aes(key);
          const encrypted = cipher.encrypt(data).slice();
          expect(hex(encrypted)).toBe(hex(reference));
          expect(hex(cipher.decrypt(encrypted))).toBe(hex(data));
        }),
        { numRuns: 50 },
      );
    });

    test('decrypts blocks independently and leaves the input alone', () => {
      const cipher = port.aes(new Uint8Array(32).fill(7));
      const plain = Uint8Array.from({ length: 4096 }, (_, i) => i % 251);
      const encrypted = cipher.encrypt(plain).slice();
      expect(hex(cipher.decrypt(encrypted.subarray(16, 4096)))).toBe(hex(plain.subarray(16)));
      expect(hex(cipher.decrypt(encrypted))).toBe(hex(plain));
      expect(plain[250]).toBe(250);
    });

    test('results start at a multiple of four bytes', () => {
      const cipher = port.aes(new Uint8Array(16));
      for (const length of [16, 48, 512]) expect(cipher.encrypt(new Uint8Array(length)).byteOffset % 4).toBe(0);
    });

    test('a CBC chain goes on from call to call', () => {
      const key = new Uint8Array(16).fill(3);
      const data = new Uint8Array(1024).fill(9);
      const reference = createCipheriv('aes-128-cbc', key, new Uint8Array(16)).update(data);
      const chain = port.aes(key).startCbc();
      const parts = [hex(chain(data.subarray(0, 512))), hex(chain(data.subarray(512)))];
      expect(parts.join('')).toBe(hex(reference));
    });
  });

  describe('hashes', () => {
    test.each(HASH_NAMES)('%s is there and has the length that is said', (name) => {
      expect(port.hasHash(name)).toBe(true);
      const digest = port.hash(name, new Uint8Array(3));
      expect(digest.length).toBe(HASH_LENGTHS[name]);
      expect(hex(digest)).toBe(createHash(name).update(new Uint8Array(3)).digest('hex'));
    });

    test.each(HASH_NAMES)('%s of anything is that of OpenSSL, and so are keys derived with it', async (name) => {
      const bytes = fc.uint8Array({ maxLength: 300 });
      await fc.assert(
        fc.asyncProperty(bytes, bytes, fc.integer({ min: 1, max: 5 }), async (data, salt, count) => {
          expect(hex(port.hash(name, data))).toBe(createHash(name).update(data).digest('hex'));
          const key = await port.pbkdf2(name, data, salt, count, 70);
          expect(hex(key)).toBe(pbkdf2Sync(data, salt, count, 70, name).toString('hex'));
        }),
        { numRuns: 30 },
      );
    });

    test('PBKDF2 gives the vector of RFC 6070', async () => {
      const key = await port.pbkdf2('sha1', unhex('70617373776f7264'), unhex('73616c74'), 4096, 20);
      expect(hex(key)).toBe('4b007901b765489abead49d926f721d065a429c1');
    });

    test('more iterations than the host can count are refused in one line', async () => {
      const one = new Uint8Array(1);
      await expect(async () => port.pbkdf2('sha1', one, one, 2 ** 31, 20)).rejects.toMatchObject({ kind: 'limit' });
    });
  });

  test('random bytes are random, also many of them on shared memory', () => {
    const [a, b] = [new Uint8Array(16), new Uint8Array(16)];
    port.fillRandom(a);
    port.fillRandom(b);
    expect(hex(a)).not.toBe(hex(b));
    const many = new Uint8Array(new SharedArrayBuffer(200_000));
    port.fillRandom(many);
    expect(hex(many.subarray(0, 16))).not.toBe(hex(many.subarray(65536, 65552)));
    expect(many.subarray(-16).some((byte) => byte !== 0)).toBe(true);
    port.fillRandom(new Uint8Array(0));
  });

  test('processor time goes forward', () => {
    const before = port.cpuTime();
    for (let round = 0; port.cpuTime() === before && round < 1e8; round++);
    expect(port.cpuTime()).toBeGreaterThan(before);
  });
}
