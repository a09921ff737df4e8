/**
 * XTS (IEEE 1619) over many sectors at once. The block cipher is called twice per piece: once for the first tweaks of
 * all sectors, once for the data; doubling the tweaks and the XORs happen here on 32-bit words.
 */
import type { BlockCipher } from './crypto.ts';
import type { IvGenerator } from './ivgen.ts';
import { type ModeCipher, PIECE } from './mode.ts';
import { wordsOf } from './words.ts';

/** Blocks of 16 bytes in a sector. */
const BLOCKS = 32;

/**
 * XTS with sectors of 512 bytes.
 * @param data cipher of the data, keyed with the first half of the volume's key.
 * @param tweak cipher of the tweaks, keyed with the second half.
 */
export function xts(data: BlockCipher, tweak: BlockCipher, iv: IvGenerator): ModeCipher {
  const tweaks = new Uint32Array(PIECE / 4);
  const masked = new Uint32Array(PIECE / 4);

  /** XORs the tweaks of all blocks into `masked` and keeps them in `tweaks`. */
  const prepare = (first: Uint32Array, words: Uint32Array): void => {
    let at = 0;
    for (let sector = 0; sector < first.length; sector += 4) {
      let a = first[sector]! | 0;
      let b = first[sector + 1]! | 0;
      let c = first[sector + 2]! | 0;
      let d = first[sector + 3]! | 0;
      for (let block = 0; block < BLOCKS; block++) {
        tweaks[at] = a;
        tweaks[at + 1] = b;
        tweaks[at + 2] = c;
        tweaks[at + 3] = d;
        masked[at] = words[at]! ^ a;
        masked[at + 1] = words[at + 1]! ^ b;
        masked[at + 2] = words[at + 2]! ^ c;
        masked[at + 3] = words[at + 3]! ^ d;
        at += 4;
        // Times x in GF(2^128), polynomial x^128 + x^7 + x^2 + x + 1.
        const carry = (d >> 31) & 0x87;
        d = (d << 1) | (c >>> 31);
        c = (c << 1) | (b >>> 31);
        b = (b << 1) | (a >>> 31);
        a = (a << 1) ^ carry;
      }
    }
  };

  const run = (sector: number, piece: Uint8Array, decrypt: boolean): void => {
    const words = wordsOf(piece);
    prepare(wordsOf(tweak.encrypt(iv(sector, piece.length / 512))), words);
    const input = new Uint8Array(masked.buffer, 0, piece.length);
    const output = wordsOf(decrypt ? data.decrypt(input) : data.encrypt(input));
    for (let i = 0; i < output.length; i++) words[i] = output[i]! ^ tweaks[i]!;
  };

  return {
    encrypt: (sector, piece) => run(sector, piece, false),
    decrypt: (sector, piece) => run(sector, piece, true),
  };
}
