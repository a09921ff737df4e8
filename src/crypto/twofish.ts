/** Twofish (Schneier, Kelsey, Whiting, Wagner, Hall, Ferguson: "Twofish: A 128-Bit Block Cipher", 1998). */
import type { BlockCipher } from './crypto.ts';
import { wordCipher, wordLe } from './words.ts';

/** The 4-bit tables that the permutations q0 and q1 are made of (paper, section 4.3.5), an input a digit. */
const Q_TABLES: readonly (readonly string[])[] = [
  ['817D6F320B59ECA4', 'ECB81235F4A6709D', 'BA5E6D90C8F32471', 'D7F4126E9B3085CA'],
  ['28BDF76E31940AC5', '1E2B4C376DA5F908', '4C75169A0ED82B3F', 'B951C3DE647F208A'],
];

/** MDS and RS matrices (sections 4.2 and 4.3.2), rows of hexadecimal bytes. */
const MDS: readonly string[] = ['01EF5B5B', '5BEFEF01', 'EF5B01EF', 'EF01EF5B'];
const RS: readonly string[] = ['01A455875A58DB9E', 'A45682F31EC668E5', '02A1FCC147AE3D19', 'A455875A58DB9E03'];
/** Primitive polynomials of the fields that the two matrices are over. */
const MDS_FIELD = 0x169;
const RS_FIELD = 0x14d;

const ROUNDS = 16;

/** Tables that do not depend on the key. */
interface Tables {
  readonly q: readonly Uint8Array[];
  /** The MDS matrix times a byte in each of its four columns. */
  readonly mds: readonly Int32Array[];
}

/** A nibble turned right by one bit. */
function turn(nibble: number): number {
  return ((nibble >> 1) | (nibble << 3)) & 15;
}

function permutation(tables: readonly string[]): Uint8Array {
  const digits = tables.map((table) => Array.from(table, (digit) => Number.parseInt(digit, 16)));
  return Uint8Array.from({ length: 256 }, (_, x) => {
    let a = x >> 4;
    let b = x & 15;
    for (const half of [0, 2]) {
      const left = a ^ b;
      const right = a ^ turn(b) ^ ((a << 3) & 15);
      a = digits[half]![left]!;
      b = digits[half + 1]![right]!;
    }
    return (b << 4) | a;
  });
}

/** Product in GF(2^8) with the given polynomial. */
function multiply(a: number, b: number, field: number): number {
  let product = 0;
  for (let x = a, y = b; y > 0; y >>= 1) {
    if (y & 1) product ^= x;
    x <<= 1;
    if (x & 0x100) x ^= field;
  }
  return product;
}

function matrixByte(row: string, column: number): number {
  return Number.parseInt(row.slice(column * 2, column * 2 + 2), 16);
}

function mdsColumn(index: number): Int32Array {
  return Int32Array.from({ length: 256 }, (_, x) => {
    let word = 0;
    for (let row = 3; row >= 0; row--) word = (word << 8) | multiply(matrixByte(MDS[row]!, index), x, MDS_FIELD);
    return word;
  });
}

function makeTables(): Tables {
  return { q: Q_TABLES.map(permutation), mds: [0, 1, 2, 3].map(mdsColumn) };
}

/** Which permutation each byte position goes through, from the innermost stage (which only long keys have) outwards. */
const STAGES: readonly (readonly number[])[] = [
  [1, 0, 0, 1],
  [1, 1, 0, 0],
  [0, 1, 0, 1],
  [0, 0, 1, 1],
];
const LAST_STAGE: readonly number[] = [1, 0, 1, 0];

/** One column of the function h: byte `x` at `position`, keyed with a byte of each word of `list`, then the MDS matrix. */
function hColumn(tables: Tables, list: readonly number[], position: number, x: number): number {
  let byte = x;
  for (let i = list.length - 1; i >= 0; i--) {
    const stage = i === 0 ? 3 : i === 1 ? 2 : i === 2 ? 1 : 0;
    byte = tables.q[STAGES[stage]![position]!]![byte]! ^ ((list[i]! >>> (8 * position)) & 255);
  }
  return tables.mds[position]![tables.q[LAST_STAGE[position]!]![byte]!]!;
}

