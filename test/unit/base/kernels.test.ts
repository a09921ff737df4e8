import { execFileSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { kernelMemory, kernelsFor, sharedArray } from '../../../src/base/kernels.ts';
import { ivGenerator } from '../../../src/crypto/ivgen.ts';
import { wordPass, xts } from '../../../src/crypto/xts.ts';
import { nodeCrypto } from '../../../src/host/node/crypto.ts';

test.each([
  ['kernel', 'src/base/kernelBytes.ts'],
  ['deflate', 'src/codec/deflateBytes.ts'],
])('the module %s is made of the text beside it', (name, module) => {
  const root = resolve(import.meta.dirname, '../../..');
  const made = execFileSync(process.execPath, [join(root, 'scripts/kernels.mjs'), '--print', name], {
    encoding: 'utf8',
  });
  expect(made).toBe(readFileSync(join(root, module), 'utf8'));
});

test('only memory that was made for kernels has some', () => {
  expect(kernelsFor(new Uint8Array(64))).toBeUndefined();
  const bytes = sharedArray(64);
  expect(kernelsFor(bytes)).toBe(kernelsFor(bytes.subarray(32)));
});

test('areas end where the first byte differs in nature', () => {
  const memory = kernelMemory(65536);
  if (!memory) throw new Error('no vector instructions');
  const { bytes, kernels } = memory;
  bytes[4096 * 3 + 4095] = 1;
  bytes[4096 * 4] = 1;
  expect(kernels.zeroEnd(0, 65536, 4096)).toBe(4096 * 3);
  expect(kernels.dataEnd(0, 65536, 4096)).toBe(0);
  expect(kernels.dataEnd(4096 * 3, 65536, 4096)).toBe(4096 * 5);
  expect(kernels.dataEnd(4096 * 3, 4096 * 4 + 64, 4096)).toBe(4096 * 4 + 64);
  expect(kernels.zeroEnd(4096 * 5, 65536 - 64, 4096)).toBe(65536 - 64);
  expect(kernels.zeroEnd(4096, 65536, 8192)).toBe(4096 + 8192);
});

test('XTS is the same with vectors and with words, at any address', () => {
  const port = nodeCrypto();
  const parts = [port.aes(new Uint8Array(32).fill(1)), port.aes(new Uint8Array(32).fill(2))] as const;
  const ivs = ivGenerator('plain64', 16);
  const ciphers = [xts(...parts, ivs), xts(...parts, ivs, wordPass)];
  const plain = createCipheriv('aes-128-ctr', new Uint8Array(16), new Uint8Array(16)).update(new Uint8Array(65536));
  for (const length of [512, 1536, 65536]) {
    for (const direction of ['encrypt', 'decrypt'] as const) {
      const [vectors, words] = ciphers.map((cipher) => {
        const piece = sharedArray(length + 4).subarray(4);
        piece.set(plain.subarray(0, length));
        cipher[direction](2 ** 33, piece);
        return Buffer.from(piece).toString('base64');
      });
      expect(vectors).toBe(words);
    }
  }
});
