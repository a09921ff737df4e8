/** Constants of the qcow2 format (QEMU's docs/interop/qcow2) and the limits that the real tool keeps. */

/** `QFI\xfb`. */
export const MAGIC = 0x514649fb;
/** Bytes of a version 2 header. */
export const V2_HEADER = 72;
/** Bytes of the shortest version 3 header. */
export const V3_HEADER = 104;
/** Bytes of the header that is written: version 3 with the compression type, padded to eight. */
export const WRITTEN_HEADER = 112;

/** Base-2 logarithm of the smallest cluster size. */
export const MIN_CLUSTER_BITS = 9;
/** Base-2 logarithm of the largest cluster size. */
export const MAX_CLUSTER_BITS = 21;
/** Images with at least this cluster size record the names of features. */
export const MIN_NAMED_CLUSTER_BITS = 13;
/** Smallest cluster size with extended L2 entries. */
export const MIN_EXTENDED_CLUSTER = 16384;
/** Largest L1 table in bytes. */
export const MAX_L1_BYTES = 33554432;
/** Largest refcount table in bytes. */
export const MAX_REFTABLE_BYTES = 8388608;
/** Most snapshots of an image. */
export const MAX_SNAPSHOTS = 65536;
/** Nothing is read beyond this offset in bytes, the real tool's limit. */
export const LAST_OFFSET: number = 2 ** 63 - 2 ** 30;
/** Longest backing file name in bytes. */
export const MAX_BACKING_NAME = 1023;

/** Incompatible feature bits. */
export const Incompatible = { dirty: 1, corrupt: 2, dataFile: 4, compression: 8, extendedL2: 16 } as const;
/** All incompatible bits that are understood. */
export const KNOWN_INCOMPATIBLE = 31;
/** Compatible feature bits. */
export const Compatible = { lazyRefcounts: 1 } as const;
/** Autoclear feature bits. */
export const Autoclear = { bitmaps: 1, rawData: 2 } as const;
/** All autoclear bits that are understood. */
export const KNOWN_AUTOCLEAR = 3;

/** What the header says about encryption. */
export const CryptMethod = { none: 0, aes: 1, luks: 2 } as const;

/** Types of header extensions. */
export const Extension = {
  end: 0,
  backingFormat: 0xe2792aca,
  featureNames: 0x6803f857,
  bitmaps: 0x23852875,
  crypto: 0x0537be77,
  dataFile: 0x44415441,
} as const;

/** High half of an L1 or L2 entry: refcount is exactly one. */
export const COPIED_HIGH = 0x80000000;
/** High half of an L2 entry: compressed cluster. */
export const COMPRESSED_HIGH = 0x40000000;
/** Low half of an L2 entry: reads as zeroes (version 3, standard entries). */
export const ZERO_LOW = 1;
/** High half of the 56-bit offset in an L1 or L2 entry. */
export const OFFSET_HIGH = 0x00ffffff;
/** Low half of an offset in an L1 or L2 entry. */
export const OFFSET_LOW = 0xfffffe00;
/** Subclusters of a cluster with extended L2 entries. */
export const SUBCLUSTERS = 32;

/** 2^32, to put halves together. */
export const TWO32 = 4294967296;
