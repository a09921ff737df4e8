/**
 * The header of qcow version 1, big endian (Mark McLoughlin, "The QCOW Image Format", section on version 1).
 * Tables: an L1 table of 8-byte offsets of L2 tables, whose 8-byte entries are offsets of clusters.
 */
import { bigEndian } from '../../base/bytes.ts';
import { BlockError, invalidImage, ioError, unsupported } from '../../base/error.ts';
import { alignDown, SECTOR } from '../../base/offset.ts';

/** Bytes of the header structure; a backing name follows it. */
export const HEADER_SIZE = 48;
/** Longest backing name in bytes. */
export const MAX_BACKING_NAME = 1023;
/** Most entries of an L1 table: the real tool refuses tables of 2 GiB. */
export const MAX_L1_ENTRIES = 0x0fffffff;

const MAGIC = 0x514649fb;
const VERSION = 1;
const MIN_CLUSTER_BITS = 9;
const MAX_CLUSTER_BITS = 16;
/** Base-2 logarithm of the bytes in a table entry. */
const ENTRY_BITS = 3;
const MAX_ENCRYPTION = 1;

const At = {
  magic: 0,
  version: 4,
  backingOffset: 8,
  backingLength: 16,
  modified: 20,
  virtualSize: 24,
  clusterBits: 32,
  l2Bits: 33,
  encryption: 36,
  l1Offset: 40,
} as const;

/** Fields of the header; offsets and sizes in bytes. */
export interface Header {
  readonly virtualSize: number;
  readonly clusterBits: number;
  /** Base-2 logarithm of the entries of an L2 table. */
  readonly l2Bits: number;
  /** 0: none, 1: AES. */
  readonly encryption: number;
  readonly l1Offset: number;
  /** Entries of the L1 table. */
  readonly l1Entries: number;
  /** 0: there is no backing image. */
  readonly backingOffset: number;
  readonly backingLength: number;
}

/** Entries of the L1 table for a guest size. */
export function l1EntriesFor(virtualSize: number, clusterBits: number, l2Bits: number): number {
  return Math.ceil(virtualSize / 2 ** (clusterBits + l2Bits));
}

/**
 * The header in the first 48 bytes of an image, checked in the real tool's order.
 * @throws BlockError with the real tool's wording.
 */
export function parseHeader(bytes: Uint8Array): Header {
  const fields = bigEndian(bytes);
  if (fields.u32(At.magic) !== MAGIC) throw new BlockError('wrong-format', 'Image not in qcow format');
  const version = fields.u32(At.version);
  if (version !== VERSION) {
    const hint = version === 2 || version === 3 ? { hint: "Try the 'qcow2' driver instead." } : {};
    throw unsupported(`qcow (v1) does not support qcow version ${version}`, hint);
  }
  const size = fields.u64lossy(At.virtualSize);
  if (size <= 1) throw invalidImage('Image size is too small (must be at least 2 bytes)');
  const clusterBits = fields.u8(At.clusterBits);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
    throw invalidImage('Cluster size must be between 512 and 64k');
  }
  const l2Bits = fields.u8(At.l2Bits);
  if (l2Bits < MIN_CLUSTER_BITS - ENTRY_BITS || l2Bits > MAX_CLUSTER_BITS - ENTRY_BITS) {
    throw invalidImage('L2 table size must be between 512 and 64k');
  }
  const encryption = fields.u32(At.encryption);
  if (encryption > MAX_ENCRYPTION) throw invalidImage('invalid encryption method in qcow header');
  const l1Entries = l1EntriesFor(size, clusterBits, l2Bits);
  if (l1Entries > MAX_L1_ENTRIES) throw invalidImage('Image too large');
  const l1Offset = fields.u64lossy(At.l1Offset);
  const backingOffset = fields.u64lossy(At.backingOffset);
  const backingLength = fields.u32(At.backingLength);
  if (l1Offset + l1Entries * 8 >= 2 ** 63) throw ioError();
  if (backingOffset !== 0 && backingLength > MAX_BACKING_NAME) throw invalidImage('Backing file name too long');
  if (backingOffset + backingLength >= 2 ** 63) throw ioError();
  return {
    virtualSize: alignDown(size, SECTOR),
    clusterBits,
    l2Bits,
    encryption,
    l1Offset,
    l1Entries,
    backingOffset,
    backingLength,
  };
}

/** The 48 bytes of a new image's header. */
export function encodeHeader(header: Header): Uint8Array {
  const fields = bigEndian(new Uint8Array(HEADER_SIZE));
  fields.setU32(At.magic, MAGIC);
  fields.setU32(At.version, VERSION);
  fields.setU64(At.backingOffset, header.backingOffset);
  fields.setU32(At.backingLength, header.backingLength);
  fields.setU64(At.virtualSize, header.virtualSize);
  fields.setU8(At.clusterBits, header.clusterBits);
  fields.setU8(At.l2Bits, header.l2Bits);
  fields.setU32(At.encryption, header.encryption);
  fields.setU64(At.l1Offset, header.l1Offset);
  return fields.bytes;
}
