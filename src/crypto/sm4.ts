/** SM4 (GB/T 32907-2016; draft-ribose-cfrg-sm4): 128-bit blocks and keys, 32 rounds. */
import type { BlockCipher } from './crypto.ts';
import { wordBe, wordCipher } from './words.ts';

const ROUNDS = 32;
/** System parameter FK. */
const FK: readonly number[] = [0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc];
/** The field that the S-box inverts in: x^8 + x^7 + x^6 + x^5 + x^4 + x^2 + 1. */
const FIELD = 0x1f5;
/** First row of the S-box's affine matrix (the others are its rotations), and its constant. */
const AFFINE_ROW = 0xa7;
const AFFINE_CONSTANT = 0xd3;

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

function affine(x: number): number {
  let result = 0;
  for (let bit = 0; bit < 8; bit++) {
    const row = ((AFFINE_ROW << bit) | (AFFINE_ROW >> (8 - bit))) & 255;
    let parity = row & x;
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    result |= (parity & 1) << bit;
  }
  return result ^ AFFINE_CONSTANT;
}

function multiply(a: number, b: number): number {
  let product = 0;
  for (let x = a, y = b; y > 0; y >>= 1) {
    if (y & 1) product ^= x;
    x <<= 1;
    if (x & 0x100) x ^= FIELD;
  }
  return product;
}

/** The inverse in the field, x^254; 0 for 0. */
function invert(x: number): number {
  let power = x;
  let product = 1;
  for (let i = 0; i < 7; i++) {
    power = multiply(power, power);
    product = multiply(product, power);
  }
  return product;
}

function makeBox(): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, x) => affine(invert(affine(x))));
}

function expandKey(box: Uint8Array, key: Uint8Array): Int32Array {
  const k = FK.map((parameter, i) => wordBe(key, i * 4) ^ parameter);
  const keys = new Int32Array(ROUNDS);
  for (let round = 0; round < ROUNDS; round++) {
    let constant = 0;
    for (let j = 0; j < 4; j++) constant = (constant << 8) | (((4 * round + j) * 7) & 255);
    const b = substitute(box, k[1]! ^ k[2]! ^ k[3]! ^ constant);
    const next = k[0]! ^ b ^ rotate(b, 13) ^ rotate(b, 23);
    keys[round] = next;
    k.shift();
    k.push(next);
  }
  return keys;
}

function substitute(box: Uint8Array, word: number): number {
  return (
    (box[word >>> 24]! << 24) | (box[(word >>> 16) & 255]! << 16) | (box[(word >>> 8) & 255]! << 8) | box[word & 255]!
  );
}

/** SM4 with a key of 16 bytes. */
export function sm4(key: Uint8Array): BlockCipher {
  const box = makeBox();
  const keys = expandKey(box, key);
  const apply = (words: Int32Array, at: number, order: Int32Array): void => {
    let a = words[at]!;
    let b = words[at + 1]!;
    let c = words[at + 2]!;
    let d = words[at + 3]!;
    for (let round = 0; round < ROUNDS; round++) {
      const s = substitute(box, b ^ c ^ d ^ order[round]!);
      const next = a ^ s ^ rotate(s, 2) ^ rotate(s, 10) ^ rotate(s, 18) ^ rotate(s, 24);
      a = b;
      b = c;
      c = d;
      d = next;
    }
    words[at] = d;
    words[at + 1] = c;
    words[at + 2] = b;
    words[at + 3] = a;
  };
  const reversed = keys.toReversed();
  return wordCipher(
    16,
    'big',
    (words, at) => apply(words, at, keys),
    (words, at) => apply(words, at, reversed),
  );
}
