/** The bitmap directory as it is stored. No I/O. */
import { bigEndian, concatBytes } from '../../../base/bytes.ts';
import { invalidImage } from '../../../base/error.ts';
import { alignUp } from '../../../base/offset.ts';

/** Bytes of an entry before its extra data. */
const FIXED = 24;
/** The only type of bitmap: dirty tracking. */
const DIRTY_TRACKING = 1;
/** Most entries of a bitmap table. */
const MAX_TABLE_ENTRIES = 134217728;
/** Largest bitmap in bytes. */
export const MAX_BITMAP_BYTES = 536870912;
/** Longest name in bytes. */
export const MAX_BITMAP_NAME = 1023;
/** Most bitmaps of an image. */
export const MAX_BITMAPS = 65535;
/** Largest directory in bytes. */
export const MAX_DIRECTORY = 67107840;
/** Smallest and largest number of guest bytes that a bit can stand for, as powers of two. */
export const GRANULARITY_BITS = { min: 9, max: 31 } as const;

/** Flags of a bitmap. */
export const BitmapFlag = { inUse: 1, auto: 2 } as const;

/** One entry. */
export interface BitmapEntry {
  readonly tableOffset: number;
  /** Entries of the bitmap table. */
  readonly tableEntries: number;
  readonly flags: number;
  /** Bytes that one bit stands for, as a power of two. */
  readonly granularityBits: number;
  readonly name: string;
  /** The name as stored: it need not be UTF-8. */
  readonly nameBytes: Uint8Array;
}

/**
 * Parses a directory.
 * @param count entries that the header announces.
 * @throws BlockError `invalid-image` if the entries do not fill the directory exactly, or if one is impossible.
 */
export function parseBitmapDirectory(bytes: Uint8Array, count: number, clusterSize: number): BitmapEntry[] {
  const fields = bigEndian(bytes);
  const entries: BitmapEntry[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < FIXED) throw invalidImage('Broken bitmap directory');
    if (entries.length >= count) throw invalidImage('More bitmaps found than specified in header extension');
    const nameSize = fields.u16(at + 18);
    const extraSize = fields.u32(at + 20);
    const length = alignUp(FIXED + extraSize + nameSize, 8);
    // Observed: the real tool reads such lengths as signed 32-bit numbers.
    if ((length | 0) > bytes.length - at) throw invalidImage('Broken bitmap directory');
    if (extraSize !== 0) throw invalidImage('Bitmap extra data is not supported');
    const entry = {
      tableOffset: fields.u64lossy(at),
      tableEntries: fields.u32(at + 8),
      flags: fields.u32(at + 12),
      granularityBits: fields.u8(at + 17),
      name: fields.utf8(at + FIXED, nameSize),
      nameBytes: fields.slice(at + FIXED, nameSize).slice(),
    };
    if (fields.u8(at + 16) !== DIRTY_TRACKING || !isPossible(entry, clusterSize)) {
      throw invalidImage(`Bitmap '${entry.name}' doesn't satisfy the constraints`);
    }
    entries.push(entry);
    at += length;
  }
  if (entries.length !== count) throw invalidImage('Less bitmaps found than specified in header extension');
  return entries;
}

function isPossible(entry: BitmapEntry, clusterSize: number): boolean {
  const { tableOffset, tableEntries, flags, granularityBits, nameBytes } = entry;
  return (
    nameBytes.length > 0 &&
    nameBytes.length <= MAX_BITMAP_NAME &&
    tableEntries > 0 &&
    tableEntries <= MAX_TABLE_ENTRIES &&
    tableEntries * clusterSize <= MAX_BITMAP_BYTES &&
    tableOffset > 0 &&
    tableOffset < 2 ** 63 &&
    tableOffset % clusterSize === 0 &&
    granularityBits >= GRANULARITY_BITS.min &&
    granularityBits <= GRANULARITY_BITS.max &&
    (flags & ~(BitmapFlag.inUse | BitmapFlag.auto)) === 0
  );
}

/** Bytes that the entry of a bitmap takes. */
export function bitmapEntryLength(nameBytes: Uint8Array): number {
  return alignUp(FIXED + nameBytes.length, 8);
}

/** A directory as it is stored. */
export function encodeBitmapDirectory(entries: readonly BitmapEntry[]): Uint8Array {
  return concatBytes(entries.map(encodeEntry));
}

function encodeEntry(entry: BitmapEntry): Uint8Array {
  const { nameBytes } = entry;
  const bytes = new Uint8Array(bitmapEntryLength(nameBytes));
  const fields = bigEndian(bytes);
  fields.setU64(0, entry.tableOffset);
  fields.setU32(8, entry.tableEntries);
  fields.setU32(12, entry.flags);
  fields.setU8(16, DIRTY_TRACKING);
  fields.setU8(17, entry.granularityBits);
  fields.setU16(18, nameBytes.length);
  fields.set(FIXED, nameBytes);
  return bytes;
}
