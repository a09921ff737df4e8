/** The snapshot table as it is stored. No I/O. */
import { bigEndian } from '../../base/bytes.ts';
import { alignUp } from '../../base/offset.ts';

/** Bytes of an entry before its extra data. */
export const SNAPSHOT_FIXED = 40;
/** Bytes of extra data that version 3 demands: 64-bit state size, virtual size. */
export const SNAPSHOT_EXTRA = 16;

/** One entry. */
export interface SnapshotEntry {
  readonly l1Offset: number;
  /** The same, exact for damaged entries too. */
  readonly l1OffsetBits: bigint;
  readonly l1Entries: number;
  readonly id: string;
  readonly name: string;
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  readonly vmClockNanoseconds: bigint;
  /** Bytes of saved machine state. */
  readonly vmStateSize: number;
  /** Guest size in bytes; undefined if the entry does not record it. */
  readonly virtualSize: number | undefined;
  /** Executed instructions; -1n if not recorded. */
  readonly instructionCount: bigint;
  /** Extra data beyond what is understood. */
  readonly unknownExtra: Uint8Array;
  /** Extra data is missing that version 3 demands. */
  readonly incomplete: boolean;
  /** Bytes of the whole entry, padded to eight. */
  readonly length: number;
}

/** Bytes of the entry whose fixed part starts at `at`, padded to eight. */
export function snapshotEntryLength(bytes: Uint8Array, at: number): number {
  const fields = bigEndian(bytes);
  return alignUp(SNAPSHOT_FIXED + fields.u32(at + 36) + fields.u16(at + 12) + fields.u16(at + 14), 8);
}

/** Parses the entry at `at`; all of it lies in `bytes`. */
export function parseSnapshot(bytes: Uint8Array, at: number): SnapshotEntry {
  const fields = bigEndian(bytes);
  const idSize = fields.u16(at + 12);
  const nameSize = fields.u16(at + 14);
  const extraSize = fields.u32(at + 36);
  const extra = at + SNAPSHOT_FIXED;
  const names = extra + extraSize;
  return {
    l1Offset: fields.u64lossy(at),
    l1OffsetBits: fields.big64(at),
    l1Entries: fields.u32(at + 8),
    dateSeconds: fields.u32(at + 16),
    dateNanoseconds: fields.u32(at + 20),
    vmClockNanoseconds: fields.big64(at + 24),
    vmStateSize: extraSize >= 8 ? fields.u64lossy(extra) : fields.u32(at + 32),
    virtualSize: extraSize >= 16 ? fields.u64lossy(extra + 8) : undefined,
    instructionCount: extraSize >= 24 ? BigInt.asIntN(64, fields.big64(extra + 16)) : -1n,
    unknownExtra: extraSize > 24 ? fields.slice(extra + 24, extraSize - 24).slice() : new Uint8Array(0),
    incomplete: extraSize < SNAPSHOT_EXTRA,
    id: fields.utf8(names, idSize),
    name: fields.utf8(names + idSize, nameSize),
    length: alignUp(SNAPSHOT_FIXED + extraSize + idSize + nameSize, 8),
  };
}
