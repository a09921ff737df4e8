/** Entries of the log ([MS-VHDX] 2.3): encoding, and decoding of what is perhaps an entry. */
import { type Fields, littleEndian, utf8Bytes } from '../../base/bytes.ts';
import { alignUp } from '../../base/offset.ts';
import { crc32c } from '../../codec/checksums.ts';
import { structureChecksum } from './header.ts';
import { guidText, LOG_SECTOR } from './layout.ts';

/** Bytes of an entry's header, and of a descriptor. */
const ENTRY_HEADER = 64;
const DESCRIPTOR = 32;

/** One change that an entry records. */
export type LogChange =
  | { readonly kind: 'data'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number };

/** Header of an entry. */
export interface EntryHeader {
  readonly length: number;
  /** Place in the log where the sequence of entries begins that this one ends. */
  readonly tail: number;
  readonly sequence: bigint;
  readonly descriptors: number;
  /** The file was at least that long, durably, when the entry was written. */
  readonly flushedFileOffset: number;
  /** Everything that the entry refers to lies below. */
  readonly lastFileOffset: number;
}

/** Sectors that hold the header and so many descriptors. */
function headerSectors(descriptors: number): number {
  return alignUp(ENTRY_HEADER + descriptors * DESCRIPTOR, LOG_SECTOR) / LOG_SECTOR;
}

/** The most sectors that one entry can record in a log of that many bytes, up to `limit`. */
export function entryCapacity(logLength: number, limit: number): number {
  const sectors = Math.floor(logLength / LOG_SECTOR);
  let count = Math.min(limit, sectors - 1);
  while (count > 0 && headerSectors(count) + count > sectors) count--;
  return Math.max(0, count);
}

/** What {@link encodeEntry} records besides the changes. */
export interface NewEntry {
  readonly logGuid: Uint8Array;
  readonly sequence: bigint;
  /** Size of the file now. */
  readonly fileSize: number;
}

/** An entry for sectors of 4,096 bytes, to be written to the start of the log; its own tail. */
export function encodeEntry(
  entry: NewEntry,
  sectors: readonly { readonly offset: number; readonly bytes: Uint8Array }[],
): Uint8Array {
  const dataStart = headerSectors(sectors.length) * LOG_SECTOR;
  const fields = littleEndian(new Uint8Array(dataStart + sectors.length * LOG_SECTOR));
  fields.set(0, utf8Bytes('loge'));
  fields.setU32(8, fields.length);
  fields.setBig64(16, entry.sequence);
  fields.setU32(24, sectors.length);
  fields.set(32, entry.logGuid);
  fields.setU64(48, entry.fileSize);
  fields.setU64(56, entry.fileSize);
  for (const [index, { offset, bytes }] of sectors.entries()) {
    const at = ENTRY_HEADER + index * DESCRIPTOR;
    fields.set(at, utf8Bytes('desc'));
    // A data sector lends its first 8 and last 4 bytes to the descriptor, to have room for its own marks.
    fields.set(at + 4, bytes.subarray(LOG_SECTOR - 4));
    fields.set(at + 8, bytes.subarray(0, 8));
    fields.setU64(at + 16, offset);
    fields.setBig64(at + 24, entry.sequence);
    const data = dataStart + index * LOG_SECTOR;
    fields.set(data, bytes);
    fields.set(data, utf8Bytes('data'));
    fields.setU32(data + 4, Number(entry.sequence >> 32n));
    fields.setU32(data + LOG_SECTOR - 4, Number(BigInt.asUintN(32, entry.sequence)));
  }
  fields.setU32(4, structureChecksum(fields.bytes));
  return fields.bytes;
}

/** Reads the header of an entry of the log with that GUID; undefined if there is none, or an impossible one. */
export function parseEntryHeader(bytes: Uint8Array, logGuid: string, logLength: number): EntryHeader | undefined {
  const fields = littleEndian(bytes);
  if (fields.latin1(0, 4) !== 'loge' || guidText(fields.slice(32, 16)) !== logGuid) return undefined;
  const header: EntryHeader = {
    length: fields.u32(8),
    tail: fields.u32(12),
    sequence: fields.big64(16),
    descriptors: fields.u32(24),
    flushedFileOffset: fields.u64lossy(48),
    lastFileOffset: fields.u64lossy(56),
  };
  const sound =
    header.length >= LOG_SECTOR &&
    header.length <= logLength &&
    header.length % LOG_SECTOR === 0 &&
    header.tail < logLength &&
    header.tail % LOG_SECTOR === 0 &&
    header.sequence > 0n &&
    headerSectors(header.descriptors) * LOG_SECTOR <= header.length;
  return sound ? header : undefined;
}

/** True if the checksum of a whole entry is right. */
export function entryIsIntact(bytes: Uint8Array): boolean {
  const stored = littleEndian(bytes).u32(4);
  const first = bytes.slice(0, LOG_SECTOR);
  first.fill(0, 4, 8);
  return crc32c(bytes.subarray(LOG_SECTOR), crc32c(first)) === stored;
}

/** The changes of an intact entry; undefined if its descriptors make no sense. */
export function entryChanges(bytes: Uint8Array, header: EntryHeader): LogChange[] | undefined {
  const fields = littleEndian(bytes);
  const changes: LogChange[] = [];
  let data = headerSectors(header.descriptors) * LOG_SECTOR;
  for (let index = 0; index < header.descriptors; index++) {
    const at = ENTRY_HEADER + index * DESCRIPTOR;
    const offset = fields.u64lossy(at + 16);
    if (fields.big64(at + 24) !== header.sequence || offset % LOG_SECTOR !== 0) return undefined;
    const signature = fields.latin1(at, 4);
    if (signature === 'zero') {
      const length = fields.u64lossy(at + 8);
      if (length % LOG_SECTOR !== 0) return undefined;
      changes.push({ kind: 'zero', offset, length });
    } else if (signature === 'desc' && data + LOG_SECTOR <= bytes.length) {
      const sector = dataSector(fields, at, data, header.sequence);
      if (!sector) return undefined;
      changes.push({ kind: 'data', offset, bytes: sector });
      data += LOG_SECTOR;
    } else return undefined;
  }
  return changes;
}

function dataSector(fields: Fields, descriptor: number, data: number, sequence: bigint): Uint8Array | undefined {
  const high = Number(sequence >> 32n);
  const low = Number(BigInt.asUintN(32, sequence));
  if (fields.latin1(data, 4) !== 'data' || fields.u32(data + 4) !== high) return undefined;
  if (fields.u32(data + LOG_SECTOR - 4) !== low) return undefined;
  const sector = fields.slice(data, LOG_SECTOR).slice();
  sector.set(fields.slice(descriptor + 8, 8), 0);
  sector.set(fields.slice(descriptor + 4, 4), LOG_SECTOR - 4);
  return sector;
}
