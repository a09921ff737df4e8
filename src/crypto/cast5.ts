/** CAST-128, also known as CAST5 (RFC 2144), with keys of 128 bits: 64-bit blocks, 16 rounds. */
import type { BlockCipher } from './crypto.ts';
import { CAST5_BOXES } from './cast5Boxes.ts';
import { wordBe, wordCipher } from './words.ts';

type Box = Int32Array;

function parseBox(hex: string): Box {
  return Int32Array.from({ length: 256 }, (_, i) => Number.parseInt(hex.slice(i * 8, i * 8 + 8), 16));
}

/**
 * The key schedule's equations (RFC 2144, section 2.4) as text. `Z` makes the bytes z from x, `X` those of x from z: a line
 * is four bytes of result, four bytes of source, and the indices into S5, S6, S7, S8 and one further box. In those, a
 * digit with an apostrophe in front is of the result, without one of the source.
 */
const STEP_Z: readonly string[] = [
  '0 0 D F C E 7:8',
  "4 8 '0 '2 '1 '3 8:A",
  "8 C '7 '6 '5 '4 5:9",
  "C 4 'A '9 'B '8 6:B",
];
const STEP_X: readonly string[] = [
  '0 8 5 7 4 6 7:0',
  "4 0 '0 '2 '1 '3 8:2",
  "8 4 '7 '6 '5 '4 5:1",
  "C C 'A '9 'B '8 6:3",
];
/** Four subkeys each, from the bytes that the step before has made: the indices into S5 to S8 and into one further box. */
const SUBKEYS: readonly (readonly string[])[] = [
  ['8 9 7 6 5:2', 'A B 5 4 6:6', 'C D 3 2 7:9', 'E F 1 0 8:C'],
  ['3 2 C D 5:8', '1 0 E F 6:D', '7 6 8 9 7:3', '5 4 A B 8:7'],
  ['3 2 C D 5:9', '1 0 E F 6:C', '7 6 8 9 7:2', '5 4 A B 8:6'],
  ['8 9 7 6 5:3', 'A B 5 4 6:7', 'C D 3 2 7:8', 'E F 1 0 8:D'],
];

/** XOR of S5 to S8 and a further box at the bytes that `indices` name. */
function lookUp(boxes: readonly Box[], indices: readonly string[], source: Uint8Array, result: Uint8Array): number {
  let word = 0;
  for (const [i, index] of indices.entries()) {
    const [box, at] = index.includes(':') ? [Number(index[0]) - 1, index.slice(2)] : [4 + i, index];
    const bytes = at.startsWith("'") ? result : source;
    word ^= boxes[box]![bytes[Number.parseInt(at.replace("'", ''), 16)]!]!;
  }
  return word;
}

function step(boxes: readonly Box[], lines: readonly string[], source: Uint8Array): Uint8Array {
  const result = new Uint8Array(16);
  for (const line of lines) {
    const [to, from, ...indices] = line.split(' ') as [string, string, ...string[]];
    const word = wordBe(source, Number.parseInt(from, 16)) ^ lookUp(boxes, indices, source, result);
    for (let i = 0; i < 4; i++) result[Number.parseInt(to, 16) + i] = word >>> (24 - 8 * i);
  }
  return result;
}

/** The 32 subkeys: 16 for masking, then 16 for rotating. */
function expandKey(boxes: readonly Box[], key: Uint8Array): Int32Array {
  const keys = new Int32Array(32);
  let bytes = key;
  for (let i = 0; i < 8; i++) {
    bytes = step(boxes, i % 2 === 0 ? STEP_Z : STEP_X, bytes);
    for (const [j, line] of SUBKEYS[i % 4]!.entries()) {
      keys[i * 4 + j] = lookUp(boxes, line.split(' '), bytes, bytes);
    }
  }
  return keys;
}

/** CAST-128 with a key of 16 bytes. */
export function cast5(key: Uint8Array): BlockCipher {
  const boxes = CAST5_BOXES.map(parseBox);
  const keys = expandKey(boxes, key);
  const [s1, s2, s3, s4] = boxes as [Box, Box, Box, Box];

  /** The round function; its three types take turns. */
  const f = (round: number, data: number): number => {
    const mask = keys[round]!;
    const by = keys[16 + round]! & 31;
    const type = round % 3;
    const mixed = type === 0 ? (mask + data) | 0 : type === 1 ? mask ^ data : (mask - data) | 0;
    const word = (mixed << by) | (mixed >>> (32 - by));
    const a = s1[word >>> 24]!;
    const b = s2[(word >>> 16) & 255]!;
    const c = s3[(word >>> 8) & 255]!;
    const d = s4[word & 255]!;
    if (type === 0) return (((a ^ b) - c) | 0) + d;
    if (type === 1) return ((a - b + c) | 0) ^ d;
    return (((a + b) | 0) ^ c) - d;
  };

  const encrypt = (words: Int32Array, at: number): void => {
    let left = words[at]!;
    let right = words[at + 1]!;
    for (let round = 0; round < 16; round++) {
      const next = left ^ f(round, right);
      left = right;
      right = next;
    }
    words[at] = right;
    words[at + 1] = left;
  };
  const decrypt = (words: Int32Array, at: number): void => {
    let right = words[at]!;
    let left = words[at + 1]!;
    for (let round = 15; round >= 0; round--) {
      const before = right ^ f(round, left);
      right = left;
      left = before;
    }
    words[at] = left;
    words[at + 1] = right;
  };
  return wordCipher(8, 'big', encrypt, decrypt);
}
