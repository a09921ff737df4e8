/** The header of compressed loop images (version 2), big endian. Fields: the documentation of the cloop kernel module. */
import { bigEndian } from '../../base/bytes.ts';
import { type BlockError, invalidImage } from '../../base/error.ts';
import { MiB, SECTOR } from '../../base/offset.ts';

/** Bytes of the script in front of the header. */
const SCRIPT_SIZE = 128;
/** Bytes in front of the table of offsets: the script, the block size, the number of blocks. */
export const TABLE_AT: number = SCRIPT_SIZE + 8;
/** Guest bytes in a block at most. */
const MAX_BLOCK: number = 64 * MiB;
/** Compressed bytes in a block at most. */
const MAX_STORED: number = 2 * MAX_BLOCK;
/** Bytes of the table of offsets at most. */
const MAX_TABLE: number = 512 * MiB;
/** Blocks whose table can be described at all. */
const MAX_BLOCKS = 0x1fffffff;

/** A header that was found to be usable. */
export interface Header {
  /** Guest bytes in a block. */
  readonly block: number;
  readonly blocks: number;
}

/**
 * The header in the first bytes of an image.
 * @throws BlockError with the real tool's wording.
 */
export function parseHeader(bytes: Uint8Array): Header {
  const fields = bigEndian(bytes);
  const block = fields.u32(SCRIPT_SIZE);
  const blocks = fields.u32(SCRIPT_SIZE + 4);
  if (block === 0) throw invalidImage('block_size cannot be zero');
  if (block % SECTOR !== 0) throw invalidImage(`block_size ${block} must be a multiple of ${SECTOR}`);
  if (block > MAX_BLOCK) throw invalidImage(`block_size ${block} must be 64 MB or less`);
  if (blocks > MAX_BLOCKS) throw invalidImage(`n_blocks ${blocks} must be ${MAX_BLOCKS} or less`);
  if ((blocks + 1) * 8 > MAX_TABLE) throw invalidImage('image requires too many offsets, try increasing block size');
  return { block, blocks };
}

/**
 * Checks that a part of the table of offsets goes up, in steps that a block can have.
 * @param bytes entries of 8 bytes.
 * @param first index of the first of them.
 * @param before the entry in front of them; undefined at the start of the table.
 * @returns the last entry.
 */
export function checkOffsets(bytes: Uint8Array, first: number, before: bigint | undefined): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let last = before;
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const offset = view.getBigUint64(at);
    if (last !== undefined && offset < last) throw corrupt('offsets not monotonically increasing', first + at / 8);
    if (last !== undefined && offset - last > MAX_STORED)
      throw corrupt('invalid compressed block size', first + at / 8);
    last = offset;
  }
  return last ?? 0n;
}

function corrupt(what: string, index: number): BlockError {
  return invalidImage(`${what} at index ${index}, image file is corrupt`);
}
