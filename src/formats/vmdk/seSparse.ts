/**
 * Space-efficient sparse extents of ESXi ("seSparse"), read-only. There is no public specification: the layout was
 * found by giving the real tool extents and looking at what it says about each field.
 *
 * All fields are 64-bit little endian. A constant header in sector 0 names the places of the areas in sectors, a
 * volatile header says whether a journal waits for replay. Directory entries are 0 or `0x1000_0000_iiii_iiii` with the
 * index of a table; table entries have their kind in the highest four bits, and the index of a grain in the others,
 * turned by 12 bits.
 */
import { littleEndian } from '../../base/bytes.ts';
import { invalidImage, unsupported } from '../../base/error.ts';
import { MAX_SIZE, SECTOR } from '../../base/offset.ts';
import type { Mapping } from '../../block/mapping.ts';
import type { MaybePromise } from '../../base/async.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import type { Extent } from './extent.ts';
import { Entry, GrainTables, ioError, type TableLayout } from './grains.ts';

const CONSTANT_MAGIC = 0xcafebaben;
const VOLATILE_MAGIC = 0xcafecafen;
const VERSION = 0x200000001n;
const GRAIN_SECTORS = 8n;
const TABLE_SECTORS = 64n;
/** Most entries of a directory. */
const MAX_DIRECTORY = 33554432;
/** High half of a directory entry that names a table. */
const TABLE_TAG = 0x10000000;

function hex(value: bigint): string {
  return `0x${value.toString(16).padStart(16, '0')}`;
}

/** Places of the areas, in bytes. */
interface SeHeader {
  readonly capacity: number;
  readonly volatileOffset: number;
  readonly directoryOffset: number;
  readonly directoryEntries: number;
  readonly tablesOffset: number;
  readonly grainsOffset: number;
}

/** The constant header. */
function parseConstantHeader(bytes: Uint8Array): SeHeader {
  const fields = littleEndian(bytes);
  const value = (at: number): bigint => fields.big64(at);
  if (value(0) !== CONSTANT_MAGIC) throw invalidImage(`Bad const header magic: ${hex(value(0))}`);
  if (value(8) !== VERSION) throw unsupported(`Unsupported version: ${hex(value(8))}`);
  if (value(24) !== GRAIN_SECTORS) throw unsupported(`Unsupported grain size: ${value(24)}`);
  if (value(32) !== TABLE_SECTORS) throw unsupported(`Unsupported grain table size: ${value(32)}`);
  if (value(40) !== 0n) throw unsupported(`Unsupported flags: ${hex(value(40))}`);
  const reserved = [48, 56, 64, 72].map(value);
  if (reserved.some((word) => word !== 0n)) {
    throw unsupported(`Unsupported reserved bits: ${reserved.map(hex).join(' ')}`);
  }
  if (fields.slice(208, SECTOR - 208).some((byte) => byte !== 0)) {
    throw unsupported('Unsupported non-zero const header padding');
  }
  const directoryEntries = fields.u64lossy(136) * (SECTOR / 8);
  if (directoryEntries > MAX_DIRECTORY) throw invalidImage('L1 size too big');
  return {
    capacity: fields.u64lossy(16) * SECTOR,
    volatileOffset: fields.u64lossy(80) * SECTOR,
    directoryOffset: fields.u64lossy(128) * SECTOR,
    directoryEntries,
    tablesOffset: fields.u64lossy(144) * SECTOR,
    grainsOffset: fields.u64lossy(192) * SECTOR,
  };
}

/** Looks through the volatile header. */
function checkVolatileHeader(bytes: Uint8Array): void {
  const fields = littleEndian(bytes);
  if (fields.big64(0) !== VOLATILE_MAGIC) {
    throw invalidImage(`Bad volatile header magic: ${hex(fields.big64(0))}`);
  }
  if (fields.u8(24) !== 0) throw unsupported('Image is dirty, Replaying journal not supported');
  if (fields.slice(32, SECTOR - 32).some((byte) => byte !== 0)) {
    throw unsupported('Unsupported non-zero volatile header padding');
  }
}

function layoutOf(header: SeHeader): TableLayout {
  const tableBytes = Number(TABLE_SECTORS) * SECTOR;
  const grainBytes = Number(GRAIN_SECTORS) * SECTOR;
  return {
    bytes: header.capacity,
    grainBytes,
    entryBytes: 8,
    tableEntries: tableBytes / 8,
    directoryOffset: header.directoryOffset,
    directoryEntries: header.directoryEntries,
    compressed: false,
    tableOffset: (view, position) => {
      const index = view.getUint32(position, true);
      const tag = view.getUint32(position + 4, true);
      if (tag === 0 && index === 0) return 0;
      if (tag !== TABLE_TAG) throw ioError();
      return header.tablesOffset + index * tableBytes;
    },
    grainOffset: (view, position) => {
      const low = view.getUint32(position, true);
      const high = view.getUint32(position + 4, true);
      const kind = high >>> 28;
      if (kind === 0) return low === 0 && high === 0 ? Entry.unallocated : Entry.invalid;
      if (kind === 1 || kind === 2) return Entry.zero;
      if (kind !== 3) return Entry.invalid;
      // Index bits 0-11 are bits 48-59 of the entry, index bits 12-59 are its bits 0-47.
      const index = ((high & 0xffff) * 2 ** 32 + low) * 4096 + ((high >>> 16) & 0xfff);
      const place = header.grainsOffset + index * grainBytes;
      return place > MAX_SIZE ? Entry.invalid : place;
    },
  };
}

/** An open seSparse extent. */
export class SeSparseExtent implements Extent {
  readonly bytes: number;
  readonly grainBytes: number;
  readonly compressed = false;
  readonly zeroedGrains = false;
  readonly storage: Storage;
  readonly type: string;
  readonly tables: GrainTables;

  constructor(storage: Storage, type: string, header: SeHeader) {
    this.storage = storage;
    this.type = type;
    const layout = layoutOf(header);
    this.tables = new GrainTables(storage, layout);
    this.bytes = layout.bytes;
    this.grainBytes = layout.grainBytes;
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return this.tables.map(offset, length);
  }

  tableOf(offset: number): MaybePromise<{ readonly table: number; readonly coverage: number }> {
    return this.tables.tableOf(offset);
  }

  flush(): void {}
}

/** Opens a seSparse extent. */
export async function openSeSparse(storage: Storage, type: string): Promise<SeSparseExtent> {
  const head = await readAt(storage, 0, SECTOR);
  const header = parseConstantHeader(head);
  if (!storage.readOnly) throw unsupported('No write support for seSparse images available');
  const changing = await readAt(storage, header.volatileOffset, SECTOR);
  checkVolatileHeader(changing);
  return new SeSparseExtent(storage, type, header);
}
