/**
 * Decoder of LZFSE, the compression of newer DMG images. A stream is a sequence of blocks, each with a magic number:
 * `bvx-` bytes as they are, `bvxn` LZVN, `bvx2` Lempel-Ziv with finite state entropy coding, `bvx$` the end. (`bvx1`,
 * which compressors use only inside, is refused.) Numbers are little-endian; all blocks share one history.
 */
import { damaged } from './damaged.ts';
import { copyLiterals, copyMatch, decodeLzvn, type Output } from './lzvn.ts';

const MAGIC_END = 0x24787662;
const MAGIC_RAW = 0x2d787662;
const MAGIC_V2 = 0x32787662;
const MAGIC_LZVN = 0x6e787662;

const V2_HEADER = 32;
const MAX_LITERALS = 40_000;
const MAX_MATCHES = 10_000;

/** Number of states and of symbols of the four codes, in the order of the frequency tables. */
const L_STATES = 64;
const M_STATES = 64;
const D_STATES = 256;
const LITERAL_STATES = 1024;
const L_SYMBOLS = 20;
const M_SYMBOLS = 20;
const D_SYMBOLS = 64;
const LITERAL_SYMBOLS = 256;

/** Extra bits of each symbol; the values of a symbol start where those of the one before end. */
const L_EXTRA: readonly number[] = [...new Uint8Array(16), 2, 3, 5, 8];
const M_EXTRA: readonly number[] = [...new Uint8Array(16), 3, 5, 8, 11];
const D_EXTRA: readonly number[] = Array.from({ length: D_SYMBOLS }, (_, symbol) => symbol >> 2);

/** A decoding table with one entry a state. */
interface StateTable {
  readonly symbol: Uint8Array;
  /** Bits to take for the next state, and what to add to them. */
  readonly bits: Uint8Array;
  readonly next: Int16Array;
}

/** A string of bits that is read backwards, from its last bit to its first. */
class BackwardBits {
  readonly #bytes: Uint8Array;
  #left: number;

  /** @param unused number of bits at the end of `bytes` that do not count. */
  constructor(bytes: Uint8Array, unused: number) {
    this.#bytes = bytes;
    this.#left = bytes.length * 8 - unused;
    if (this.#left < 0) throw damaged('LZFSE', 'a payload is cut off');
  }

  /** Takes `count` bits, at most 24. */
  take(count: number): number {
    const start = this.#left - count;
    if (start < 0) throw damaged('LZFSE', 'a payload is cut off');
    this.#left = start;
    const at = start >>> 3;
    const bytes = this.#bytes;
    // Bytes behind the end read as undefined, which is 0 here; they lie above the bits that are wanted.
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    return (word >>> (start & 7)) & ((1 << count) - 1);
  }
}

/** Splits the states among the symbols: a symbol of frequency f owns f neighbouring states (tANS). */
function stateTable(frequencies: Uint16Array, states: number): StateTable {
  const symbol = new Uint8Array(states);
  const bits = new Uint8Array(states);
  const next = new Int16Array(states);
  let state = 0;
  for (const [index, frequency] of frequencies.entries()) {
    if (frequency === 0) continue;
    if (state + frequency > states) throw damaged('LZFSE', 'frequencies do not fit their table');
    // The smallest shift that brings the frequency up to the number of states.
    const most = Math.clz32(frequency) - Math.clz32(states);
    const wide = ((2 * states) >> most) - frequency;
    for (let i = 0; i < frequency; i++, state++) {
      symbol[state] = index;
      bits[state] = i < wide ? most : most - 1;
      next[state] = i < wide ? ((frequency + i) << most) - states : (i - wide) << (most - 1);
    }
  }
  if (state !== states) throw damaged('LZFSE', 'frequencies do not fill their table');
  return { symbol, bits, next };
}

/** First value of each symbol. */
function baseValues(extra: readonly number[]): number[] {
  let value = 0;
  return extra.map((bits) => {
    const base = value;
    value += 2 ** bits;
    return base;
  });
}

const L_BASE = baseValues(L_EXTRA);
const M_BASE = baseValues(M_EXTRA);
const D_BASE = baseValues(D_EXTRA);

/** One of the three codes of lengths and distances, with its state. */
class ValueCode {
  readonly #table: StateTable;
  readonly #extra: readonly number[];
  readonly #base: readonly number[];
  #state: number;

