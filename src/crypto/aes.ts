/**
 * AES (FIPS 197) for hosts that have none of their own: a round is 16 look-ups in tables that hold the S-box multiplied by
 * the columns of MixColumns. Such look-ups take time that depends on the key; who shares a processor with strangers
 * wants the host's.
 */
import type { BlockCipher } from './crypto.ts';
import { wordCipher, wordLe, type WordTransform } from './words.ts';

/** Tables for the words of a state whose bytes are counted from the lowest. */
interface Tables {
  readonly box: Uint8Array;
  /** The S-box times (2, 1, 1, 3), and its rotations by one, two and three bytes. */
  readonly encrypt: readonly [Int32Array, Int32Array, Int32Array, Int32Array];
  readonly inverseBox: Uint8Array;
  /** The inverse S-box times (14, 9, 13, 11), and its rotations. */
  readonly decrypt: readonly [Int32Array, Int32Array, Int32Array, Int32Array];
}

let made: Tables | undefined;

/** Times x in GF(2^8), polynomial x^8 + x^4 + x^3 + x + 1 (section 4.2). */
function double(value: number): number {
  return ((value << 1) ^ (value & 0x80 ? 0x11b : 0)) & 0xff;
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/** Both boxes (section 5.1.1): the inverse in the field, found with the powers of 3, and an affine transformation. */
function makeBoxes(): Pick<Tables, 'box' | 'inverseBox'> {
  const box = new Uint8Array(256);
  const inverseBox = new Uint8Array(256);
  const powers = new Uint8Array(255);
  for (let exponent = 0, power = 1; exponent < 255; exponent++) {
    powers[exponent] = power;
    power ^= double(power);
  }
  const enter = (value: number, inverse: number): void => {
    const twice = inverse * 0x101;
    const mixed = (inverse ^ (twice >> 7) ^ (twice >> 6) ^ (twice >> 5) ^ (twice >> 4) ^ 0x63) & 0xff;
    box[value] = mixed;
    inverseBox[mixed] = value;
  };
  enter(0, 0);
  for (let exponent = 0; exponent < 255; exponent++) enter(powers[exponent]!, powers[(255 - exponent) % 255]!);
  return { box, inverseBox };
}

function rotations(first: Int32Array): Tables['encrypt'] {
  const by = (bits: number): Int32Array => first.map((word) => rotate(word, bits));
  return [first, by(8), by(16), by(24)];
}

function tables(): Tables {
  if (made) return made;
  const boxes = makeBoxes();
  const encrypt = new Int32Array(256);
  const decrypt = new Int32Array(256);
  for (let value = 0; value < 256; value++) {
    const s = boxes.box[value]!;
    encrypt[value] = double(s) | (s << 8) | (s << 16) | ((s ^ double(s)) << 24);
    const i = boxes.inverseBox[value]!;
    const [two, four] = [double(i), double(double(i))];
    const eight = double(four);
    decrypt[value] = (two ^ four ^ eight) | ((i ^ eight) << 8) | ((i ^ four ^ eight) << 16) | ((i ^ two ^ eight) << 24);
  }
  made = { ...boxes, encrypt: rotations(encrypt), decrypt: rotations(decrypt) };
  return made;
}

function substitute(box: Uint8Array, word: number): number {
  return (
    box[word & 255]! | (box[(word >>> 8) & 255]! << 8) | (box[(word >>> 16) & 255]! << 16) | (box[word >>> 24]! << 24)
  );
}

/** The key schedule (section 5.2): four words for each round and four more. */
function expandKey(box: Uint8Array, key: Uint8Array): Int32Array {
  const length = key.length / 4;
  const words = new Int32Array(4 * (length + 7));
  for (let i = 0; i < length; i++) words[i] = wordLe(key, i * 4);
  for (let i = length, constant = 1; i < words.length; i++) {
    let word = words[i - 1]!;
    if (i % length === 0) {
      word = substitute(box, rotate(word, 24)) ^ constant;
      constant = double(constant);
    } else if (length > 6 && i % length === 4) {
      word = substitute(box, word);
    }
    words[i] = words[i - length]! ^ word;
  }
  return words;
}

/** The schedule of the equivalent inverse cipher (section 5.3.5). */
function invertSchedule({ box, decrypt: [d0, d1, d2, d3] }: Tables, forward: Int32Array): Int32Array {
  const mix = (word: number): number =>
    d0[box[word & 255]!]! ^ d1[box[(word >>> 8) & 255]!]! ^ d2[box[(word >>> 16) & 255]!]! ^ d3[box[word >>> 24]!]!;
  return forward.map((_, i) => {
    const word = forward[forward.length - 4 - (i & ~3) + (i & 3)]!;
    return i < 4 || i >= forward.length - 4 ? word : mix(word);
  });
}

/**
 * All rounds of a block.
 * @param backwards ShiftRows goes the other way, as for decrypting: the second and the fourth word change places.
 */
function transform(
  [t0, t1, t2, t3]: Tables['encrypt'],
  box: Uint8Array,
  keys: Int32Array,
  backwards: boolean,
): WordTransform {
  const second = backwards ? 3 : 1;
  const fourth = 4 - second;
  const last = keys.length - 4;
  return (words, at) => {
    let a = words[at]! ^ keys[0]!;
    let b = words[at + second]! ^ keys[second]!;
    let c = words[at + 2]! ^ keys[2]!;
    let d = words[at + fourth]! ^ keys[fourth]!;
    for (let k = 4; k < last; k += 4) {
      const e = t0[a & 255]! ^ t1[(b >>> 8) & 255]! ^ t2[(c >>> 16) & 255]! ^ t3[d >>> 24]! ^ keys[k]!;
      const f = t0[b & 255]! ^ t1[(c >>> 8) & 255]! ^ t2[(d >>> 16) & 255]! ^ t3[a >>> 24]! ^ keys[k + second]!;
      const g = t0[c & 255]! ^ t1[(d >>> 8) & 255]! ^ t2[(a >>> 16) & 255]! ^ t3[b >>> 24]! ^ keys[k + 2]!;
      d = t0[d & 255]! ^ t1[(a >>> 8) & 255]! ^ t2[(b >>> 16) & 255]! ^ t3[c >>> 24]! ^ keys[k + fourth]!;
      a = e;
      b = f;
      c = g;
    }
    words[at] = substituteRow(box, a, b, c, d) ^ keys[last]!;
    words[at + second] = substituteRow(box, b, c, d, a) ^ keys[last + second]!;
    words[at + 2] = substituteRow(box, c, d, a, b) ^ keys[last + 2]!;
    words[at + fourth] = substituteRow(box, d, a, b, c) ^ keys[last + fourth]!;
  };
}

/** The S-box on the first byte of `a`, the second of `b`, the third of `c` and the last of `d`. */
function substituteRow(box: Uint8Array, a: number, b: number, c: number, d: number): number {
  return box[a & 255]! | (box[(b >>> 8) & 255]! << 8) | (box[(c >>> 16) & 255]! << 16) | (box[d >>> 24]! << 24);
}

/** AES with a key of 16, 24 or 32 bytes. */
export function aes(key: Uint8Array): BlockCipher {
  const all = tables();
  const keys = expandKey(all.box, key);
  // A second schedule; who only encrypts never pays for it.
  let decrypt: WordTransform | undefined;
  return wordCipher(16, 'little', transform(all.encrypt, all.box, keys, false), (words, at) => {
    decrypt ??= transform(all.decrypt, all.inverseBox, invertSchedule(all, keys), true);
    decrypt(words, at);
  });
}
