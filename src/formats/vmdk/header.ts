/**
 * Headers of hosted sparse extents ("Virtual Disk Format 5.0", Hosted Sparse Extents) and of ESX Server sparse extents
 * ("Virtual Disk Format 1.1"). All numbers are little endian; offsets on disk count sectors.
 */
import { littleEndian } from '../../base/bytes.ts';
import { BlockError, invalidImage, unsupported } from '../../base/error.ts';
import { alignUp, divideUp, SECTOR } from '../../base/offset.ts';

/** Bytes of a header sector. */
export const HEADER_SIZE = 512;
/** Sectors of a new embedded descriptor. */
export const DESCRIPTOR_SECTORS = 20;
/** Place of an embedded descriptor in bytes, whatever the header says. */
export const DESCRIPTOR_OFFSET = 512;
/** Entries of a grain table, also the most that a header may ask for. */
export const TABLE_ENTRIES = 512;
/** Sectors in a grain of a new image. */
const GRAIN_SECTORS = 128;
/** Most entries of a grain directory. */
const MAX_DIRECTORY = 33554432;
/** Most sectors in a grain. */
const MAX_GRAIN = 0x200000;
/** Entries of a grain table in an ESX Server sparse extent. */
const COWD_TABLE_ENTRIES = 4096;

/** Bits of the header's flags. */
const Flags = {
  newlineTest: 1,
  redundantTable: 2,
  zeroedGrain: 4,
  compressed: 0x10000,
  markers: 0x20000,
} as const;

/** Value of `compressAlgorithm` for deflate. */
const DEFLATE = 1;
/** `gdOffset` of an extent whose real header is at its end. */
const AT_END = 0xffffffffffffffffn;

/** What a header says, in bytes where the disk has sectors. */
export interface SparseHeader {
  readonly version: number;
  /** Bits of {@link Flags}. */
  readonly flags: number;
  /** Guest bytes. */
  readonly capacity: number;
  readonly grainBytes: number;
  /** Entries of one grain table. */
  readonly tableEntries: number;
  readonly directoryEntries: number;
  /** Place of the grain directory. */
  readonly directoryOffset: number;
  /** Place of the second grain directory, if the extent has two. */
  readonly redundantOffset: number | undefined;
  /** Bytes of metadata before the first grain. */
  readonly overhead: number;
  /** The directory's place is in the footer, which takes the place of this header. */
  readonly footer: boolean;
  readonly compressed: boolean;
  /** A marker is in front of every compressed grain. */
  readonly markers: boolean;
  /** A table entry of 1 stands for a grain of zeroes. */
  readonly zeroedGrains: boolean;
}

/** True if `bytes` begin with the four letters. */
export function hasMagic(bytes: Uint8Array, magic: 'KDMV' | 'COWD'): boolean {
  return String.fromCharCode(...bytes.subarray(0, 4)) === magic;
}

/** `capacity` of a header, in sectors; 0 says that the file is only a descriptor in a sparse extent's clothes. */
export function capacityOf(bytes: Uint8Array): number {
  return littleEndian(bytes).u64lossy(12);
}

/** True if the header refers to a footer. */
export function refersToFooter(bytes: Uint8Array): boolean {
  return littleEndian(bytes).big64(56) === AT_END;
}

/**
 * The last three sectors of a streamOptimized extent: footer marker, footer, end-of-stream marker.
 * @returns the footer's sector; undefined if they are something else.
 */
export function footerOf(end: Uint8Array): Uint8Array | undefined {
  const fields = littleEndian(end);
  const isFooterMarker = fields.u32(8) === 0 && fields.u32(12) === Marker.footer;
  const endOfStream = fields.slice(2 * SECTOR, 16).every((byte) => byte === 0);
  const footer = fields.slice(SECTOR, SECTOR);
  return isFooterMarker && endOfStream && hasMagic(footer, 'KDMV') ? footer : undefined;
}

/**
 * The header of a hosted sparse extent.
 * @param fileSize length of the extent's file in bytes.
 * @throws BlockError with the real tool's wording if it cannot be used.
 */
export function parseSparseHeader(bytes: Uint8Array, fileSize: number): SparseHeader {
  const fields = littleEndian(bytes);
  const version = fields.u32(4);
  if (version > 3) {
    throw unsupported(`Unsupported VMDK version ${version}`);
  }
  const flags = fields.u32(8);
  const tableEntries = fields.u32(44);
  // Grains are counted in 32 bits here, as the real tool does: what does not fit is refused either way.
  const grain = fields.u32(20);
  if (tableEntries > TABLE_ENTRIES) throw invalidImage('L2 table size too big');
  if (grain === 0 || tableEntries === 0) throw invalidImage('L1 entry size is invalid');
  const overhead = fields.u64lossy(64) * SECTOR;
  if (overhead > fileSize) {
    // Shown as the real tool counts, in 64 bits.
    const least = BigInt.asIntN(64, fields.big64(64) * BigInt(SECTOR));
    throw invalidImage(`File truncated, expecting at least ${least} bytes`);
  }
  const capacity = fields.u64lossy(12);
  const directoryEntries = divideUp(capacity, grain * tableEntries);
  if (directoryEntries > MAX_DIRECTORY) throw invalidImage('L1 size too big');
  if (grain > MAX_GRAIN || fields.u32(24) !== 0) throw invalidImage('Invalid granularity, image may be corrupt');
  const redundant = fields.u64lossy(48) * SECTOR;
  return {
    version,
    flags,
    capacity: capacity * SECTOR,
    grainBytes: grain * SECTOR,
    tableEntries,
    directoryEntries,
    directoryOffset: fields.u64lossy(56) * SECTOR,
    redundantOffset: (flags & Flags.redundantTable) !== 0 && redundant > 0 ? redundant : undefined,
    overhead,
    footer: refersToFooter(bytes),
    compressed: fields.u16(77) === DEFLATE,
    markers: (flags & Flags.markers) !== 0,
    zeroedGrains: (flags & Flags.zeroedGrain) !== 0,
  };
}

