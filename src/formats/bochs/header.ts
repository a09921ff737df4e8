/** The header of growing Bochs disks ("redolog"), little endian. Fields: Bochs User Manual, "Disk image formats". */
import { littleEndian } from '../../base/bytes.ts';
import { BlockError, invalidImage } from '../../base/error.ts';
import { divideUp, isPowerOfTwo, SECTOR } from '../../base/offset.ts';
import { isBochs } from './probe.ts';

/** Bytes of the header that are looked at. */
export const HEADER_SIZE = 512;
/** Catalog entry of an extent that was never written. */
export const UNALLOCATED = 0xffffffff;
/** Entries of the catalog at most: 4 MiB of them, enough for disks of 8 TiB. */
const MAX_CATALOG = 0x100000;
/** Guest bytes in an extent at most. */
const MAX_EXTENT = 0x800000;

const At = { version: 64, headerSize: 68, catalog: 72, bitmap: 76, extent: 80 } as const;
/** Version 1 has no reserved field in front of the disk size. */
const DISK_SIZE_AT = { 0x10000: 84, 0x20000: 88 } as const;

/** A header that was found to be usable. */
export interface Header {
  /** Guest size in bytes. */
  readonly virtualSize: number;
  /** Guest bytes in an extent. */
  readonly extent: number;
  /** Entries of the catalog. */
  readonly entries: number;
  /** Where the catalog starts. */
  readonly catalogOffset: number;
  /** Where the first extent starts, with its bitmap in front. */
  readonly dataOffset: number;
  /** Bytes that the bitmap of an extent takes in the file. */
  readonly bitmapBytes: number;
}

/**
 * The header in the first 512 bytes of an image.
 * @throws BlockError with the real tool's wording.
 */
export function parseHeader(bytes: Uint8Array): Header {
  if (!isBochs(bytes)) throw new BlockError('wrong-format', 'Image not in Bochs format');
  const fields = littleEndian(bytes);
  const version = fields.u32(At.version) as keyof typeof DISK_SIZE_AT;
  const diskSize = fields.big64(DISK_SIZE_AT[version]);
  const entries = fields.u32(At.catalog);
  const extent = fields.u32(At.extent);
  if (entries > MAX_CATALOG) throw new BlockError('limit', 'Catalog size is too large');
  if (extent < SECTOR) throw invalidImage(`Extent size must be at least ${SECTOR}`);
  if (!isPowerOfTwo(extent)) throw invalidImage(`Extent size ${extent} is not a power of two`);
  if (extent > MAX_EXTENT) throw invalidImage(`Extent size ${extent} is too large`);
  const sectors = diskSize / BigInt(SECTOR);
  if (BigInt(entries) * BigInt(extent / SECTOR) < sectors) {
    throw invalidImage('Catalog size is too small for this disk size');
  }
  const catalogOffset = fields.u32(At.headerSize);
  return {
    virtualSize: Number(sectors) * SECTOR,
    extent,
    entries,
    catalogOffset,
    dataOffset: catalogOffset + entries * 4,
    // A bitmap of no bytes counts as one of 2^32, as in the real tool: nothing can be there.
    bitmapBytes: divideUp(fields.u32(At.bitmap) || 2 ** 32, SECTOR) * SECTOR,
  };
}
