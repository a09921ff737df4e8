/** What a qcow2 header says, and what follows from it. */
import { Autoclear, Incompatible } from './layout.ts';

/** A header extension that is carried along. */
export interface HeaderExtension {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Where the bitmap directory is (bitmaps extension). */
export interface BitmapsHeader {
  readonly count: number;
  /** Bytes of the directory. */
  readonly size: number;
  readonly offset: number;
}

/** Everything that the header says. It is written as a whole. */
export interface Header {
  version: 2 | 3;
  readonly clusterBits: number;
  /** Guest-visible size in bytes. */
  virtualSize: number;
  /** 0 none, 1 AES-CBC, 2 LUKS. */
  cryptMethod: number;
  /** Entries of the active L1 table. */
  l1Entries: number;
  l1Offset: number;
  reftableOffset: number;
  reftableClusters: number;
  snapshotCount: number;
  snapshotsOffset: number;
  /** Bits of `Incompatible`. */
  incompatible: number;
  compatible: bigint;
  autoclear: bigint;
  /** Bits of a refcount entry are two to the power of this. */
  refcountOrder: number;
  /** 0 zlib, 1 zstd. */
  compressionType: number;
  /** Bytes of the header proper when it was read. */
  readonly headerLength: number;
  /** Header bytes after those that are understood. */
  readonly unknownFields: Uint8Array;
  backingFile?: string;
  backingFormat?: string;
  dataFileName?: string;
  /** Offset and length of the LUKS header (crypto extension). */
  crypto?: { readonly offset: number; readonly length: number };
  bitmaps?: BitmapsHeader;
  featureNames?: Uint8Array;
  /** Extensions that are not understood. */
  extensions: HeaderExtension[];
}

/** Makes a header say what another one says, in place: the parts of an image hold on to it. */
export function replaceHeader(header: Header, by: Header): void {
  for (const key of ['backingFile', 'backingFormat', 'dataFileName', 'crypto', 'bitmaps', 'featureNames'] as const) {
    if (by[key] === undefined) delete header[key];
  }
  Object.assign(header, by);
}

/** True if a guest size in bytes, rounded up to what an L1 entry describes, overflows the real tool's 64 bits. */
export function wraps(size: number, header: Header): boolean {
  return size > 2 ** 64 - l1Span(header);
}

/** Bytes of an L2 entry. */
export function l2EntrySize(header: Pick<Header, 'incompatible'>): 8 | 16 {
  return (header.incompatible & Incompatible.extendedL2) !== 0 ? 16 : 8;
}

/** Entries of an L1 table for a guest size in bytes. */
export function l1EntriesFor(size: number, header: Pick<Header, 'clusterBits' | 'incompatible'>): number {
  return Math.ceil(size / l1Span(header));
}

/** Guest bytes that an entry of the L1 table describes. */
function l1Span(header: Pick<Header, 'clusterBits' | 'incompatible'>): number {
  const clusterSize = 2 ** header.clusterBits;
  return clusterSize * (clusterSize / l2EntrySize(header));
}

/** True if the image keeps guest data in a file of its own. */
export function hasDataFile(header: Header): boolean {
  return (header.incompatible & Incompatible.dataFile) !== 0;
}

/** True if that file is to stay valid as a raw image. */
export function isRawDataFile(header: Header): boolean {
  return (header.autoclear & BigInt(Autoclear.rawData)) !== 0n;
}
