/**
 * Decoder of bzip2 streams. The format has no official specification; sources are the description "BZIP2: Format
 * Specification" (Joe Tsai, 2016) and files of the bzip2 program. A stream is `BZh` and a digit (block size in
 * units of 100,000 bytes), blocks, and an end mark; everything is a string of bits, most significant first.
 */
import { damaged } from './damaged.ts';

const BLOCK_MAGIC_HIGH = 0x314159;
const BLOCK_MAGIC_LOW = 0x265359;
const END_MAGIC_HIGH = 0x177245;
const END_MAGIC_LOW = 0x385090;
/** Symbols coded with one Huffman table before the next selector applies. */
const GROUP = 50;
const MAX_CODE_LENGTH = 20;
/** Codes up to this length are found with one look into a table. */
const FAST_BITS = 10;

/** Bits, most significant first. Behind the end of the input there are zeroes; {@link overrun} tells. */
class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #held = 0;
  #count = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** More bits were taken than there are. */
  get overrun(): boolean {
    return this.#at - (this.#count >> 3) > this.#bytes.length;
  }

  /** The next `count` (1 to 24) bits, which stay. */
  peek(count: number): number {
    while (this.#count < count) {
      this.#held = (this.#held << 8) | (this.#bytes[this.#at++] ?? 0);
      this.#count += 8;
    }
    return (this.#held >>> (this.#count - count)) & ((1 << count) - 1);
  }

  /** Passes over bits that {@link peek} returned. */
  skip(count: number): void {
    this.#count -= count;
  }

  /** Takes the next `count` (1 to 24) bits. */
  take(count: number): number {
    const value = this.peek(count);
    this.#count -= count;
    return value;
  }
}

/** One canonical Huffman code. */
class HuffmanTable {
  /** `symbol * 32 + length` for every start of {@link FAST_BITS} bits that a short code begins; 0 for others. */
  readonly #fast: Uint16Array = new Uint16Array(1 << FAST_BITS);
  /** First code, number of codes and index of the first symbol, for each length. */
  readonly #first: Int32Array = new Int32Array(MAX_CODE_LENGTH + 1);
  readonly #counts: Int32Array = new Int32Array(MAX_CODE_LENGTH + 1);
  readonly #start: Int32Array = new Int32Array(MAX_CODE_LENGTH + 1);
  readonly #symbols: Uint16Array;

  constructor(lengths: Uint8Array) {
    this.#symbols = new Uint16Array(lengths.length);
    let code = 0;
    let index = 0;
    for (let length = 1; length <= MAX_CODE_LENGTH; length++) {
      code *= 2;
      this.#first[length] = code;
      this.#start[length] = index;
      for (let symbol = 0; symbol < lengths.length; symbol++) {
        if (lengths[symbol] !== length) continue;
        this.#symbols[index++] = symbol;
        if (length <= FAST_BITS && code < 1 << length) {
          const rest = FAST_BITS - length;
          this.#fast.fill(symbol * 32 + length, code << rest, (code + 1) << rest);
        }
        code++;
      }
      this.#counts[length] = index - (this.#start[length] as number);
      if (code > 2 ** length) throw damaged('bzip2', 'a code has too many symbols');
    }
  }

