/** Sizes that follow from the header, and the fields of L1 and L2 entries. */
import { joinHalves } from '../../../base/bytes.ts';
import { hasDataFile, type Header, l2EntrySize } from './header.ts';
import * as layout from './layout.ts';
import { TWO32 } from './layout.ts';

/** Sizes in bytes unless said otherwise. */
export interface Geometry {
  readonly clusterBits: number;
  readonly clusterSize: number;
  /** Bytes of an L2 entry: 8, or 16 with subclusters. */
  readonly entrySize: 8 | 16;
  /** Entries of an L2 table. */
  readonly l2Entries: number;
  /** Guest bytes that one L2 table covers. */
  readonly l2Coverage: number;
  readonly extended: boolean;
  /** The smallest unit that can be allocated or zeroed on its own. */
  readonly subclusterSize: number;
  /** Guest data lies in a file of its own, at the guest's own offsets. */
  readonly external: boolean;
  /** Zero flags of standard L2 entries mean something (version 3). */
  readonly zeroFlag: boolean;
}

/** The geometry of an image. */
export function geometryOf(header: Header): Geometry {
  const clusterSize = 2 ** header.clusterBits;
  const entrySize = l2EntrySize(header);
  const extended = entrySize === 16;
  return {
    clusterBits: header.clusterBits,
    clusterSize,
    entrySize,
    l2Entries: clusterSize / entrySize,
    l2Coverage: (clusterSize / entrySize) * clusterSize,
    extended,
    subclusterSize: extended ? clusterSize / layout.SUBCLUSTERS : clusterSize,
    external: hasDataFile(header),
    zeroFlag: header.version >= 3 && !extended,
  };
}

/** What an L2 entry (or one subcluster of it) says. */
export const Kind = {
  /** The backing image shows through. */
  unallocated: 0,
  zero: 1,
  /** Zeroes for which space is kept. */
  zeroAllocated: 2,
  data: 3,
  compressed: 4,
  /** Cannot be: the entry is damaged. */
  invalid: 5,
} as const;

/** Host offset in the entry at `at`. */
export function entryOffset(view: DataView, at: number): number {
  return (view.getUint32(at) & layout.OFFSET_HIGH) * TWO32 + ((view.getUint32(at + 4) & layout.OFFSET_LOW) >>> 0);
}

/** True if the entry at `at` says that its cluster has a refcount of exactly one. */
export function isCopied(view: DataView, at: number): boolean {
  return view.getUint32(at) >= layout.COPIED_HIGH;
}

/**
 * Where the entries end that continue the one at `at`: each names a place `step` bytes behind that of the last one, with
 * the same flags and the same subclusters. For entries without a place `step` is 0.
 */
export function endOfRun(view: DataView, at: number, end: number, entrySize: number, step: number): number {
  const extended = entrySize === 16;
  const [zeroBits, dataBits] = extended ? [view.getInt32(at + 8), view.getInt32(at + 12)] : [0, 0];
  // Halves with a sign are small integers to the compiler, which makes this loop several times as quick.
  let high = view.getInt32(at);
  let low = view.getInt32(at + 4);
  for (let next = at + entrySize; ; next += entrySize) {
    low = (low + step) | 0;
    if (low >>> 0 < step) {
      high = (high + 1) | 0;
      if ((high & layout.OFFSET_HIGH) === 0) return next;
    }
    if (next >= end || view.getInt32(next + 4) !== low || view.getInt32(next) !== high) return next;
    if (extended && (view.getInt32(next + 8) !== zeroBits || view.getInt32(next + 12) !== dataBits)) return next;
  }
}

/** Stores an offset and the COPIED flag. */
export function setEntry(view: DataView, at: number, offset: number, copied: boolean): void {
  const low = offset % TWO32;
  view.setUint32(at, ((offset - low) / TWO32 + (copied ? layout.COPIED_HIGH : 0)) >>> 0);
  view.setUint32(at + 4, low);
}

/**
 * {@link Kind} of an entry; with subclusters, of the subcluster `sub` in it.
 * @param at byte position of the entry in its table.
 */
export function kindOf(geometry: Geometry, view: DataView, at: number, sub: number): number {
  const high = view.getUint32(at);
  if ((high & layout.COMPRESSED_HIGH) !== 0) return geometry.external ? Kind.invalid : Kind.compressed;
  const low = view.getUint32(at + 4);
  const allocated = hasHost(geometry, high, low);
  if (geometry.extended) return subclusterKind(view, at, sub, allocated);
  if ((low & layout.ZERO_LOW) !== 0) {
    if (!geometry.zeroFlag) return Kind.invalid;
    return allocated ? Kind.zeroAllocated : Kind.zero;
  }
  return allocated ? Kind.data : Kind.unallocated;
}

function hasHost(geometry: Geometry, high: number, low: number): boolean {
  // Offset 0 is a place in an external data file; the COPIED flag tells it from "nothing", except beside the zero flag.
  const zero = !geometry.extended && (low & layout.ZERO_LOW) !== 0;
  if (geometry.external && high >= layout.COPIED_HIGH && !zero) return true;
  return (high & layout.OFFSET_HIGH) !== 0 || (low & layout.OFFSET_LOW) !== 0;
}

function subclusterKind(view: DataView, at: number, sub: number, allocated: boolean): number {
  const zero = (view.getUint32(at + 8) >>> sub) & 1;
  const data = (view.getUint32(at + 12) >>> sub) & 1;
  if (zero && data) return Kind.invalid;
  if (data) return allocated ? Kind.data : Kind.invalid;
  if (zero) return allocated ? Kind.zeroAllocated : Kind.zero;
  return Kind.unallocated;
}

/** True if the entry owns a host cluster (whether or not its bytes count). */
export function ownsHost(geometry: Geometry, view: DataView, at: number): boolean {
  const high = view.getUint32(at);
  return (high & layout.COMPRESSED_HIGH) === 0 && hasHost(geometry, high, view.getUint32(at + 4));
}

/** Where a compressed cluster is. */
export interface CompressedPlace {
  /** Byte offset in the image file. */
  readonly offset: number;
  /** Bytes from there to the end of its last sector: the stream ends within. */
  readonly length: number;
}

/** Decodes a compressed cluster descriptor: offset in the low bits, 512-byte sectors after the first above. */
export function compressedPlace(geometry: Geometry, view: DataView, at: number): CompressedPlace {
  const shift = 62 - (geometry.clusterBits - 8) - 32;
  const high = view.getUint32(at) & 0x3fffffff;
  const offset = joinHalves(high & (2 ** shift - 1), view.getUint32(at + 4));
  const sectors = (high >>> shift) + 1;
  return { offset, length: sectors * 512 - (offset % 512) };
}

/** Stores a compressed cluster descriptor for `length` bytes at `offset`. */
export function setCompressed(geometry: Geometry, view: DataView, at: number, offset: number, length: number): void {
  const shift = 62 - (geometry.clusterBits - 8) - 32;
  const sectors = Math.floor((offset + length - 1) / 512) - Math.floor(offset / 512);
  const low = offset % TWO32;
  const high = (offset - low) / TWO32;
  view.setUint32(at, (layout.COMPRESSED_HIGH + sectors * 2 ** shift + high) >>> 0);
  view.setUint32(at + 4, low);
  if (geometry.extended) {
    view.setUint32(at + 8, 0);
    view.setUint32(at + 12, 0);
  }
}
