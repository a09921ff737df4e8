/** Parsing and checking a header, which may say anything. No I/O. */
import { bigEndian, type Fields } from '../../../base/bytes.ts';
import { BlockError, invalidImage, unsupported } from '../../../base/error.ts';
import { alignUp } from '../../../base/offset.ts';
import { textOf } from '../../../base/text.ts';
import { MAX_BITMAPS, MAX_DIRECTORY } from '../bitmaps/directory.ts';
import { checkIncompatible } from './features.ts';
import { type BitmapsHeader, type Header, type HeaderExtension, l1EntriesFor, wraps } from './header.ts';
import * as layout from './layout.ts';
import { Autoclear, Extension, Incompatible } from './layout.ts';

/** Bytes that {@link parseHeader} wants to see at least: then it knows the cluster size. */
export const HEADER_PROBE = 4096;

/**
 * Cluster size of an image from its first bytes.
 * @throws BlockError with the real tool's message if this is not a qcow2 header.
 */
export function clusterSizeOf(bytes: Uint8Array): number {
  const fields = bigEndian(bytes);
  if (fields.u32(0) !== layout.MAGIC) throw new BlockError('wrong-format', 'Image is not in qcow2 format');
  const version = fields.u32(4);
  if (version < 2 || version > 3) throw unsupported(`Unsupported qcow2 version ${version}`);
  const bits = fields.u32(20);
  if (bits < layout.MIN_CLUSTER_BITS || bits > layout.MAX_CLUSTER_BITS) {
    throw invalidImage(`Unsupported cluster size: 2^${bits}`);
  }
  return 2 ** bits;
}

/** What a header is read for. */
interface HeaderUse {
  /** A check looks at the place of the snapshot table by itself, and can do without refcounts. */
  readonly forCheck?: boolean;
  /** The image will be changed. */
  readonly forChange?: boolean;
}

/**
 * Parses the header. What is wrong is told in the order of the real tool.
 * @param bytes the first cluster of the image.
 */
export function parseHeader(bytes: Uint8Array, { forCheck = false, forChange = false }: HeaderUse = {}): Header {
  const clusterSize = clusterSizeOf(bytes);
  const fields = bigEndian(bytes);
  const version = fields.u32(4) as 2 | 3;
  const headerLength = version === 2 ? layout.V2_HEADER : fields.u32(100);
  if (version === 3 && headerLength < layout.V3_HEADER) throw invalidImage('qcow2 header too short');
  if (headerLength > clusterSize) throw invalidImage('qcow2 header exceeds cluster size');
  const backingOffset = fields.u64lossy(8);
  if (backingOffset > clusterSize) throw invalidImage('Invalid backing file offset');
  const header = readFixed(fields, version, headerLength);
  const end = backingOffset === 0 ? clusterSize : backingOffset;
  checkCompression(header);
  if (version === 3) checkIncompatible(fields.big64(72), () => findFeatureNames(fields, headerLength, end));
  if ((header.incompatible & Incompatible.corrupt) !== 0 && forChange && !forCheck) {
    throw new BlockError('permission-denied', 'qcow2: Image is corrupt; cannot be opened read/write');
  }
  checkFixed(fields, header, forCheck);
  checkReadable(header);
  if (header.cryptMethod > 2) {
    throw unsupported(`Unsupported encryption method ${header.cryptMethod | 0}`);
  }
  readExtensions(fields, header, end);
  if (backingOffset !== 0) {
    const length = fields.u32(16);
    if (length > Math.min(layout.MAX_BACKING_NAME, clusterSize - backingOffset)) {
      throw invalidImage('Backing file name too long');
    }
    // A name without characters names nothing.
    if (length > 0) header.backingFile = fields.utf8(backingOffset, length);
  }
  if (wraps(header.virtualSize, header)) {
    throw new BlockError('too-large', 'Could not refresh total sector count: File too large');
  }
  return header;
}

