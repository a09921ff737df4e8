/** The bitmap directory as it is stored. No I/O. */
import { bigEndian } from '../../base/bytes.ts';
import { BlockError } from '../../base/error.ts';
import { alignUp } from '../../base/offset.ts';

/** Bytes of an entry before its extra data. */
const FIXED = 24;

/** Flags of a bitmap. */
export const BitmapFlag = { inUse: 1, auto: 2, extraDataCompatible: 4 } as const;

/** One entry. */
export interface BitmapEntry {
  readonly tableOffset: number;
  /** Entries of the bitmap table. */
  readonly tableEntries: number;
  readonly flags: number;
  readonly type: number;
  /** Bytes that one bit stands for, as a power of two. */
  readonly granularityBits: number;
  readonly extra: Uint8Array;
  readonly name: string;
}

/**
 * Parses a directory.
 * @param count entries that the header announces.
 * @throws BlockError `invalid-image` if the entries do not fill the directory exactly.
 */
export function parseBitmapDirectory(bytes: Uint8Array, count: number): BitmapEntry[] {
  const fields = bigEndian(bytes);
  const entries: BitmapEntry[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < FIXED || entries.length >= count) throw damaged();
    const nameSize = fields.u16(at + 18);
    const extraSize = fields.u32(at + 20);
    const length = alignUp(FIXED + extraSize + nameSize, 8);
    if (length > bytes.length - at) throw damaged();
    entries.push({
      tableOffset: fields.u64lossy(at),
      tableEntries: fields.u32(at + 8),
      flags: fields.u32(at + 12),
      type: fields.u8(at + 16),
      granularityBits: fields.u8(at + 17),
      extra: fields.slice(at + FIXED, extraSize).slice(),
      name: fields.utf8(at + FIXED + extraSize, nameSize),
    });
    at += length;
  }
  if (entries.length !== count) throw damaged();
  return entries;
}

function damaged(): BlockError {
  return new BlockError('invalid-image', 'Broken bitmap directory');
}
