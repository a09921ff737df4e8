/** The snapshot table as it is stored. */
import { bigEndian, concatBytes, utf8Bytes } from '../../../base/bytes.ts';
import { BlockError } from '../../../base/error.ts';
import { alignUp, MAX_SIZE } from '../../../base/offset.ts';
import { readAt, type Storage } from '../../../storage/storage.ts';
import type { Header } from '../structure/header.ts';
import { TWO32 } from '../structure/layout.ts';

/** Bytes of an entry before its extra data. */
const SNAPSHOT_FIXED = 40;
/** Bytes of extra data that version 3 demands: 64-bit state size, virtual size. */
const SNAPSHOT_EXTRA = 16;
/** Bytes of extra data that is understood: instruction count too. */
const KNOWN_EXTRA = 24;
/** Most extra data of an entry in bytes that the real tool keeps. */
const MAX_EXTRA = 1024;
/** Largest table in bytes: as many snapshots as there may be, with 1 KiB for each. */
const MAX_TABLE = 67108864;
/** Largest distance in bytes between the first and the end of the last entry, with what a repair cuts off. */
const MAX_SPAN = 2147483647;
/** Longest name in bytes that is given to a snapshot. */
const MAX_NAME = 255;
/** Bytes of the table read at a time; more than any entry with permitted extra data. */
const PIECE = 1048576;

/** One entry. */
export interface SnapshotEntry {
  readonly l1Offset: number;
  /** The same, exact for damaged entries too. */
  readonly l1OffsetBits: bigint;
  readonly l1Entries: number;
  readonly id: string;
  readonly name: string;
  /** Id and name as stored: they need not be UTF-8. */
  readonly idBytes: Uint8Array;
  readonly nameBytes: Uint8Array;
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  readonly vmClockNanoseconds: bigint;
  /** Bytes of saved machine state. */
  readonly vmStateSize: number;
  /** The same, exact. */
  readonly vmStateBits: bigint;
  /** Guest size in bytes; undefined if the entry does not record it. */
  readonly virtualSize: number | undefined;
  /** The same, exact for damaged entries too. */
  readonly virtualSizeBits: bigint | undefined;
  /** Executed instructions; -1n if not recorded. */
  readonly instructionCount: bigint;
  /** Extra data beyond what is understood. */
  readonly unknownExtra: Uint8Array;
  /** Extra data is missing that version 3 demands. */
  readonly incomplete: boolean;
  /** Bytes of the whole entry; the next one starts at a multiple of eight. */
  readonly length: number;
}

/** Bytes of the entry whose fixed part starts at `at`. */
function snapshotEntryLength(bytes: Uint8Array, at: number): number {
  const fields = bigEndian(bytes);
  return SNAPSHOT_FIXED + fields.u32(at + 36) + fields.u16(at + 12) + fields.u16(at + 14);
}

/** Parses the entry at `at`; all of it lies in `bytes`. */
function parseSnapshot(bytes: Uint8Array, at: number): SnapshotEntry {
  const fields = bigEndian(bytes);
  const idSize = fields.u16(at + 12);
  const nameSize = fields.u16(at + 14);
  const extraSize = fields.u32(at + 36);
  const extra = at + SNAPSHOT_FIXED;
  const names = extra + extraSize;
  const vmStateBits = extraSize >= 8 ? fields.big64(extra) : BigInt(fields.u32(at + 32));
  return {
    l1Offset: fields.u64lossy(at),
    l1OffsetBits: fields.big64(at),
    l1Entries: fields.u32(at + 8),
    dateSeconds: fields.u32(at + 16),
    dateNanoseconds: fields.u32(at + 20),
    vmClockNanoseconds: fields.big64(at + 24),
    vmStateSize: Number(vmStateBits),
    vmStateBits,
    virtualSize: extraSize >= 16 ? fields.u64lossy(extra + 8) : undefined,
    virtualSizeBits: extraSize >= 16 ? fields.big64(extra + 8) : undefined,
    instructionCount: extraSize >= 24 ? BigInt.asIntN(64, fields.big64(extra + 16)) : -1n,
    unknownExtra: extraSize > KNOWN_EXTRA ? fields.slice(extra + 24, extraSize - 24).slice() : new Uint8Array(0),
    incomplete: extraSize < SNAPSHOT_EXTRA,
    id: fields.utf8(names, idSize),
    name: fields.utf8(names + idSize, nameSize),
    idBytes: fields.slice(names, idSize).slice(),
    nameBytes: fields.slice(names + idSize, nameSize).slice(),
    length: SNAPSHOT_FIXED + extraSize + idSize + nameSize,
  };
}

/**
 * An entry as it is stored, with all extra data that is understood.
 * @param virtualSize guest size in bytes where the entry does not record one.
 */
