/**
 * Files of the bzip2 program, of any length: blocks are found by their marks, which stand at any bit, and decoded several at a
 * time. Each becomes a stream of its own for that.
 */
import { type ByteStream, readFully } from '../base/byteStream.ts';
import type { DecompressPiece } from './codec.ts';
import { damaged } from './damaged.ts';

const BLOCK_MARK = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59] as const;
const END_MARK = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90] as const;
const MARK_BITS = 48;
/** `BZh` and the level. */
const HEADER = 4;
/** A block has at most 900,001 symbols of 20 bits, and some tables. */
const LONGEST_BLOCK = 2_500_000;
const WINDOW = 8 * 1024 * 1024;
/** Blocks that are decoded at a time. */
const BATCH = 8;
/** Four equal bytes and a number of further ones: 5 bytes of a block become 259. */
const EXPANSION = 259 / 5;

/** Decodes streams of one block each. */
export type DecodeBlocks = (pieces: readonly DecompressPiece[]) => Promise<number[]>;

/** Byte `index` of what a mark is when it begins at bit `shift` of a byte. */
function shifted(mark: readonly number[], shift: number, index: number): number {
  return (((mark[index - 1] as number) << (8 - shift)) | ((mark[index] as number) >> shift)) & 255;
}

/** For each value of a byte: the bits at which a mark may begin in the byte in front of it. */
const STARTS: Uint8Array = (() => {
  const starts = new Uint8Array(256);
  for (const mark of [BLOCK_MARK, END_MARK])
    for (let shift = 0; shift < 8; shift++) {
      const second = shifted(mark, shift, 1);
      starts[second] = (starts[second] as number) | (1 << shift);
    }
  return starts;
})();

function isMarkAt(bytes: Uint8Array, bit: number, mark: readonly number[]): boolean {
  const at = bit >> 3;
  const shift = bit & 7;
  for (let i = 1; i < 6; i++) if (bytes[at + i] !== shifted(mark, shift, i)) return false;
  if (((bytes[at] as number) & (0xff >> shift)) !== (mark[0] as number) >> shift) return false;
  return shift === 0 || (bytes[at + 6] as number) >> (8 - shift) === ((mark[5] as number) & ((1 << shift) - 1));
}

function bitsAt(bytes: Uint8Array, bit: number, count: number): number {
  let value = 0;
  for (let i = bit; i < bit + count; i++) value = value * 2 + (((bytes[i >> 3] as number) >> (7 - (i & 7))) & 1);
  return value;
}

/** A block with its mark, as a part of the window. */
interface Block {
  readonly start: number;
  readonly end: number;
}

/** The bits of a block as a stream: a header, the block, the end. The sum at the end is not looked at. */
function streamOf(bytes: Uint8Array, { start, end }: Block, level: number): Uint8Array {
  const length = Math.ceil((end - start) / 8);
  const stream = new Uint8Array(HEADER + length + 12);
  stream.set([0x42, 0x5a, 0x68, 0x30 + level]);
  const shift = start & 7;
  const from = start >> 3;
  for (let i = 0; i < length; i++) {
    stream[HEADER + i] = ((bytes[from + i] as number) << shift) | ((bytes[from + i + 1] ?? 0) >> (8 - shift));
  }
  const left = (end - start) & 7;
  let at = HEADER + length;
  if (left > 0) {
    at--;
    stream[at] = ((stream[at] as number) & (0xff << (8 - left))) | ((END_MARK[0] as number) >> left);
    for (let i = 1; i < 6; i++) stream[at + i] = shifted(END_MARK, left, i);
    stream[at + 6] = ((END_MARK[5] as number) << (8 - left)) & 255;
  } else stream.set(END_MARK, at);
  return stream;
}

/** Decodes a file of bzip2 streams. */
export class Bzip2Stream implements ByteStream {
  readonly #input: ByteStream;
  readonly #decode: DecodeBlocks;
  readonly #window: Uint8Array = new Uint8Array(WINDOW);
  /** Bits of the window that are used up, and bytes of it that there are. */
  #bit = 0;
  #filled = 0;
  #inputEnded = false;
  /** 0: between two streams. */
  #level = 0;
  #isFirst = true;
  #sum = 0;
  #ended = false;
  #ready: Uint8Array[] = [];

  constructor(input: ByteStream, decode: DecodeBlocks) {
    this.#input = input;
    this.#decode = decode;
  }

