/**
 * Decoder of ADC ("Apple Data Compression"), the oldest compression of DMG images. The format is a run of three kinds
 * of chunks, told apart by the top bits of their first byte `c`:
 * - `1lllllll`: `l + 1` literal bytes follow;
 * - `01llllll dddddddd dddddddd`: copy `l + 4` bytes from 16-bit distance `d + 1`;
 * - `00lllldd dddddddd`: copy `l + 3` bytes from 10-bit distance `d + 1`.
 * There is no header and no end mark: the data ends with the input.
 */
import { damaged } from './damaged.ts';

/**
 * Decodes `input` into `into`, until either ends.
 * @returns the number of bytes produced.
 * @throws BlockError of kind `io` when a chunk is cut off or refers to bytes before the start.
 */
export function decodeAdc(input: Uint8Array, into: Uint8Array): number {
  const size = into.length;
  let from = 0;
  let to = 0;
  while (from < input.length && to < size) {
    const head = input[from] as number;
    if (head >= 0x80) {
      const length = head - 0x7f;
      const take = Math.min(length, size - to);
      if (from + 1 + take > input.length) throw damaged('ADC', 'literals are cut off');
      into.set(input.subarray(from + 1, from + 1 + take), to);
      from += 1 + length;
      to += take;
      continue;
    }
    const long = head >= 0x40;
    const headLength = long ? 3 : 2;
    if (from + headLength > input.length) throw damaged('ADC', 'a copy is cut off');
    const second = input[from + 1] as number;
    const distance = (long ? second * 256 + (input[from + 2] as number) : (head & 3) * 256 + second) + 1;
    const length = long ? head - 0x40 + 4 : (head >> 2) + 3;
    if (distance > to) throw damaged('ADC', 'a copy starts before the data');
    const end = Math.min(size, to + length);
    for (; to < end; to++) into[to] = into[to - distance] as number;
    from += headLength;
  }
  return to;
}