export function encodeSnapshot(entry: SnapshotEntry, virtualSize: number): Uint8Array {
  const { idBytes, nameBytes, unknownExtra } = entry;
  const extraSize = KNOWN_EXTRA + unknownExtra.length;
  const names = SNAPSHOT_FIXED + extraSize;
  const bytes = new Uint8Array(names + idBytes.length + nameBytes.length);
  const fields = bigEndian(bytes);
  fields.setBig64(0, entry.l1OffsetBits);
  fields.setU32(8, entry.l1Entries);
  fields.setU16(12, idBytes.length);
  fields.setU16(14, nameBytes.length);
  fields.setU32(16, entry.dateSeconds);
  fields.setU32(20, entry.dateNanoseconds);
  fields.setBig64(24, entry.vmClockNanoseconds);
  // Sizes that do not fit are in the extra data only.
  fields.setU32(32, entry.vmStateBits < BigInt(TWO32) ? Number(entry.vmStateBits) : 0);
  fields.setU32(36, extraSize);
  fields.setBig64(40, entry.vmStateBits);
  fields.setBig64(48, entry.virtualSizeBits ?? BigInt(virtualSize));
  fields.setBig64(56, BigInt.asUintN(64, entry.instructionCount));
  fields.set(64, unknownExtra);
  fields.set(names, idBytes);
  fields.set(names + idBytes.length, nameBytes);
  return bytes;
}

/** A name as it is stored: the real tool cuts long ones off. */
export function snapshotNameBytes(name: string): Uint8Array {
  return utf8Bytes(name).slice(0, MAX_NAME);
}

/** A snapshot table. */
export interface SnapshotTable {
  readonly entries: readonly SnapshotEntry[];
  /** Bytes that it takes in the file, without what follows the last entry. */
  readonly size: number;
}

/** Is told what a repair leaves out of a snapshot table that is too large. */
export interface TableCuts {
  /** An entry loses the extra data that is too much. */
  extra(index: number, size: number, limit: number): void;
  /** The last entries are dropped, for the table would be too large. */
  overhang(count: number): void;
}

/**
 * Reads the snapshot table. Bytes beyond the end of the file count as zeroes.
 * @param cuts leave out what is too much.
 * @throws BlockError if an entry or the whole table is too large, and there are no `cuts`.
 */
export async function readSnapshotTable(
  file: Storage,
  header: Pick<Header, 'snapshotCount' | 'snapshotsOffset'>,
  cuts?: TableCuts,
): Promise<SnapshotTable> {
  const { snapshotCount, snapshotsOffset } = header;
  const entries: SnapshotEntry[] = [];
  const piece = new Uint8Array(Math.min(PIECE, snapshotCount * (SNAPSHOT_FIXED + MAX_EXTRA) + 2 * 65536));
  let start = 0;
  let size = 0;
  let kept = 0;
  for (let index = 0; index < snapshotCount; index++) {
    size = alignUp(size, 8);
    kept = alignUp(kept, 8);
    if (snapshotsOffset + size + piece.length > MAX_SIZE) {
      throw new BlockError('io', 'Failed to read snapshot table: Input/output error');
    }
    if (index === 0 || !holdsEntry(piece, size - start)) {
      start = size;
      await file.readPadded(snapshotsOffset + start, piece);
    }
    const extraSize = bigEndian(piece).u32(size - start + 36);
    const isCut = extraSize > MAX_EXTRA;
    if (isCut) {
      if (!cuts) throw tooMuchExtra(index);
      cuts.extra(index, extraSize, MAX_EXTRA);
    }
    const entry = isCut ? await readCut(file, snapshotsOffset + size) : parseSnapshot(piece, size - start);
    kept += isCut ? entry.length - (extraSize - MAX_EXTRA) : entry.length;
    if (kept > MAX_TABLE || size + entry.length > MAX_SPAN) {
      if (!cuts) throw tableTooBig(snapshotCount - index);
      cuts.overhang(snapshotCount - index);
      break;
    }
    entries.push(entry);
    size += entry.length;
    if (isCut) start = -piece.length;
  }
  return { entries, size };
}

/** True if the entry at `at` lies in `bytes` as a whole. */
function holdsEntry(bytes: Uint8Array, at: number): boolean {
  return at + SNAPSHOT_FIXED <= bytes.length && at + snapshotEntryLength(bytes, at) <= bytes.length;
}

function tooMuchExtra(index: number): BlockError {
  return new BlockError('too-large', `Too much extra metadata in snapshot table entry ${index}`, {
    hint: { about: 'snapshot-extra' },
  });
}

function tableTooBig(overhang: number): BlockError {
  return new BlockError('too-large', 'Snapshot table is too big', {
    hint: { about: 'snapshot-overhang', count: overhang },
  });
}

/** The entry at an offset in the file without the extra data that is too much; its length is that of all of it. */
async function readCut(file: Storage, offset: number): Promise<SnapshotEntry> {
  const head = await readAt(file, offset, SNAPSHOT_FIXED + MAX_EXTRA);
  const fields = bigEndian(head);
  const length = snapshotEntryLength(head, 0);
  const extraSize = fields.u32(36);
  const names = new Uint8Array(fields.u16(12) + fields.u16(14));
  if (names.length > 0) await file.readPadded(offset + SNAPSHOT_FIXED + extraSize, names);
  fields.setU32(36, MAX_EXTRA);
  return { ...parseSnapshot(concatBytes([head, names]), 0), length };
}
