/** The QED header, little endian (QEMU's published QED specification, section "Header"). */
import { littleEndian, utf8Bytes } from '../../base/bytes.ts';
import { BlockError, invalidImage, unsupported } from '../../base/error.ts';
import { isPowerOfTwo, SECTOR } from '../../base/offset.ts';
import type { BackingReference } from '../../block/capabilities.ts';

/** Bytes of the header structure. */
export const HEADER_SIZE = 64;
/** Longest backing name that the real tool reads, in bytes. */
export const MAX_BACKING_NAME = 1023;

/** Feature bits that a program has to know. */
export const Feature = {
  backing: 0x1,
  /** Tables may not be consistent: check before use. */
  needCheck: 0x2,
  /** The backing image is raw whatever it looks like. */
  rawBacking: 0x4,
} as const;
const KNOWN_FEATURES = 0x7n;

const MAGIC = 0x00444551;
const MIN_CLUSTER = 4096;
const MAX_CLUSTER = 67108864;
const MAX_TABLE_CLUSTERS = 16;

const At = {
  magic: 0,
  clusterSize: 4,
  tableSize: 8,
  headerSize: 12,
  features: 16,
  compatible: 24,
  autoclear: 32,
  l1Offset: 40,
  virtualSize: 48,
  backingOffset: 56,
  backingLength: 60,
} as const;

/** Fields of the header; sizes and offsets in bytes. */
export interface Header {
  readonly clusterSize: number;
  /** Clusters of the L1 table and of each L2 table. */
  readonly tableClusters: number;
  /** Clusters of the header. */
  readonly headerClusters: number;
  /** Bits of {@link Feature}. */
  readonly features: number;
  readonly compatible: bigint;
  readonly autoclear: bigint;
  readonly l1Offset: number;
  readonly virtualSize: number;
  readonly backingOffset: number;
  readonly backingLength: number;
}

/** True for a cluster size that the format can have. */
export function isClusterSize(size: number): boolean {
  return size >= MIN_CLUSTER && size <= MAX_CLUSTER && isPowerOfTwo(size);
}

/** True for a table size in clusters that the format can have. */
export function isTableSize(clusters: number): boolean {
  return clusters >= 1 && clusters <= MAX_TABLE_CLUSTERS && isPowerOfTwo(clusters);
}

/** Message of a cluster size out of range. */
export const CLUSTER_RANGE: string = `[${MIN_CLUSTER}, ${MAX_CLUSTER}]`;
/** Message of a table size out of range. */
export const TABLE_RANGE: string = `[1, ${MAX_TABLE_CLUSTERS}]`;

/**
 * Largest guest size in bytes: clusters in one L2 table, times L2 tables. The real tool computes it in 64 bits; where
 * that overflows the limit is 0, and with it the format has no images of that cluster size.
 */
export function maxVirtualSize(clusterSize: number, tableClusters: number): number {
  const entries = (tableClusters * clusterSize) / 8;
  const most = entries * entries * clusterSize;
  return most < 2 ** 64 ? most : 0;
}

/** True if the format can have that guest size. */
export function isVirtualSize(size: number, clusterSize: number, tableClusters: number): boolean {
  return size % SECTOR === 0 && size <= maxVirtualSize(clusterSize, tableClusters);
}

function invalid(what: string): BlockError {
  return invalidImage(`QED ${what} is invalid`);
}

/**
 * The header in the first bytes of an image, checked in the real tool's order.
 * @param fileSize bytes of the file, rounded up to sectors.
 * @throws BlockError with the real tool's wording.
 */
export function parseHeader(bytes: Uint8Array, fileSize: number): Header {
  const fields = littleEndian(bytes);
  if (fields.u32(At.magic) !== MAGIC) throw new BlockError('wrong-format', 'Image not in QED format');
  const features = fields.big64(At.features);
  const unknown = features & ~KNOWN_FEATURES;
  if (unknown !== 0n) throw unsupported(`Unsupported QED features: ${unknown.toString(16)}`);
  const clusterSize = fields.u32(At.clusterSize);
  if (!isClusterSize(clusterSize)) throw invalid('cluster size');
  const tableClusters = fields.u32(At.tableSize);
  if (!isTableSize(tableClusters)) throw invalid('table size');
  const virtualSize = fields.u64lossy(At.virtualSize);
  if (!isVirtualSize(virtualSize, clusterSize, tableClusters)) throw invalid('image size');
  const header: Header = {
    clusterSize,
    tableClusters,
    headerClusters: fields.u32(At.headerSize),
    features: Number(features),
    compatible: fields.big64(At.compatible),
    autoclear: fields.big64(At.autoclear),
    l1Offset: fields.u64lossy(At.l1Offset),
    virtualSize,
    backingOffset: fields.u32(At.backingOffset),
    backingLength: fields.u32(At.backingLength),
  };
  // A table of one cluster is refused, as by the real tool, although the specification allows it.
  if (tableClusters === 1 || !isTableOffset(header, header.l1Offset, fileSize)) throw invalid('table offset');
  if ((header.features & Feature.backing) !== 0) {
    const end = header.backingOffset + header.backingLength;
    if (end > header.headerClusters * clusterSize) throw invalid('backing filename offset');
  }
  return header;
}

/** True if a data cluster can be at `offset`: aligned, behind the header, inside the file. */
export function isClusterOffset(header: Header, offset: number, fileSize: number): boolean {
  const { clusterSize, headerClusters } = header;
  return offset % clusterSize === 0 && offset >= headerClusters * clusterSize && offset + clusterSize <= fileSize;
}

/** True if a table can be at `offset`. */
export function isTableOffset(header: Header, offset: number, fileSize: number): boolean {
  const last = offset + (header.tableClusters - 1) * header.clusterSize;
  return isClusterOffset(header, offset, fileSize) && isClusterOffset(header, last, fileSize);
}

/** The 64 bytes of a header. */
export function encodeHeader(header: Header): Uint8Array {
  const fields = littleEndian(new Uint8Array(HEADER_SIZE));
  fields.setU32(At.magic, MAGIC);
  fields.setU32(At.clusterSize, header.clusterSize);
  fields.setU32(At.tableSize, header.tableClusters);
  fields.setU32(At.headerSize, header.headerClusters);
  fields.setU64(At.features, header.features);
  fields.setBig64(At.compatible, header.compatible);
  fields.setBig64(At.autoclear, header.autoclear);
  fields.setU64(At.l1Offset, header.l1Offset);
  fields.setU64(At.virtualSize, header.virtualSize);
  fields.setU32(At.backingOffset, header.backingOffset);
  fields.setU32(At.backingLength, header.backingLength);
  return fields.bytes;
}

/** Header fields for another backing image, or none; the name is stored right behind the header structure. */
export function backingFields(
  backing: BackingReference | undefined,
): Pick<Header, 'features' | 'backingOffset' | 'backingLength'> {
  const name = utf8Bytes(backing?.file ?? '');
  const raw = backing?.format === 'raw' ? Feature.rawBacking : 0;
  return {
    features: backing ? Feature.backing | raw : 0,
    backingOffset: HEADER_SIZE,
    backingLength: name.length,
  };
}