function readFixed(fields: Fields, version: 2 | 3, headerLength: number): Header {
  const v3 = version === 3;
  const written = Math.min(headerLength, layout.WRITTEN_HEADER);
  return {
    version,
    clusterBits: fields.u32(20),
    virtualSize: fields.u64lossy(24),
    cryptMethod: fields.u32(32),
    l1Entries: fields.u32(36),
    l1Offset: fields.u64lossy(40),
    reftableOffset: fields.u64lossy(48),
    reftableClusters: fields.u32(56),
    snapshotCount: fields.u32(60),
    snapshotsOffset: fields.u64lossy(64),
    incompatible: v3 ? fields.halves(72)[1] : 0,
    compatible: v3 ? fields.big64(80) : 0n,
    autoclear: v3 ? fields.big64(88) : 0n,
    refcountOrder: v3 ? fields.u32(96) : 4,
    compressionType: v3 && headerLength > layout.V3_HEADER ? fields.u8(104) : 0,
    headerLength,
    unknownFields: fields.slice(written, headerLength - written).slice(),
    extensions: [],
  };
}

/** The extensions from the end of the fixed part on. */
function* extensionsOf(fields: Fields, start: number, end: number): Generator<HeaderExtension, void, undefined> {
  for (let at = start; at < end; ) {
    const [type, length] = at + 8 > fields.length ? [Extension.end, 0] : fields.halves(at);
    at += 8;
    if (at > end || length > end - at) throw invalidImage('Header extension too large');
    if (type === Extension.end) return;
    yield { type, data: fields.slice(at, length).slice() };
    at = alignUp(at + length, 8);
  }
}

function readExtensions(fields: Fields, header: Header, end: number): void {
  for (const { type, data } of extensionsOf(fields, header.headerLength, end)) readExtension(data, type, header);
}

/** The table of feature names alone, of a header whose other extensions may be damaged. */
function findFeatureNames(fields: Fields, start: number, end: number): Uint8Array | undefined {
  try {
    for (const { type, data } of extensionsOf(fields, start, end)) if (type === Extension.featureNames) return data;
  } catch {
    // The features are what has to be told.
  }
  return undefined;
}

function readExtension(data: Uint8Array, type: number, header: Header): void {
  const text = (): string => {
    const end = data.indexOf(0);
    return textOf(end < 0 ? data : data.subarray(0, end));
  };
  switch (type) {
    case Extension.backingFormat:
      if (data.length >= 16) throw invalidImage(`ERROR: ext_backing_format: len=${data.length} too large (>=16)`);
      // An empty name says nothing, so the backing file is probed.
      if (text() !== '') header.backingFormat = text();
      return;
    case Extension.featureNames:
      header.featureNames = data;
      return;
    case Extension.dataFile:
      header.dataFileName = text();
      return;
    case Extension.crypto: {
      if (header.cryptMethod !== 2) {
        throw invalidImage('CRYPTO header extension only expected with LUKS encryption method');
      }
      if (data.length !== 16) {
        throw invalidImage(`CRYPTO header extension size ${data.length}, but expected size 16`);
      }
      const crypto = bigEndian(data);
      header.crypto = { offset: crypto.u64lossy(0), length: crypto.u64lossy(8) };
      return;
    }
    case Extension.bitmaps: {
      header.bitmaps = readBitmaps(data, header);
      return;
    }
    default:
      header.extensions.push({ type, data });
  }
}

