/** Blocks as 32-bit words: how the ciphers written in TypeScript see their data. */
import type { BlockCipher } from './crypto.ts';

/** The bytes as 32-bit words, not copied; they must start at a multiple of four bytes and be a multiple of four long. */
export function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** The four bytes at `at`, lowest first, as a signed 32-bit word. */
export function wordLe(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24) | 0;
}

/** The four bytes at `at`, highest first, as a signed 32-bit word. */
export function wordBe(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]! | 0;
}

/** Transforms the block of words at `at` in place. */
export type WordTransform = (words: Int32Array, at: number) => void;

/**
 * A block cipher made of two transforms of a block's words.
 * @param endian order of the bytes in a word as the cipher defines it. The platform is taken to be little endian, as
 * every JavaScript engine's is.
 */
export function wordCipher(
  blockSize: 8 | 16,
  endian: 'big' | 'little',
  encryptBlock: WordTransform,
  decryptBlock: WordTransform,
): BlockCipher {
  const step = blockSize / 4;
  let scratch = new Int32Array(1024);
  const apply = (data: Uint8Array, transform: WordTransform): Uint8Array => {
    const count = data.length / 4;
    if (scratch.length < count) scratch = new Int32Array(count);
    const bytes = new Uint8Array(scratch.buffer, 0, data.length);
    bytes.set(data);
    if (endian === 'big') swapBytes(scratch, count);
    for (let at = 0; at < count; at += step) transform(scratch, at);
    if (endian === 'big') swapBytes(scratch, count);
    return bytes;
  };
  return {
    blockSize,
    encrypt: (data) => apply(data, encryptBlock),
    decrypt: (data) => apply(data, decryptBlock),
    startCbc() {
      const last = new Int32Array(step);
      const chain: WordTransform = (words, at) => {
        for (let i = 0; i < step; i++) words[at + i]! ^= last[i]!;
        encryptBlock(words, at);
        for (let i = 0; i < step; i++) last[i] = words[at + i]!;
      };
      return (data) => apply(data, chain);
    },
  };
}

function swapBytes(words: Int32Array, count: number): void {
  for (let i = 0; i < count; i++) {
    const word = words[i]!;
    words[i] = (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
  }
}
