/** Footer and dynamic disk header of VHD images (Microsoft, "Virtual Hard Disk Image Format Specification", 1.0). */
import { bigEndian, type Fields, utf8Bytes } from '../../base/bytes.ts';
import type { Geometry } from './geometry.ts';

/** Bytes in a footer. */
export const FOOTER_SIZE = 512;
/** Bytes in a dynamic disk header. */
export const HEADER_SIZE = 1024;
/** Seconds from 1970 to 2000, where the time stamps of the format begin. */
const EPOCH = 946684800;
/** A 64-bit number with all bits set: no offset. */
const NO_OFFSET = 0xffffffffffffffffn;

/** Disk types. */
export const DiskType = { fixed: 2, dynamic: 3, differencing: 4 } as const;

/** What a footer says. */
export interface Footer {
  /** Four characters that name the program which wrote the image. */
  readonly creator: string;
  /** Place of the dynamic disk header; rounded, and all ones for fixed disks. */
  readonly dataOffset: number;
  /** Size in bytes at creation and now. */
  readonly originalSize: number;
  readonly currentSize: number;
  readonly geometry: Geometry;
  readonly type: number;
  /** The stored checksum is right. */
  readonly intact: boolean;
}

/** The complement of the sum of all bytes but those of the checksum itself, which is at `at`. */
export function checksum(bytes: Uint8Array, at: number): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) if (i < at || i >= at + 4) sum += bytes[i] as number;
  return ~sum >>> 0;
}

/** Reads a footer whose cookie was recognised. */
export function parseFooter(bytes: Uint8Array): Footer {
  const fields = bigEndian(bytes);
  return {
    creator: String.fromCharCode(...fields.slice(28, 4)),
    dataOffset: fields.u64lossy(16),
    originalSize: fields.u64lossy(40),
    currentSize: fields.u64lossy(48),
    geometry: { cylinders: fields.u16(56), heads: fields.u8(58), sectors: fields.u8(59) },
    type: fields.u32(60),
    intact: checksum(bytes, 64) === fields.u32(64),
  };
}

/** What a new footer says. */
export interface NewFooter {
  readonly creator: string;
  /** Place of the dynamic disk header; undefined for fixed disks. */
  readonly dataOffset: number | undefined;
  readonly size: number;
  readonly geometry: Geometry;
  readonly type: number;
  /** Seconds since 1970. */
  readonly time: number;
  /** 16 bytes. */
  readonly id: Uint8Array;
}

/** A footer of 512 bytes. */
export function encodeFooter(footer: NewFooter): Uint8Array {
  const fields = bigEndian(new Uint8Array(FOOTER_SIZE));
  fields.set(0, utf8Bytes('conectix'));
  // Bit 1 is reserved and always set.
  fields.setU32(8, 2);
  fields.setU32(12, 0x10000);
  setOffset(fields, 16, footer.dataOffset);
  fields.setU32(24, Math.max(0, footer.time - EPOCH) % 4294967296);
  fields.set(28, utf8Bytes(footer.creator));
  // Version 5.3, and Windows as the creator's system: what Virtual PC 2007 writes.
  fields.setU32(32, 0x00050003);
  fields.set(36, utf8Bytes('Wi2k'));
  fields.setU64(40, footer.size);
  fields.setU64(48, footer.size);
  fields.setU16(56, footer.geometry.cylinders);
  fields.setU8(58, footer.geometry.heads);
  fields.setU8(59, footer.geometry.sectors);
  fields.setU32(60, footer.type);
  fields.set(68, footer.id);
  fields.setU32(64, checksum(fields.bytes, 64));
  return fields.bytes;
}

function setOffset(fields: Fields, at: number, offset: number | undefined): void {
  fields.setBig64(at, offset === undefined ? NO_OFFSET : BigInt(offset));
}

/** What a dynamic disk header says. */
export interface DynamicHeader {
  /** Place of the block allocation table. */
  readonly tableOffset: number;
  readonly maxTableEntries: number;
  readonly blockSize: number;
}

/** Reads a dynamic disk header; undefined if it does not begin with `cxsparse`. Its checksum is not looked at. */
export function parseDynamicHeader(bytes: Uint8Array): DynamicHeader | undefined {
  const fields = bigEndian(bytes);
  if (fields.latin1(0, 8) !== 'cxsparse') return undefined;
  return { tableOffset: fields.u64lossy(16), maxTableEntries: fields.u32(28), blockSize: fields.u32(32) };
}

/** A dynamic disk header of 1,024 bytes. */
export function encodeDynamicHeader(header: DynamicHeader): Uint8Array {
  const fields = bigEndian(new Uint8Array(HEADER_SIZE));
  fields.set(0, utf8Bytes('cxsparse'));
  setOffset(fields, 8, undefined);
  fields.setU64(16, header.tableOffset);
  fields.setU32(24, 0x10000);
  fields.setU32(28, header.maxTableEntries);
  fields.setU32(32, header.blockSize);
  fields.setU32(36, checksum(fields.bytes, 36));
  return fields.bytes;
}

/** Bytes of the sector bitmap in front of each block: one bit a sector, in whole sectors. */
export function bitmapSize(blockSize: number): number {
  return Math.ceil(blockSize / 512 / 8 / 512) * 512;
}