/** Header of an ESX Server sparse extent (`COWD`). */
export function parseCowdHeader(bytes: Uint8Array): SparseHeader {
  const fields = littleEndian(bytes);
  const grain = fields.u32(16);
  if (grain > MAX_GRAIN) throw invalidImage('Invalid granularity, image may be corrupt');
  // The real tool divides by it.
  if (grain === 0) throw invalidImage('Invalid argument');
  const directoryEntries = fields.u32(24);
  if (directoryEntries > MAX_DIRECTORY) throw invalidImage('L1 size too big');
  return {
    version: fields.u32(4),
    flags: 0,
    capacity: fields.u32(12) * SECTOR,
    grainBytes: grain * SECTOR,
    tableEntries: COWD_TABLE_ENTRIES,
    directoryEntries,
    directoryOffset: fields.u32(20) * SECTOR,
    redundantOffset: undefined,
    overhead: 0,
    footer: false,
    compressed: false,
    markers: false,
    zeroedGrains: false,
  };
}

/** How a new sparse extent is laid out, in bytes. */
export interface SparseLayout {
  readonly capacity: number;
  readonly directoryEntries: number;
  /** Bytes of a directory, whole sectors. */
  readonly directoryBytes: number;
  /** Bytes of all tables that belong to one directory. */
  readonly tableBytes: number;
  readonly redundantOffset: number;
  readonly directoryOffset: number;
  /** Bytes before the first grain; the length of the new file. */
  readonly overhead: number;
}

/**
 * Places of header, descriptor, and the two directories with their tables behind each other.
 * @param capacity guest bytes, whole sectors.
 * @throws BlockError `too-large` if a directory cannot be that long.
 */
export function layoutOf(capacity: number): SparseLayout {
  const grainBytes = GRAIN_SECTORS * SECTOR;
  const directoryEntries = divideUp(divideUp(capacity, grainBytes), TABLE_ENTRIES);
  if (directoryEntries > MAX_DIRECTORY) throw new BlockError('too-large', 'File too large');
  const directoryBytes = alignUp(directoryEntries * 4, SECTOR);
  const tableBytes = directoryEntries * TABLE_ENTRIES * 4;
  const redundantOffset = DESCRIPTOR_OFFSET + DESCRIPTOR_SECTORS * SECTOR;
  const directoryOffset = redundantOffset + directoryBytes + tableBytes;
  const overhead = alignUp(directoryOffset + directoryBytes + tableBytes, grainBytes);
  return { capacity, directoryEntries, directoryBytes, tableBytes, redundantOffset, directoryOffset, overhead };
}

/** The header of a new sparse extent. */
export function encodeHeader(
  layout: SparseLayout,
  kind: { readonly compressed: boolean; readonly zeroedGrains: boolean },
): Uint8Array {
  const fields = littleEndian(new Uint8Array(HEADER_SIZE));
  fields.set(0, new TextEncoder().encode('KDMV'));
  fields.setU32(4, kind.compressed ? 3 : kind.zeroedGrains ? 2 : 1);
  fields.setU32(
    8,
    Flags.newlineTest +
      Flags.redundantTable +
      (kind.compressed ? Flags.compressed + Flags.markers : 0) +
      (kind.zeroedGrains ? Flags.zeroedGrain : 0),
  );
  fields.setU64(12, layout.capacity / SECTOR);
  fields.setU64(20, GRAIN_SECTORS);
  fields.setU64(28, DESCRIPTOR_OFFSET / SECTOR);
  fields.setU64(36, DESCRIPTOR_SECTORS);
  fields.setU32(44, TABLE_ENTRIES);
  fields.setU64(48, layout.redundantOffset / SECTOR);
  fields.setU64(56, layout.directoryOffset / SECTOR);
  fields.setU64(64, layout.overhead / SECTOR);
  // Any conversion of line ends that a transfer made shows here.
  fields.set(73, Uint8Array.of(0x0a, 0x20, 0x0d, 0x0a));
  fields.setU16(77, kind.compressed ? DEFLATE : 0);
  return fields.bytes;
}

/**
 * A copy of a header that names another grain directory and no second one.
 * @param offset place of the directory in bytes; undefined: it is named by the footer.
 */
export function withDirectory(header: Uint8Array, offset: number | undefined): Uint8Array {
  const fields = littleEndian(header.slice());
  const flags = fields.u32(8);
  fields.setU32(8, (flags & Flags.redundantTable) === 0 ? flags : flags - Flags.redundantTable);
  fields.setU64(48, 0);
  if (offset === undefined) fields.setBig64(56, AT_END);
  else fields.setU64(56, offset / SECTOR);
  return fields.bytes;
}

/** Types of metadata markers. */
export const Marker = { endOfStream: 0, grainTable: 1, grainDirectory: 2, footer: 3 } as const;

/** A marker's sector. @param sectors length of the metadata that follows. */
export function encodeMarker(type: number, sectors: number): Uint8Array {
  const fields = littleEndian(new Uint8Array(SECTOR));
  fields.setU64(0, sectors);
  fields.setU32(12, type);
  return fields.bytes;
}

/** Bytes of a marker in front of a compressed grain. */
export const GRAIN_MARKER = 12;
