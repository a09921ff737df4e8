/**
 * A deflate encoder (RFC 1951, with the wrapper of RFC 1950 if wanted) whose long loops are `deflate.wat`. It keeps to a
 * window, makes streams of the size of zlib's in half of zlib's time, and makes the same ones on every platform.
 */
import { instantiate } from '../base/kernels.ts';
import type { Compression, Encoder } from './codec.ts';
import { CODE_BITS, codeLengths, prefixCodes } from './deflateCodes.ts';
import { DEFLATE_BYTES } from './deflateBytes.ts';

/** The functions of `deflate.wat`. Positions are those in the memory. */
interface Loops {
  parse(at: number, end: number, first: number, window: number, depth: number, nice: number): number;
  write(bit: number): number;
  adler(at: number, length: number): number;
  readonly tokenEnd: { readonly value: number };
}

/** Where things are in the memory, as in `deflate.wat`. */
const AT = {
  chain: 81_920,
  counts: 147_456,
  distanceCounts: 148_608,
  lengthSymbols: 148_736,
  codes: 149_248,
  lengthCodes: 150_272,
  distanceCodes: 151_552,
  input: 327_680,
} as const;
const PAGE = 65_536;

/** 3.2.5: shortest lengths and numbers of extra bits of the symbols 257 to 285. */
const LENGTHS = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
] as const;
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0] as const;
const LONGEST_MATCH = 258;
const END_OF_BLOCK = 256;
const SYMBOLS = 286;
const DISTANCES = 30;
/** 3.2.7: order in which the lengths of codes for lengths of codes are stored. */
const LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] as const;
/** Longest stored block. */
const STORED = 65_535;
/** 3.2.6: lengths of the fixed codes, which know 288 symbols. */
const FIXED = Uint8Array.from({ length: 288 }, (_, symbol) =>
  symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8,
);
const FIXED_DISTANCES = new Uint8Array(DISTANCES).fill(5);

/** Candidates that are looked at for a match, and a length that is good enough to look no further. */
const EFFORT = { small: { depth: 8, nice: 30 }, large: { depth: 16, nice: 30 } } as const;

/** An encoder to deflate data of the default effort; undefined for unknown windows, and where there is no WebAssembly. */
export function deflateEncoder({ method, windowBits = 15 }: Compression): Encoder | undefined {
  let engine = windowBits >= 9 && windowBits <= 15 ? Engine.make(windowBits, PAGE) : undefined;
  if (!engine) return undefined;
  return (input, limit) => {
    if (input.length > (engine as Engine).room) engine = Engine.make(windowBits, input.length);
    if (!engine) throw new Error('there is no memory for deflate');
    return engine.encode(input, limit, method === 'zlib');
  };
}

/** Memory with the loops, for input of a certain length. */
class Engine {
  /** Longest input in bytes. */
  readonly room: number;
  readonly #loops: Loops;
  readonly #bytes: Uint8Array;
  readonly #windowBits: number;
  readonly #counts: Uint32Array;
  readonly #distanceCounts: Uint32Array;
  readonly #tables: Tables;
  readonly #header = new BlockHeader();
  /** Position in bits. */
  #bit = 0;

  static make(windowBits: number, room: number): Engine | undefined {
    const pages = Math.ceil((AT.input + 2 * room + (room >>> 3) + 4096) / PAGE);
    const made = instantiate(DEFLATE_BYTES, pages);
    return made && new Engine(made.bytes, made.exports as Loops, windowBits, room);
  }