function h(tables: Tables, list: readonly number[], x: number): number {
  return (
    hColumn(tables, list, 0, x) ^
    hColumn(tables, list, 1, x) ^
    hColumn(tables, list, 2, x) ^
    hColumn(tables, list, 3, x)
  );
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/** A word of the S vector: eight bytes of key times the RS matrix. */
function rsWord(key: Uint8Array, at: number): number {
  let word = 0;
  for (let row = 3; row >= 0; row--) {
    let byte = 0;
    for (let i = 0; i < 8; i++) byte ^= multiply(matrixByte(RS[row]!, i), key[at + i]!, RS_FIELD);
    word = (word << 8) | byte;
  }
  return word;
}

/** The 40 words of expanded key (section 4.3.3). */
function expandKey(tables: Tables, key: Uint8Array): Int32Array {
  const even: number[] = [];
  const odd: number[] = [];
  for (let at = 0; at < key.length; at += 8) {
    even.push(wordLe(key, at));
    odd.push(wordLe(key, at + 4));
  }
  const keys = new Int32Array(8 + 2 * ROUNDS);
  for (let i = 0; i < keys.length; i += 2) {
    const a = h(tables, even, i);
    const b = rotate(h(tables, odd, i + 1), 8);
    keys[i] = a + b;
    keys[i + 1] = rotate((a + 2 * b) | 0, 9);
  }
  return keys;
}

/** The key-dependent S-boxes of the function g, with the MDS matrix in them. */
function expandBoxes(tables: Tables, key: Uint8Array): readonly Int32Array[] {
  const list: number[] = [];
  for (let at = key.length - 8; at >= 0; at -= 8) list.push(rsWord(key, at));
  return [0, 1, 2, 3].map((position) => Int32Array.from({ length: 256 }, (_, x) => hColumn(tables, list, position, x)));
}

/** Twofish with a key of 16, 24 or 32 bytes. */
export function twofish(key: Uint8Array): BlockCipher {
  const tables = makeTables();
  const keys = expandKey(tables, key);
  const [s0, s1, s2, s3] = expandBoxes(tables, key) as [Int32Array, Int32Array, Int32Array, Int32Array];
  const g = (x: number): number => s0[x & 255]! ^ s1[(x >>> 8) & 255]! ^ s2[(x >>> 16) & 255]! ^ s3[x >>> 24]!;

  const encrypt = (words: Int32Array, at: number): void => {
    let a = words[at]! ^ keys[0]!;
    let b = words[at + 1]! ^ keys[1]!;
    let c = words[at + 2]! ^ keys[2]!;
    let d = words[at + 3]! ^ keys[3]!;
    for (let round = 8; round < 8 + 2 * ROUNDS; round += 2) {
      const x = g(a);
      const y = g(rotate(b, 8));
      const e = rotate(c ^ (x + y + keys[round]!), 31);
      const f = rotate(d, 1) ^ (x + 2 * y + keys[round + 1]!);
      c = a;
      d = b;
      a = e;
      b = f;
    }
    words[at] = c ^ keys[4]!;
    words[at + 1] = d ^ keys[5]!;
    words[at + 2] = a ^ keys[6]!;
    words[at + 3] = b ^ keys[7]!;
  };

  const decrypt = (words: Int32Array, at: number): void => {
    let c = words[at]! ^ keys[4]!;
    let d = words[at + 1]! ^ keys[5]!;
    let a = words[at + 2]! ^ keys[6]!;
    let b = words[at + 3]! ^ keys[7]!;
    for (let round = 6 + 2 * ROUNDS; round >= 8; round -= 2) {
      const x = g(c);
      const y = g(rotate(d, 8));
      const e = rotate(a, 1) ^ (x + y + keys[round]!);
      const f = rotate(b ^ (x + 2 * y + keys[round + 1]!), 31);
      a = c;
      b = d;
      c = e;
      d = f;
    }
    words[at] = a ^ keys[0]!;
    words[at + 1] = b ^ keys[1]!;
    words[at + 2] = c ^ keys[2]!;
    words[at + 3] = d ^ keys[3]!;
  };
  return wordCipher(16, 'little', encrypt, decrypt);
}