  async read(into: Uint8Array): Promise<number> {
    while (this.#ready.length === 0) {
      if (this.#ended) return 0;
      await this.#more();
    }
    const first = this.#ready[0] as Uint8Array;
    const count = Math.min(into.length, first.length);
    into.set(first.subarray(0, count));
    if (count === first.length) this.#ready.shift();
    else this.#ready[0] = first.subarray(count);
    return count;
  }

  async close(): Promise<void> {
    this.#ready = [];
    await this.#input.close();
  }

  /** Fills the window and decodes blocks of it. */
  async #more(): Promise<void> {
    await this.#fill();
    if (this.#level === 0) {
      this.#header();
      return;
    }
    const blocks: Block[] = [];
    for (;;) {
      if (isMarkAt(this.#window, this.#bit, END_MARK)) {
        await this.#expand(blocks);
        this.#streamEnd();
        return;
      }
      if (!isMarkAt(this.#window, this.#bit, BLOCK_MARK)) {
        throw this.#bit + MARK_BITS > this.#filled * 8 ? this.#wrong('') : damaged('bzip2', 'a block has no mark');
      }
      const end = this.#nextMark(this.#bit + MARK_BITS);
      if (end === undefined) break;
      blocks.push({ start: this.#bit, end });
      this.#bit = end;
      if (blocks.length === BATCH) break;
    }
    if (blocks.length === 0) throw this.#wrong('a block has no end');
    await this.#expand(blocks);
  }

  #wrong(what: string): Error {
    return damaged('bzip2', this.#inputEnded ? 'the file is cut off' : what);
  }

  async #fill(): Promise<void> {
    const used = this.#bit >> 3;
    if (!this.#inputEnded && this.#filled - used < WINDOW / 2) {
      this.#window.copyWithin(0, used, this.#filled);
      this.#filled -= used;
      this.#bit -= used * 8;
      const room = this.#window.subarray(this.#filled);
      const count = await readFully(this.#input, room);
      this.#filled += count;
      this.#inputEnded = count < room.length;
      this.#window.fill(0, this.#filled);
    }
  }

  #header(): void {
    const bytes = this.#window.subarray(this.#bit >> 3, this.#filled);
    if (!this.#isFirst && bytes.every((byte) => byte === 0)) {
      // Tapes and the like fill up with zeroes.
      this.#ended = this.#inputEnded;
      this.#bit = this.#filled * 8;
      return;
    }
    const level = (bytes[3] ?? 0) - 0x30;
    const isHeader = bytes[0] === 0x42 && bytes[1] === 0x5a && bytes[2] === 0x68 && level >= 1 && level <= 9;
    if (!isHeader) throw damaged('bzip2', this.#isFirst ? 'there is no stream' : 'something else follows the stream');
    this.#isFirst = false;
    this.#level = level;
    this.#sum = 0;
    this.#bit += HEADER * 8;
  }

  #streamEnd(): void {
    if (this.#bit + MARK_BITS + 32 > this.#filled * 8) throw this.#wrong('the stream has no end');
    const sum = bitsAt(this.#window, this.#bit + MARK_BITS, 32);
    if (sum !== this.#sum) throw damaged('bzip2', 'a checksum is wrong');
    this.#bit = Math.ceil((this.#bit + MARK_BITS + 32) / 8) * 8;
    this.#level = 0;
  }

  /** Where the next mark begins, if it is in the window as a whole. */
  #nextMark(from: number): number | undefined {
    const bytes = this.#window;
    const last = Math.min(this.#filled - 6, (from >> 3) + LONGEST_BLOCK);
    for (let at = from >> 3; at < last; at++) {
      let starts = STARTS[bytes[at + 1] as number] as number;
      for (let shift = 0; starts !== 0; shift++, starts >>= 1) {
        if ((starts & 1) === 0) continue;
        const bit = at * 8 + shift;
        if (bit >= from && (isMarkAt(bytes, bit, BLOCK_MARK) || isMarkAt(bytes, bit, END_MARK))) return bit;
      }
    }
    return undefined;
  }

  async #expand(blocks: readonly Block[]): Promise<void> {
    if (blocks.length === 0) return;
    const results = await this.#all(blocks).catch(() => this.#oneByOne(blocks));
    for (const { block, bytes } of results) {
      const own = bitsAt(this.#window, block.start + MARK_BITS, 32);
      this.#sum = (((this.#sum << 1) | (this.#sum >>> 31)) ^ own) >>> 0;
      if (bytes.length > 0) this.#ready.push(bytes);
    }
  }

  async #all(blocks: readonly Block[]): Promise<{ block: Block; bytes: Uint8Array }[]> {
    const room = this.#level * 125_000;
    const pieces = blocks.map((block) => ({
      input: streamOf(this.#window, block, this.#level),
      output: new Uint8Array(room),
    }));
    const lengths = await this.#decode(pieces);
    const results: { block: Block; bytes: Uint8Array }[] = [];
    for (const [i, block] of blocks.entries()) {
      const { input, output } = pieces[i] as DecompressPiece;
      // One that fills its room may have more: long runs of equal bytes.
      const isWhole = (lengths[i] as number) < room;
      results.push({ block, bytes: isWhole ? output.subarray(0, lengths[i]) : await this.#long(input) });
    }
    return results;
  }

  async #long(input: Uint8Array): Promise<Uint8Array> {
    const output = new Uint8Array(Math.ceil(this.#level * 100_000 * EXPANSION) + 1);
    const [length = 0] = await this.#decode([{ input, output }]);
    return output.slice(0, length);
  }

  /** As {@link #all}, where a block is wrong: what looks like a mark may have been a part of the data by chance. */
  async #oneByOne(blocks: readonly Block[]): Promise<{ block: Block; bytes: Uint8Array }[]> {
    const results: { block: Block; bytes: Uint8Array }[] = [];
    for (let i = 0; i < blocks.length; i++) {
      const block = blocks[i] as Block;
      const next = blocks[i + 1];
      try {
        results.push(...(await this.#all([block])));
      } catch (error) {
        const end = next?.end ?? this.#nextMark(block.end + 1);
        if (end === undefined) throw error;
        results.push(
          ...(await this.#all([{ start: block.start, end }]).catch(() => {
            throw error;
          })),
        );
        if (next) i++;
        else this.#bit = end;
      }
    }
    return results;
  }
}