  private constructor(bytes: Uint8Array, loops: Loops, windowBits: number, room: number) {
    this.#bytes = bytes;
    this.#loops = loops;
    this.#windowBits = windowBits;
    this.room = room;
    const words = (at: number, count: number): Uint32Array => new Uint32Array(bytes.buffer, at, count);
    this.#counts = words(AT.counts, SYMBOLS);
    this.#distanceCounts = words(AT.distanceCounts, DISTANCES);
    this.#tables = new Tables(
      words(AT.codes, 256),
      words(AT.lengthCodes, LONGEST_MATCH + 1),
      words(AT.distanceCodes, 30),
    );
    for (const [symbol, first, last] of lengthSymbols()) {
      bytes.fill(symbol, AT.lengthSymbols + first, AT.lengthSymbols + last + 1);
    }
  }

  encode(input: Uint8Array, limit: number, wrapped: boolean): Uint8Array | undefined {
    const bytes = this.#bytes;
    const end = AT.input + input.length;
    const start = end + 16;
    const window = 1 << this.#windowBits;
    const { depth, nice } = this.#windowBits > 12 ? EFFORT.large : EFFORT.small;
    bytes.set(input, AT.input);
    bytes.fill(0, 0, AT.chain + 2 * window);
    bytes[start] = 0;
    this.#bit = start * 8;
    if (wrapped) this.#putWrapper();
    let at: number = AT.input;
    do {
      const from = at;
      this.#counts.fill(0);
      this.#distanceCounts.fill(0);
      at = this.#loops.parse(at, end, AT.input, window, depth, nice);
      this.#block(from, at, at >= end);
      if (this.#bit > (start + limit) * 8) return undefined;
    } while (at < end);
    let stop = (this.#bit + 7) >>> 3;
    if (wrapped) {
      new DataView(bytes.buffer).setUint32(stop, this.#loops.adler(AT.input, input.length));
      stop += 4;
    }
    return stop - start < limit ? bytes.subarray(start, stop) : undefined;
  }

  /** RFC 1950, 2.2: deflate, the window, default effort; a multiple of 31. */
  #putWrapper(): void {
    const method = ((this.#windowBits - 8) << 4) | 8;
    const flags = 2 << 6;
    this.#put(method, 8);
    this.#put(flags + 31 - (((method << 8) | flags) % 31), 8);
  }

  /** Writes the tokens of the input from `from` to `to` in the way that takes least. */
  #block(from: number, to: number, last: boolean): void {
    const counts = this.#counts;
    counts[END_OF_BLOCK] = 1;
    const header = this.#header;
    header.make(counts, this.#distanceCounts);
    const extra = extraBits(counts, this.#distanceCounts);
    const own =
      3 + header.bits + extra + bitsOf(counts, header.symbols) + bitsOf(this.#distanceCounts, header.distances);
    const fixed = 3 + extra + bitsOf(counts, FIXED) + bitsOf(this.#distanceCounts, FIXED_DISTANCES);
    const plain = 8 * (to - from) + Math.ceil((to - from) / STORED) * 42;
    if (from < to && plain < Math.min(own, fixed)) return this.#stored(from, to, last);
    this.#put(Number(last), 1);
    if (own < fixed) {
      this.#put(2, 2);
      header.write((value, count) => this.#put(value, count));
      this.#tables.set(header.symbols, header.distances);
    } else {
      this.#put(1, 2);
      this.#tables.set(FIXED, FIXED_DISTANCES);
    }
    this.#bit = this.#loops.write(this.#bit);
    this.#putCode(this.#tables.endOfBlock);
  }

  #stored(from: number, to: number, last: boolean): void {
    for (let at = from; at < to; at += STORED) {
      const length = Math.min(STORED, to - at);
      this.#put(Number(last && at + length === to), 3);
      const place = (this.#bit + 7) >>> 3;
      const view = new DataView(this.#bytes.buffer);
      view.setUint16(place, length, true);
      view.setUint16(place + 2, ~length, true);
      this.#bytes.copyWithin(place + 4, at, at + length);
      this.#bytes[place + 4 + length] = 0;
      this.#bit = (place + 4 + length) * 8;
    }
  }

  /** Writes up to 24 bits, the lowest first; those behind are 0 until they are written. */
  #put(value: number, count: number): void {
    const bytes = this.#bytes;
    const at = this.#bit >>> 3;
    const word = value << (this.#bit & 7);
    bytes[at] = (bytes[at] as number) | word;
    bytes[at + 1] = word >>> 8;
    bytes[at + 2] = word >>> 16;
    bytes[at + 3] = word >>> 24;
    this.#bit += count;
  }

  #putCode(code: number): void {
    this.#put(code & ((1 << CODE_BITS) - 1), code >>> CODE_BITS);
  }
}

/** The symbols of lengths, less 257, each with its first and last length. */
function* lengthSymbols(): Generator<readonly [symbol: number, first: number, last: number]> {
  for (let symbol = 0; symbol < LENGTHS.length; symbol++) {
    const first = LENGTHS[symbol] as number;
    // 258 has a symbol of its own, although the one before it could tell it.
    yield [symbol, first, Math.max(first, (LENGTHS[symbol + 1] ?? 0) - 1)];
  }
}

function distanceExtra(symbol: number): number {
  return Math.max(0, (symbol >>> 1) - 1);
}

function extraBits(counts: Uint32Array, distances: Uint32Array): number {
  let bits = 0;
  for (let i = 8; i < LENGTH_EXTRA.length; i++) bits += (counts[257 + i] as number) * (LENGTH_EXTRA[i] as number);
  for (let i = 4; i < DISTANCES; i++) bits += (distances[i] as number) * distanceExtra(i);
  return bits;
}

function bitsOf(counts: Uint32Array, lengths: Uint8Array): number {
  let bits = 0;
  for (let i = 0; i < counts.length; i++) bits += (counts[i] as number) * (lengths[i] as number);
  return bits;
}

/** The codes of a block, in the memory for `write`. */
class Tables {
  readonly #literals: Uint32Array;
  readonly #lengths: Uint32Array;
  readonly #distances: Uint32Array;
  readonly #symbols = new Uint32Array(FIXED.length);
  readonly #distanceCodes = new Uint32Array(DISTANCES);

  constructor(literals: Uint32Array, lengths: Uint32Array, distances: Uint32Array) {
    this.#literals = literals;
    this.#lengths = lengths;
    this.#distances = distances;
  }

  get endOfBlock(): number {
    return this.#symbols[END_OF_BLOCK] as number;
  }

  set(symbols: Uint8Array, distances: Uint8Array): void {
    prefixCodes(symbols, this.#symbols);
    prefixCodes(distances, this.#distanceCodes);
    this.#literals.set(this.#symbols.subarray(0, 256));
    this.#distances.set(this.#distanceCodes);
    for (const [symbol, first, last] of lengthSymbols()) {
      const code = this.#symbols[257 + symbol] as number;
      const shift = code >>> CODE_BITS;
      const whole = code + ((LENGTH_EXTRA[symbol] as number) << CODE_BITS);
      for (let length = first; length <= last; length++) this.#lengths[length] = whole | ((length - first) << shift);
    }
  }
}

/** The codes that a block tells of (3.2.7), and how it tells them. */
class BlockHeader {
  /** Lengths of codes. */
  readonly symbols = new Uint8Array(SYMBOLS);
  readonly distances = new Uint8Array(DISTANCES);
  /** What the header takes. */
  bits = 0;
  readonly #all = new Uint8Array(SYMBOLS + DISTANCES);
  /** Symbols of 3.2.7, with their extra bits and the number of those above. */
  readonly #steps = new Uint16Array(SYMBOLS + DISTANCES);
  readonly #counts = new Uint32Array(19);
  readonly #lengths = new Uint8Array(19);
  readonly #codes = new Uint32Array(19);
  #stepCount = 0;
  #symbolCount = 0;
  #distanceCount = 0;
  #lengthCount = 0;

  make(counts: Uint32Array, distanceCounts: Uint32Array): void {
    codeLengths(counts, 15, this.symbols);
    codeLengths(distanceCounts, 15, this.distances);
    this.#symbolCount = usedOf(this.symbols, 257);
    this.#distanceCount = usedOf(this.distances, 1);
    this.#all.set(this.symbols.subarray(0, this.#symbolCount));
    this.#all.set(this.distances.subarray(0, this.#distanceCount), this.#symbolCount);
    this.#makeSteps(this.#symbolCount + this.#distanceCount);
    codeLengths(this.#counts, 7, this.#lengths);
    this.#lengthCount = 19;
    while (this.#lengthCount > 4 && this.#lengths[LENGTH_ORDER[this.#lengthCount - 1] as number] === 0) {
      this.#lengthCount--;
    }
    const [, , , , , , , , , , , , , , , , copies = 0, zeroes = 0, manyZeroes = 0] = this.#counts;
    const extra = copies * 2 + zeroes * 3 + manyZeroes * 7;
    this.bits = 14 + 3 * this.#lengthCount + bitsOf(this.#counts, this.#lengths) + extra;
  }

  write(put: (value: number, count: number) => void): void {
    put(this.#symbolCount - 257, 5);
    put(this.#distanceCount - 1, 5);
    put(this.#lengthCount - 4, 4);
    for (let i = 0; i < this.#lengthCount; i++) put(this.#lengths[LENGTH_ORDER[i] as number] as number, 3);
    prefixCodes(this.#lengths, this.#codes);
    for (let i = 0; i < this.#stepCount; i++) {
      const step = this.#steps[i] as number;
      const code = this.#codes[step & 31] as number;
      put(code & 0xffff, code >>> CODE_BITS);
      if (step >= 1 << 12) put((step >>> 5) & 127, step >>> 12);
    }
  }

  /** 3.2.7: repetitions of lengths. */
  #makeSteps(length: number): void {
    this.#counts.fill(0);
    this.#stepCount = 0;
    for (let at = 0; at < length; ) {
      const value = this.#all[at] as number;
      let left = 1;
      while (at + left < length && this.#all[at + left] === value) left++;
      at += left;
      if (value !== 0) {
        this.#step(value);
        for (left--; left >= 3; left -= Math.min(left, 6)) this.#step(16, Math.min(left, 6) - 3, 2);
      } else {
        for (; left >= 11; left -= Math.min(left, 138)) this.#step(18, Math.min(left, 138) - 11, 7);
        if (left >= 3) {
          this.#step(17, left - 3, 3);
          left = 0;
        }
      }
      for (; left > 0; left--) this.#step(value);
    }
  }

  #step(symbol: number, extra = 0, extraCount = 0): void {
    this.#counts[symbol]!++;
    this.#steps[this.#stepCount++] = symbol | (extra << 5) | (extraCount << 12);
  }
}

/** Number of lengths up to the last that is not 0, at least `least`. */
function usedOf(lengths: Uint8Array, least: number): number {
  let used = lengths.length;
  while (used > least && lengths[used - 1] === 0) used--;
  return used;
}