  /** The next symbol. */
  read(bits: BitReader): number {
    const entry = this.#fast[bits.peek(FAST_BITS)] as number;
    if (entry !== 0) {
      bits.skip(entry & 31);
      return entry >> 5;
    }
    for (let length = FAST_BITS + 1; length <= MAX_CODE_LENGTH; length++) {
      const offset = bits.peek(length) - (this.#first[length] as number);
      if (offset >= 0 && offset < (this.#counts[length] as number)) {
        bits.skip(length);
        return this.#symbols[(this.#start[length] as number) + offset] as number;
      }
    }
    throw damaged('bzip2', 'there is no such code');
  }
}

/** Table of the CRC of bzip2: the polynomial of CRC-32, most significant bit first. */
function crcTable(): Int32Array {
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let rest = byte << 24;
    for (let bit = 0; bit < 8; bit++) rest = rest < 0 ? (rest << 1) ^ 0x04c11db7 : rest << 1;
    table[byte] = rest;
  }
  return table;
}

/**
 * Decodes the first stream of `input` into `into`, until either ends.
 * @returns the number of bytes produced.
 * @throws BlockError of kind `io` if the stream is damaged or cut off before `into` is full.
 */
export function decodeBzip2(input: Uint8Array, into: Uint8Array): number {
  const bits = new BitReader(input);
  if (bits.take(24) !== 0x425a68) throw damaged('bzip2', 'there is no stream');
  const level = bits.take(8) - 0x30;
  if (level < 1 || level > 9) throw damaged('bzip2', 'the block size is invalid');
  const links = new Uint32Array(level * 100_000);
  const crcs = crcTable();
  let produced = 0;
  while (produced < into.length) {
    const high = bits.take(24);
    const low = bits.take(24);
    if (high === END_MAGIC_HIGH && low === END_MAGIC_LOW) break;
    if (high !== BLOCK_MAGIC_HIGH || low !== BLOCK_MAGIC_LOW) throw damaged('bzip2', 'a block has no mark');
    const crc = (bits.take(16) << 16) | bits.take(16);
    // Written by versions before 0.9.5 (1999) only.
    if (bits.take(1) !== 0) throw damaged('bzip2', 'a block is randomised');
    const origin = bits.take(24);
    const size = readBlock(bits, links);
    if (bits.overrun) throw damaged('bzip2', 'the stream is cut off');
    if (size > 0 && origin >= size) throw damaged('bzip2', 'the start of a block is outside it');
    const end = expandBlock(links, size, origin, into, produced);
    if (end >= 0 && checksum(crcs, into, produced, end) !== crc) throw damaged('bzip2', 'a checksum is wrong');
    produced = end >= 0 ? end : into.length;
  }
  return produced;
}

function checksum(table: Int32Array, bytes: Uint8Array, start: number, end: number): number {
  let sum = -1;
  for (let at = start; at < end; at++) sum = (sum << 8) ^ (table[(sum >>> 24) ^ (bytes[at] as number)] as number);
  return ~sum;
}

/** The byte values that occur in the block, in order: two levels of bit maps. */
function readAlphabet(bits: BitReader): Uint8Array {
  const used = bits.take(16);
  const values: number[] = [];
  for (let i = 0; i < 16; i++) {
    if (!(used & (0x8000 >> i))) continue;
    const row = bits.take(16);
    for (let j = 0; j < 16; j++) if (row & (0x8000 >> j)) values.push(i * 16 + j);
  }
  if (values.length === 0) throw damaged('bzip2', 'a block has no symbols');
  return Uint8Array.from(values);
}

/** Moves the item at `index` to the front and returns it. */
function moveToFront(list: Uint8Array, index: number): number {
  const item = list[index] as number;
  list.copyWithin(1, 0, index);
  list[0] = item;
  return item;
}

/** Which table each group uses. */
function readSelectors(bits: BitReader, tableCount: number): Uint8Array {
  const count = bits.take(15);
  if (count === 0) throw damaged('bzip2', 'a block has no groups');
  const order = Uint8Array.from({ length: tableCount }, (_, i) => i);
  const selectors = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    let rank = 0;
    while (bits.take(1)) if (++rank >= tableCount) throw damaged('bzip2', 'a selector is out of range');
    selectors[i] = moveToFront(order, rank);
  }
  if (bits.overrun) throw damaged('bzip2', 'the stream is cut off');
  return selectors;
}