  constructor(frequencies: Uint16Array, states: number, extra: readonly number[], base: readonly number[], at: number) {
    if (at >= states) throw damaged('LZFSE', 'a state is out of range');
    this.#table = stateTable(frequencies, states);
    this.#extra = extra;
    this.#base = base;
    this.#state = at;
  }

  read(bits: BackwardBits): number {
    const { symbol, next, bits: widths } = this.#table;
    const state = this.#state;
    const index = symbol[state] as number;
    this.#state = (next[state] as number) + bits.take(widths[state] as number);
    return (this.#base[index] as number) + bits.take(this.#extra[index] as number);
  }
}

/**
 * Frequencies are stored in 2 to 14 bits, least significant first: `00` is 0, `10` is 1, `001` 2, `101` 3,
 * `00011` 4 and on to 7, `0111` + 4 bits 8 and on to 23, `1111` + 10 bits 24 and more (written here as they stand in
 * the number, most significant bit first).
 */
function readFrequencies(bytes: Uint8Array): Uint16Array {
  const all = new Uint16Array(L_SYMBOLS + M_SYMBOLS + D_SYMBOLS + LITERAL_SYMBOLS);
  // Without any bytes, all are zero.
  if (bytes.length === 0) return all;
  let held = 0;
  let count = 0;
  let at = 0;
  for (let i = 0; i < all.length; i++) {
    while (count < 14 && at < bytes.length) {
      held |= (bytes[at++] as number) << count;
      count += 8;
    }
    const { value, size } = decodeFrequency(held);
    if (size > count) throw damaged('LZFSE', 'the frequencies are cut off');
    all[i] = value;
    held >>>= size;
    count -= size;
  }
  return all;
}

function decodeFrequency(bits: number): { value: number; size: number } {
  switch (bits & 7) {
    case 0:
    case 4:
      return { value: 0, size: 2 };
    case 2:
    case 6:
      return { value: 1, size: 2 };
    case 1:
      return { value: 2, size: 3 };
    case 5:
      return { value: 3, size: 3 };
    case 3:
      return { value: 4 + ((bits >> 3) & 3), size: 5 };
    default:
      if (bits & 8) return { value: 24 + ((bits >> 4) & 1023), size: 14 };
      return { value: 8 + ((bits >> 4) & 15), size: 8 };
  }
}

function u32(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw damaged('LZFSE', 'a header is cut off');
  return (
    (bytes[at] as number) +
    (bytes[at + 1] as number) * 256 +
    (bytes[at + 2] as number) * 65536 +
    (bytes[at + 3] as number) * 16777216
  );
}

/** `count` bits from bit `from` of the 64-bit word at `at`. */
function field(bytes: Uint8Array, at: number, from: number, count: number): number {
  const high = u32(bytes, at + 4);
  if (from >= 32) return Math.floor(high / 2 ** (from - 32)) % 2 ** count;
  // A number keeps 53 bits, which is enough for all fields that start in the lower half.
  const word = u32(bytes, at) + (high % 2 ** 21) * 4294967296;
  return Math.floor(word / 2 ** from) % 2 ** count;
}

function slice(bytes: Uint8Array, at: number, length: number): Uint8Array {
  if (at + length > bytes.length) throw damaged('LZFSE', 'a block is cut off');
  return bytes.subarray(at, at + length);
}

/** Decodes a `bvx2` block at `at`; returns its length. */
function decodeV2(input: Uint8Array, at: number, output: Output): number {
  const get = (word: number, from: number, count: number): number => field(input, at + 8 + word * 8, from, count);
  const literalCount = get(0, 0, 20);
  const literalSize = get(0, 20, 20);
  const matchCount = get(0, 40, 20);
  const matchSize = get(1, 40, 20);
  const headerSize = get(2, 0, 32);
  if (literalCount > MAX_LITERALS || literalCount % 4 !== 0 || matchCount > MAX_MATCHES || headerSize < V2_HEADER) {
    throw damaged('LZFSE', 'a block header is invalid');
  }
  const frequencies = readFrequencies(slice(input, at + V2_HEADER, headerSize - V2_HEADER));
  const literalBytes = slice(input, at + headerSize, literalSize);
  const matchBytes = slice(input, at + headerSize + literalSize, matchSize);

  const literals = decodeLiterals(
    new BackwardBits(literalBytes, 7 - get(0, 60, 3)),
    frequencies.subarray(L_SYMBOLS + M_SYMBOLS + D_SYMBOLS),
    [get(1, 0, 10), get(1, 10, 10), get(1, 20, 10), get(1, 30, 10)],
    literalCount,
  );
  if (matchCount > 0) {
    const bits = new BackwardBits(matchBytes, 7 - get(1, 60, 3));
    const ofL = frequencies.subarray(0, L_SYMBOLS);
    const ofM = frequencies.subarray(L_SYMBOLS, L_SYMBOLS + M_SYMBOLS);
    const ofD = frequencies.subarray(L_SYMBOLS + M_SYMBOLS, L_SYMBOLS + M_SYMBOLS + D_SYMBOLS);
    const codes: Codes = [
      new ValueCode(ofL, L_STATES, L_EXTRA, L_BASE, get(2, 32, 10)),
      new ValueCode(ofM, M_STATES, M_EXTRA, M_BASE, get(2, 42, 10)),
      new ValueCode(ofD, D_STATES, D_EXTRA, D_BASE, get(2, 52, 10)),
    ];
    decodeMatches(bits, codes, literals, matchCount, output);
  }
  return headerSize + literalSize + matchSize;
}

/** Four interleaved states take turns. */
function decodeLiterals(bits: BackwardBits, frequencies: Uint16Array, states: number[], count: number): Uint8Array {
  const literals = new Uint8Array(count);
  if (count === 0) return literals;
  const { symbol, next, bits: widths } = stateTable(frequencies, LITERAL_STATES);
  for (let i = 0; i < count; i++) {
    const state = states[i & 3] as number;
    literals[i] = symbol[state] as number;
    states[i & 3] = (next[state] as number) + bits.take(widths[state] as number);
  }
  return literals;
}

type Codes = readonly [length: ValueCode, match: ValueCode, distance: ValueCode];

/** Each step is a number of literals, the length of a copy and its distance, where 0 stands for the one before. */
function decodeMatches(bits: BackwardBits, codes: Codes, literals: Uint8Array, count: number, output: Output): void {
  const [lengthCode, matchCode, distanceCode] = codes;
  let distance = 0;
  let used = 0;
  for (let i = 0; i < count && output.at < output.bytes.length; i++) {
    const length = lengthCode.read(bits);
    const match = matchCode.read(bits);
    distance = distanceCode.read(bits) || distance;
    if (length > 0) copyLiterals(output, literals, used, length);
    used += length;
    if (match > 0 && output.at < output.bytes.length) copyMatch(output, distance, match);
  }
}

/**
 * Decodes the LZFSE stream at the start of `input` into `into`, until either ends.
 * @returns the number of bytes produced.
 * @throws BlockError of kind `io` if the stream is damaged or cut off before `into` is full.
 */
export function decodeLzfse(input: Uint8Array, into: Uint8Array): number {
  const output: Output = { bytes: into, at: 0, end: 0 };
  let at = 0;
  while (output.at < into.length) {
    const magic = u32(input, at);
    if (magic === MAGIC_END) break;
    const rawSize = u32(input, at + 4);
    output.end = output.at + rawSize;
    if (magic === MAGIC_RAW) {
      copyLiterals(output, input, at + 8, rawSize);
      at += 8 + rawSize;
    } else if (magic === MAGIC_LZVN) {
      const size = u32(input, at + 8);
      decodeLzvn(slice(input, at + 12, size), output);
      at += 12 + size;
    } else if (magic === MAGIC_V2) {
      at += decodeV2(input, at, output);
    } else {
      throw damaged('LZFSE', 'there is no such block');
    }
    if (output.at < Math.min(output.end, into.length)) throw damaged('LZFSE', 'a block yields too little');
  }
  return output.at;
}
