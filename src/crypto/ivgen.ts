/** Initialization vectors of sectors (LUKS On-Disk Format Specification 1.2, appendix on cipher modes; dm-crypt). */
import type { BlockCipher } from './crypto.ts';
import { wordsOf } from './words.ts';
import type { IvGenName } from './spec.ts';

const TWO32 = 4294967296;

/**
 * Gives the vectors of `count` sectors from `sector` on, one after the other, each as long as a block. The result starts
 * at a multiple of four bytes and is valid until the next call.
 */
export type IvGenerator = (sector: number, count: number) => Uint8Array;

/**
 * The generator of that name.
 * - `plain`: the sector number, lowest byte first, cut to 32 bits and padded with zeroes;
 * - `plain64`: the same with 64 bits;
 * - `essiv`: `plain64`, encrypted with `essiv`, a cipher keyed with a digest of the volume's key.
 */
export function ivGenerator(name: IvGenName, blockSize: 8 | 16, essiv?: BlockCipher): IvGenerator {
  let buffer = new Uint8Array(0);
  const step = blockSize / 4;
  const numbers: IvGenerator = (sector, count) => {
    if (buffer.length !== count * blockSize) buffer = new Uint8Array(count * blockSize);
    const words = wordsOf(buffer);
    for (let i = 0; i < count; i++) {
      const at = i * step;
      words[at] = (sector + i) % TWO32;
      words[at + 1] = name === 'plain' ? 0 : Math.floor((sector + i) / TWO32);
    }
    return buffer;
  };
  return essiv ? (sector, count) => essiv.encrypt(numbers(sector, count)) : numbers;
}
