/**
 * XTS (IEEE 1619) over many sectors at once. The block cipher is called twice per piece: once for the first tweaks of
 * all sectors, once for the data; doubling the tweaks and the XORs happen here, with vector instructions where
 * there are some.
 */
import { kernelMemory } from '../base/kernels.ts';
import type { BlockCipher } from './crypto.ts';
import type { IvGenerator } from './ivgen.ts';
import { type ModeCipher, PIECE } from './mode.ts';
import { wordsOf } from './words.ts';

const SECTOR = 512;
/** Blocks of 16 bytes in a sector. */
const BLOCKS = 32;

/** Runs XTS over one piece; `first` are the encrypted vectors of its sectors, `crypt` the cipher of the data. */
type Pass = (first: Uint8Array, piece: Uint8Array, crypt: (data: Uint8Array) => Uint8Array) => void;

/** The pass with vector instructions, in memory of its own; undefined where there are none. */
function vectorPass(): Pass | undefined {
  const memory = kernelMemory(2 * PIECE + (PIECE / SECTOR) * 16);
  if (!memory) return undefined;
  const { bytes, kernels } = memory;
  const [tweaksAt, firstAt] = [PIECE, 2 * PIECE];
  return (first, piece, crypt) => {
    const data = bytes.subarray(0, piece.length);
    data.set(piece);
    bytes.set(first, firstAt);
    kernels.xtsMask(firstAt, tweaksAt, 0, piece.length / SECTOR);
    data.set(crypt(data));
    kernels.xor(0, tweaksAt, piece.length);
    piece.set(data);
  };
}

/** The pass on 32-bit words. */
export function wordPass(): Pass {
  const tweaks = new Uint32Array(PIECE / 4);
  const masked = new Uint32Array(PIECE / 4);
  return (first, piece, crypt) => {
    const words = wordsOf(piece);
    maskWords(wordsOf(first), words, tweaks, masked);
    const output = wordsOf(crypt(new Uint8Array(masked.buffer, 0, piece.length)));
    for (let i = 0; i < output.length; i++) words[i] = output[i]! ^ tweaks[i]!;
  };
}

/** Makes the tweaks of all blocks out of the first ones of the sectors, and XORs them to `words` into `masked`. */
function maskWords(first: Uint32Array, words: Uint32Array, tweaks: Uint32Array, masked: Uint32Array): void {
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
}

/**
 * XTS with sectors of 512 bytes.
 * @param data cipher of the data, keyed with the first half of the volume's key.
 * @param tweak cipher of the tweaks, keyed with the second half.
 * @param makePass gives the way in which pieces are worked on; the default is the quickest.
 */
export function xts(
  data: BlockCipher,
  tweak: BlockCipher,
  iv: IvGenerator,
  makePass: () => Pass = () => vectorPass() ?? wordPass(),
): ModeCipher {
  let pass: Pass | undefined;
  const run = (sector: number, piece: Uint8Array, crypt: (bytes: Uint8Array) => Uint8Array): void => {
    pass ??= makePass();
    pass(tweak.encrypt(iv(sector, piece.length / SECTOR)), piece, crypt);
  };
  const encrypt = (bytes: Uint8Array): Uint8Array => data.encrypt(bytes);
  const decrypt = (bytes: Uint8Array): Uint8Array => data.decrypt(bytes);
  return {
    encrypt: (sector, piece) => run(sector, piece, encrypt),
    decrypt: (sector, piece) => run(sector, piece, decrypt),
  };
}
