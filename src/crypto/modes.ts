/** The modes ECB, CBC and CTR (NIST SP 800-38A), a fresh initialization vector for each sector of 512 bytes. */
import type { BlockCipher } from './crypto.ts';
import type { IvGenerator } from './ivgen.ts';
import type { ModeCipher } from './mode.ts';
import { wordsOf } from './words.ts';

const SECTOR_WORDS = 128;

/** Every block on its own; there is no initialization vector. */
export function ecb(cipher: BlockCipher): ModeCipher {
  return {
    encrypt: (_sector, piece) => piece.set(cipher.encrypt(piece)),
    decrypt: (_sector, piece) => piece.set(cipher.decrypt(piece)),
  };
}

/**
 * CBC. Encrypting is one endless chain: a sector starts afresh because its first block is XORed beforehand with its
 * vector and with the block that the chain is about to add. Decrypting is ECB and XORs.
 */
export function cbc(cipher: BlockCipher, iv: IvGenerator): ModeCipher {
  const step = cipher.blockSize / 4;
  const last = new Uint32Array(step);
  let chain: ((data: Uint8Array) => Uint8Array) | undefined;
  return {
    encrypt(sector, piece) {
      chain ??= cipher.startCbc();
      const words = wordsOf(piece);
      const ivs = wordsOf(iv(sector, piece.length / 512));
      for (let i = 0; i < words.length / SECTOR_WORDS; i++) {
        const start = i * SECTOR_WORDS;
        for (let j = 0; j < step; j++) words[start + j]! ^= ivs[i * step + j]! ^ last[j]!;
        piece.set(chain(piece.subarray(start * 4, (start + SECTOR_WORDS) * 4)), start * 4);
        for (let j = 0; j < step; j++) last[j] = words[start + SECTOR_WORDS - step + j]!;
      }
    },
    decrypt(sector, piece) {
      const words = wordsOf(piece);
      const ivs = wordsOf(iv(sector, piece.length / 512));
      const output = wordsOf(cipher.decrypt(piece));
      for (let start = words.length - SECTOR_WORDS; start >= 0; start -= SECTOR_WORDS) {
        // Backwards, because each block needs the ciphertext in front of it.
        for (let j = start + SECTOR_WORDS - 1; j >= start + step; j--) words[j] = output[j]! ^ words[j - step]!;
        for (let j = 0; j < step; j++) {
          words[start + j] = output[start + j]! ^ ivs[(start / SECTOR_WORDS) * step + j]!;
        }
      }
    },
  };
}

/** Adds one to the number of `size` bytes at `at`, whose last byte is the lowest. */
function increment(bytes: Uint8Array, at: number, size: number): void {
  for (let i = at + size - 1; i >= at; i--) {
    bytes[i] = bytes[i]! + 1;
    if (bytes[i] !== 0) return;
  }
}

/** CTR: the vector is the first counter, its last byte the lowest; encrypting and decrypting are the same. */
export function ctr(cipher: BlockCipher, iv: IvGenerator): ModeCipher {
  const size = cipher.blockSize;
  let counters = new Uint8Array(0);
  const apply = (sector: number, piece: Uint8Array): void => {
    if (counters.length !== piece.length) counters = new Uint8Array(piece.length);
    const ivs = iv(sector, piece.length / 512);
    for (let at = 0; at < piece.length; at += size) {
      if (at % 512 === 0) {
        const from = (at / 512) * size;
        counters.set(ivs.subarray(from, from + size), at);
      } else {
        counters.copyWithin(at, at - size, at);
        increment(counters, at, size);
      }
    }
    const words = wordsOf(piece);
    const stream = wordsOf(cipher.encrypt(counters));
    for (let i = 0; i < words.length; i++) words[i]! ^= stream[i]!;
  };
  return { encrypt: apply, decrypt: apply };
}
