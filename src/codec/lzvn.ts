/**
 * Decoder of LZVN, the byte-oriented half of LZFSE: opcodes of literals and copies. After the description "LZVN" in
 * the LZFSE documentation; `L` is a literal length, `M` a match length, `D` a distance:
 *
 * | first byte | opcode |
 * |---|---|
 * | `LLMMMDDD` + 1 byte | small distance: 11 bits, M + 3 (where the last three bits are neither 6 nor 7) |
 * | `LLMMM111` + 2 bytes | large distance: 16 bits, M + 3 |
 * | `LLMMM110` | previous distance, M + 3 (L is not 0) |
 * | `101LLMMM DDDDDDMM DDDDDDDD` | medium distance: 14 bits, M of 5 bits + 3 |
 * | `1110LLLL` | literals; L = 0: one more byte, + 16 |
 * | `1111MMMM` | match at the previous distance; M = 0: one more byte, + 16 |
 * | `00000110` | end of the stream |
 * | `00001110`, `00010110` | nothing |
 */
import { damaged } from './damaged.ts';

/** Where a decoder of LZFSE blocks stands in the output. */
export interface Output {
  readonly bytes: Uint8Array;
  /** Bytes produced. */
  at: number;
  /** Where the current block must end. */
  end: number;
}

/**
 * Copies `length` bytes from `distance` before the end of the output; stops when the output is full.
 * @throws BlockError of kind `io` if that is before its start or beyond the block.
 */
export function copyMatch(output: Output, distance: number, length: number): void {
  const { bytes, at } = output;
  if (distance < 1 || distance > at) throw damaged('LZFSE', 'a copy starts before the data');
  if (at + length > output.end) throw damaged('LZFSE', 'a block yields too much');
  const stop = Math.min(at + length, bytes.length);
  if (distance >= length) bytes.copyWithin(at, at - distance, stop - distance);
  else for (let i = at; i < stop; i++) bytes[i] = bytes[i - distance] as number;
  output.at = stop;
}

/**
 * Appends literals; stops when the output is full.
 * @throws BlockError of kind `io` if they go beyond the source or the block.
 */
export function copyLiterals(output: Output, from: Uint8Array, at: number, length: number): void {
  if (at + length > from.length) throw damaged('LZFSE', 'literals are cut off');
  if (output.at + length > output.end) throw damaged('LZFSE', 'a block yields too much');
  const take = Math.min(length, output.bytes.length - output.at);
  if (take > 16) output.bytes.set(from.subarray(at, at + take), output.at);
  else for (let i = 0; i < take; i++) output.bytes[output.at + i] = from[at + i] as number;
  output.at += take;
}

const END_OF_STREAM = 0x06;

/** Decodes the payload of one block; stops early when the output is full. */
export function decodeLzvn(input: Uint8Array, output: Output): void {
  let at = 0;
  let distance = 0;
  const byte = (index: number): number => {
    const value = input[index];
    if (value === undefined) throw damaged('LZFSE', 'an LZVN block is cut off');
    return value;
  };
  while (output.at < output.bytes.length) {
    const head = byte(at);
    if (head === END_OF_STREAM) return;
    let literals = 0;
    let match = 0;
    let size = 1;
    if (head >= 0xf0) {
      match = head & 15;
      if (match === 0) {
        match = byte(at + 1) + 16;
        size = 2;
      }
    } else if (head >= 0xe0) {
      literals = head & 15;
      if (literals === 0) {
        literals = byte(at + 1) + 16;
        size = 2;
      }
    } else if (head >= 0xa0 && head < 0xc0) {
      literals = (head >> 3) & 3;
      match = (head & 7) * 4 + (byte(at + 1) & 3) + 3;
      distance = (byte(at + 1) >> 2) + byte(at + 2) * 64;
      size = 3;
    } else if ((head >= 0x70 && head < 0x80) || head >= 0xd0) {
      throw damaged('LZFSE', 'there is no such opcode');
    } else {
      literals = head >> 6;
      match = ((head >> 3) & 7) + 3;
      const low = head & 7;
      if (low === 7) {
        distance = byte(at + 1) + byte(at + 2) * 256;
        size = 3;
      } else if (low !== 6) {
        distance = low * 256 + byte(at + 1);
        size = 2;
      } else if (literals === 0) {
        if (head !== 0x0e && head !== 0x16) throw damaged('LZFSE', 'there is no such opcode');
        match = 0;
      }
    }
    at += size;
    if (literals > 0) {
      copyLiterals(output, input, at, literals);
      at += literals;
    }
    if (match > 0 && output.at < output.bytes.length) copyMatch(output, distance, match);
  }
}