/** Code lengths are stored as differences: `0` ends one, `10` is one more, `11` one less. */
function readTable(bits: BitReader, symbolCount: number): HuffmanTable {
  const lengths = new Uint8Array(symbolCount);
  let length = bits.take(5);
  for (let symbol = 0; symbol < symbolCount; symbol++) {
    for (;;) {
      if (length < 1 || length > MAX_CODE_LENGTH) throw damaged('bzip2', 'a code length is out of range');
      if (!bits.take(1)) break;
      length += bits.take(1) ? -1 : 1;
    }
    lengths[symbol] = length;
  }
  return new HuffmanTable(lengths);
}

/**
 * Reads the symbols of a block: bytes after the Burrows-Wheeler transform, coded by move-to-front with runs of the
 * front byte as numbers of digits 1 (`RUNA`) and 2 (`RUNB`), then Huffman. The inverse transform is prepared: the low
 * 8 bits of `links[i]` are the byte in row i, the others the row that follows row i.
 * @returns the length of the block.
 */
function readBlock(bits: BitReader, links: Uint32Array): number {
  const alphabet = readAlphabet(bits);
  const symbolCount = alphabet.length + 2;
  const endOfBlock = symbolCount - 1;
  const tableCount = bits.take(3);
  if (tableCount < 2 || tableCount > 6) throw damaged('bzip2', 'the number of codes is invalid');
  const selectors = readSelectors(bits, tableCount);
  const tables = Array.from({ length: tableCount }, () => readTable(bits, symbolCount));
  const counts = new Uint32Array(256);
  let size = 0;
  let runLength = 0;
  let runDigit = 1;
  for (const selector of selectors) {
    const table = tables[selector] as HuffmanTable;
    for (let i = 0; i < GROUP; i++) {
      const symbol = table.read(bits);
      if (symbol < 2) {
        runLength += runDigit << symbol;
        runDigit *= 2;
        if (runLength > links.length - size) throw damaged('bzip2', 'a block is too long');
        continue;
      }
      if (runLength > 0) {
        const byte = alphabet[0] as number;
        links.fill(byte, size, size + runLength);
        counts[byte] = (counts[byte] as number) + runLength;
        size += runLength;
        runLength = 0;
        runDigit = 1;
      }
      if (symbol === endOfBlock) {
        linkRows(links, size, counts);
        return size;
      }
      if (size >= links.length) throw damaged('bzip2', 'a block is too long');
      const byte = moveToFront(alphabet, symbol - 1);
      counts[byte] = (counts[byte] as number) + 1;
      links[size++] = byte;
    }
  }
  throw damaged('bzip2', 'a block has no end');
}

function linkRows(links: Uint32Array, size: number, counts: Uint32Array): void {
  let sum = 0;
  for (let byte = 0; byte < 256; byte++) {
    const count = counts[byte] as number;
    counts[byte] = sum;
    sum += count;
  }
  for (let row = 0; row < size; row++) {
    const byte = (links[row] as number) & 255;
    const at = counts[byte] as number;
    counts[byte] = at + 1;
    links[at] = ((links[at] as number) & 255) | (row << 8);
  }
}

/**
 * Follows the rows and undoes the first step of the compressor: four equal bytes are followed by the number of
 * further ones.
 * @returns the end of the output, or -1 if it is full before the block ends.
 */
function expandBlock(links: Uint32Array, size: number, origin: number, into: Uint8Array, start: number): number {
  if (size === 0) return start;
  let row = (links[origin] as number) >>> 8;
  let at = start;
  let repeated = 0;
  let last = -1;
  for (let i = 0; i < size; i++) {
    const link = links[row] as number;
    const byte = link & 255;
    row = link >>> 8;
    if (repeated === 4) {
      if (at + byte > into.length) {
        into.fill(last, at);
        return -1;
      }
      into.fill(last, at, at + byte);
      at += byte;
      repeated = 0;
      last = -1;
      continue;
    }
    if (at >= into.length) return -1;
    into[at++] = byte;
    repeated = byte === last ? repeated + 1 : 1;
    last = byte;
  }
  return at;
}
