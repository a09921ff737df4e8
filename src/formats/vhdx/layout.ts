/** Constants of the format. Section numbers are those of [MS-VHDX]. */
import { BlockError, posixError } from '../../base/error.ts';
import { MiB, TiB } from '../../base/offset.ts';

/** Structures other than blocks begin at multiples of it and are logged in units of it. */
export const LOG_SECTOR = 4096;
/** Places of the two headers (2.2.2). */
export const HEADER_OFFSETS: readonly [number, number] = [65536, 131072];
/** Bytes in a header. */
export const HEADER_SIZE = 4096;
/** Places of the two region tables (2.2.3). */
export const REGION_TABLE_OFFSETS: readonly [number, number] = [196608, 262144];
/** Bytes in a region table. */
export const REGION_TABLE_SIZE = 65536;
/** Everything else begins behind the first mebibyte, at multiples of a mebibyte. */
export const SECTION: number = MiB;
/** Smallest block in bytes (2.6.2.1). */
export const MIN_BLOCK_SIZE: number = MiB;
/** Largest block in bytes. */
export const MAX_BLOCK_SIZE: number = 256 * MiB;
/** Largest disk in bytes (2.6.2.2). */
export const MAX_VIRTUAL_SIZE: number = 64 * TiB;
/** No image file is larger: all blocks, and room for everything else. */
export const MAX_FILE_SIZE: number = 72 * TiB;
/** Most entries of a region or metadata table. */
export const MAX_TABLE_ENTRIES = 2047;

/** GUIDs as they are stored: the first three groups little endian. */
export const Guid = {
  zero: '00000000000000000000000000000000',
  bat: '6677c22d23f600429d64115e9bfd4a08',
  metadata: '06a27c8b90479a4bb8fe575f050f886e',
  fileParameters: '3767a1ca36fa434db3b633f0aa44e76b',
  virtualDiskSize: '2442a52f1bcd7648b2115dbed83bf4b8',
  page83: 'ab12cabee6b2234593efc309e000c746',
  logicalSectorSize: '1dbf41816fa90947ba47f233a8faab5f',
  physicalSectorSize: 'c748a3cd5d4471449cc9e9885251c556',
  parentLocator: '2d5fd3a80bb34d45abf7d3d84834ab0c',
} as const;

/** States of a payload block (2.5.1.1). */
export const BlockState = {
  notPresent: 0,
  undefinedContent: 1,
  zero: 2,
  unmapped: 3,
  /** Unmapped in drafts of the format. */
  oldUnmapped: 5,
  fullyPresent: 6,
  partiallyPresent: 7,
} as const;

/** True if a block of that state reads as zeroes. */
export function readsAsZeroes(state: number): boolean {
  return state <= BlockState.unmapped || state === BlockState.oldUnmapped;
}

/** Bytes of a GUID written as 32 hexadecimal digits. */
export function guidBytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** 16 bytes as 32 hexadecimal digits. */
export function guidText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A random GUID (version 4), as it is stored. */
export function newGuid(random: (into: Uint8Array) => void): Uint8Array {
  const id = new Uint8Array(16);
  random(id);
  id[7] = ((id[7] as number) & 0x0f) | 0x40;
  id[8] = ((id[8] as number) & 0x3f) | 0x80;
  return id;
}

/**
 * Entries of a block allocation table: one for each block, and one for a sector bitmap after each `ratio` blocks unless
 * the last block comes before it (2.5). A disk of size 0 has the table that the real tool gives it, whose count of the
 * bitmaps wraps around 32 bits.
 */
export function tableEntries(blocks: number, ratio: number): number {
  return blocks + Math.floor((blocks === 0 ? 0xffffffff : blocks - 1) / ratio);
}

/** Blocks whose sectors are described by one sector bitmap block of a mebibyte. */
export function chunkRatio(blockSize: number, sectorSize: number): number {
  return (8388608 * sectorSize) / blockSize;
}

/**
 * The error for an image that cannot be opened. The real tool says no more than the POSIX text; the reason is the
 * error's cause.
 */
export function refuse(
  filename: string,
  kind: 'invalid-image' | 'unsupported' | 'too-large' | 'io',
  reason: string,
): BlockError {
  return posixError(kind, `Could not open '${filename}'`, { cause: new BlockError(kind, reason) });
}
