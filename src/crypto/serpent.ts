/** Serpent (Anderson, Biham, Knudsen, 1998), 128-bit blocks, in the bitsliced form of the paper. */
import type { BlockCipher } from './crypto.ts';
import { box0, box1, box2, box3, box4, box5, box6, box7 } from './serpentBoxes.ts';
import {
  inverse0,
  inverse1,
  inverse2,
  inverse3,
  inverse4,
  inverse5,
  inverse6,
  inverse7,
} from './serpentInverseBoxes.ts';
import { wordCipher, wordLe } from './words.ts';

const ROUNDS = 32;
const BOXES = [box0, box1, box2, box3, box4, box5, box6, box7];
/** Fraction of the golden ratio, the constant of the key schedule. */
const PHI = 0x9e3779b9;

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/** The 33 round keys of four words (paper, section "The Key Schedule"). */
function roundKeys(key: Uint8Array): Int32Array {
  // A short key is extended by one 1 bit and zeroes.
  const padded = new Uint8Array(32);
  padded.set(key);
  if (key.length < 32) padded[key.length] = 1;
  const words = new Int32Array(8 + 4 * (ROUNDS + 1));
  for (let i = 0; i < 8; i++) words[i] = wordLe(padded, i * 4);
  for (let i = 8; i < words.length; i++) {
    words[i] = rotate(words[i - 8]! ^ words[i - 5]! ^ words[i - 3]! ^ words[i - 1]! ^ PHI ^ (i - 8), 11);
  }
  const keys = words.slice(8);
  for (let i = 0; i <= ROUNDS; i++) BOXES[(35 - i) % 8]!(keys.subarray(i * 4, i * 4 + 4));
  return keys;
}

/** The linear transformation between two rounds. */
function mix(s: Int32Array): void {
  const x0 = rotate(s[0]!, 13);
  const x2 = rotate(s[2]!, 3);
  const x1 = rotate(s[1]! ^ x0 ^ x2, 1);
  const x3 = rotate(s[3]! ^ x2 ^ (x0 << 3), 7);
  s[0] = rotate(x0 ^ x1 ^ x3, 5);
  s[1] = x1;
  s[2] = rotate(x2 ^ x3 ^ (x1 << 7), 22);
  s[3] = x3;
}

function unmix(s: Int32Array): void {
  const x1 = s[1]!;
  const x3 = s[3]!;
  const x2 = rotate(s[2]!, 10) ^ x3 ^ (x1 << 7);
  const x0 = rotate(s[0]!, 27) ^ x1 ^ x3;
  s[0] = rotate(x0, 19);
  s[1] = rotate(x1, 31) ^ x0 ^ x2;
  s[2] = rotate(x2, 29);
  s[3] = rotate(x3, 25) ^ x2 ^ (x0 << 3);
}

function addKey(s: Int32Array, keys: Int32Array, at: number): void {
  s[0]! ^= keys[at]!;
  s[1]! ^= keys[at + 1]!;
  s[2]! ^= keys[at + 2]!;
  s[3]! ^= keys[at + 3]!;
}

// Eight rounds are written out in the next two functions: a call through a table would cost half of the speed.

function encryptState(s: Int32Array, keys: Int32Array): void {
  for (let at = 0; at < 4 * ROUNDS; at += 32) {
    addKey(s, keys, at + 0);
    box0(s);
    mix(s);
    addKey(s, keys, at + 4);
    box1(s);
    mix(s);
    addKey(s, keys, at + 8);
    box2(s);
    mix(s);
    addKey(s, keys, at + 12);
    box3(s);
    mix(s);
    addKey(s, keys, at + 16);
    box4(s);
    mix(s);
    addKey(s, keys, at + 20);
    box5(s);
    mix(s);
    addKey(s, keys, at + 24);
    box6(s);
    mix(s);
    addKey(s, keys, at + 28);
    box7(s);
    if (at < 96) mix(s);
  }
  addKey(s, keys, 4 * ROUNDS);
}

function decryptState(s: Int32Array, keys: Int32Array): void {
  addKey(s, keys, 4 * ROUNDS);
  for (let at = 4 * ROUNDS - 32; at >= 0; at -= 32) {
    if (at < 96) unmix(s);
    inverse7(s);
    addKey(s, keys, at + 28);
    unmix(s);
    inverse6(s);
    addKey(s, keys, at + 24);
    unmix(s);
    inverse5(s);
    addKey(s, keys, at + 20);
    unmix(s);
    inverse4(s);
    addKey(s, keys, at + 16);
    unmix(s);
    inverse3(s);
    addKey(s, keys, at + 12);
    unmix(s);
    inverse2(s);
    addKey(s, keys, at + 8);
    unmix(s);
    inverse1(s);
    addKey(s, keys, at + 4);
    unmix(s);
    inverse0(s);
    addKey(s, keys, at + 0);
  }
}

/** Serpent with a key of 16, 24 or 32 bytes. */
export function serpent(key: Uint8Array): BlockCipher {
  const keys = roundKeys(key);
  const state = new Int32Array(4);
  const run = (words: Int32Array, at: number, rounds: typeof encryptState): void => {
    for (let i = 0; i < 4; i++) state[i] = words[at + i]!;
    rounds(state, keys);
    for (let i = 0; i < 4; i++) words[at + i] = state[i]!;
  };
  return wordCipher(
    16,
    'little',
    (words, at) => run(words, at, encryptState),
    (words, at) => run(words, at, decryptState),
  );
}