/** The bitmaps extension; what it says counts only while its autoclear bit is set. */
function readBitmaps(data: Uint8Array, header: Header): BitmapsHeader {
  if (data.length !== 24) throw invalidImage('bitmaps_ext: Invalid extension length');
  const fields = bigEndian(data);
  const bitmaps = { count: fields.u32(0), size: fields.u64lossy(8), offset: fields.u64lossy(16) };
  if ((header.autoclear & BigInt(Autoclear.bitmaps)) === 0n) return bitmaps;
  const { count, size, offset } = bitmaps;
  if (fields.u32(4) !== 0) throw invalidImage('bitmaps_ext: Reserved field is not zero');
  if (count > MAX_BITMAPS) {
    throw invalidImage(
      `bitmaps_ext: Image has ${count} bitmaps, exceeding the QEMU supported maximum of ${MAX_BITMAPS}`,
    );
  }
  if (count === 0) throw invalidImage('found bitmaps extension with zero bitmaps');
  if (offset % 2 ** header.clusterBits !== 0 || offset >= 2 ** 63) {
    throw invalidImage('bitmaps_ext: invalid bitmap directory offset');
  }
  if (size > MAX_DIRECTORY) {
    const shown = fields.big64(8);
    throw invalidImage(
      `bitmaps_ext: bitmap directory size (${shown}) exceeds the maximum supported size (${MAX_DIRECTORY})`,
    );
  }
  if (size === 0) throw invalidImage('Requested bitmap directory size is zero');
  return bitmaps;
}

function checkFixed(fields: Fields, header: Header, forCheck: boolean): void {
  const clusterSize = 2 ** header.clusterBits;
  if (header.refcountOrder > 6) throw invalidImage('Reference count entry width too large; may not exceed 64 bits');
  if ((header.incompatible & Incompatible.extendedL2) !== 0 && clusterSize < layout.MIN_EXTENDED_CLUSTER) {
    throw invalidImage('Extended L2 entries are only supported with cluster sizes of at least 16384 bytes');
  }
  if (header.reftableClusters === 0 && !forCheck) throw invalidImage('Image does not contain a reference count table');
  checkTable(
    fields,
    48,
    header.reftableClusters,
    clusterSize,
    layout.MAX_REFTABLE_BYTES,
    clusterSize,
    'Reference count table',
  );
  if (!forCheck) {
    checkTable(fields, 64, header.snapshotCount, 40, layout.MAX_SNAPSHOTS * 40, clusterSize, 'Snapshot table');
  }
  checkTable(fields, 40, header.l1Entries, 8, layout.MAX_L1_BYTES, clusterSize, 'Active L1 table');
  const entries = wraps(header.virtualSize, header) ? 0 : l1EntriesFor(header.virtualSize, header);
  if (entries > 2147483647) throw new BlockError('too-large', 'Image is too big');
  if (header.l1Entries < entries) throw invalidImage('L1 table is too small');
  header.virtualSize -= header.virtualSize % 512;
}

function checkCompression(header: Header): void {
  if (header.compressionType > 1) {
    throw unsupported(`qcow2: unknown compression type: ${header.compressionType}`);
  }
  const bit = (header.incompatible & Incompatible.compression) !== 0;
  if (header.compressionType !== 0 && !bit) {
    throw invalidImage('qcow2: Compression type incompatible feature bit must be set');
  }
  if (header.compressionType === 0 && bit) {
    throw invalidImage('qcow2: Compression type incompatible feature bit must not be set');
  }
}

/** A table's size and place: not too large, aligned to clusters, its end below 2^63. */
function checkTable(
  fields: Fields,
  at: number,
  entries: number,
  entrySize: number,
  limit: number,
  clusterSize: number,
  name: string,
): void {
  if (entries * entrySize > limit) throw new BlockError('too-large', `${name} too large`);
  const offset = fields.big64(at);
  if (offset + BigInt(entries * entrySize) >= 2n ** 63n || offset % BigInt(clusterSize) !== 0n) {
    throw invalidImage(`${name} offset invalid`);
  }
}

function cannot(what: string): BlockError {
  return new BlockError('io', `Could not ${what}: Input/output error`);
}

/** Refuses tables where nothing can be read. */
function checkReadable(header: Header): void {
  const { clusterBits, l1Offset, l1Entries, reftableOffset, reftableClusters } = header;
  if (l1Offset + l1Entries * 8 > layout.LAST_OFFSET) throw cannot('read L1 table');
  if (reftableOffset + reftableClusters * 2 ** clusterBits > layout.LAST_OFFSET) {
    throw cannot('initialize refcount handling');
  }
}
