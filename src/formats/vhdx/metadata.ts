/** The metadata region ([MS-VHDX] 2.6): block size, disk size, sector sizes. */
import { littleEndian, utf8Bytes } from '../../base/bytes.ts';
import { isPowerOfTwo } from '../../base/offset.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import {
  Guid,
  guidBytes,
  guidText,
  MAX_BLOCK_SIZE,
  MAX_TABLE_ENTRIES,
  MAX_VIRTUAL_SIZE,
  MIN_BLOCK_SIZE,
  refuse,
} from './layout.ts';

/** Bytes of the metadata table; items are behind it. */
const TABLE_SIZE = 65536;
/** Flags of a table entry: the item describes the disk; who does not know the item must not open the file. */
const VIRTUAL_DISK = 2;
const REQUIRED = 4;
/** Flags of the file parameters. */
const LEAVE_ALLOCATED = 1;
const HAS_PARENT = 2;
/** Items that have to be there. */
const NEEDED = [
  Guid.fileParameters,
  Guid.virtualDiskSize,
  Guid.page83,
  Guid.logicalSectorSize,
  Guid.physicalSectorSize,
] as const;

/** What the metadata says. */
export interface Metadata {
  readonly blockSize: number;
  /** Blocks keep their space even if they hold only zeroes: a fixed image. */
  readonly leaveAllocated: boolean;
  /** Guest size in bytes, whole sectors. */
  readonly virtualSize: number;
  readonly logicalSectorSize: number;
  readonly physicalSectorSize: number;
}

/** Places of the known items in the file. */
async function readTable(file: Storage, offset: number, filename: string): Promise<Map<string, number>> {
  const bytes = await readAt(file, offset, TABLE_SIZE);
  const fields = littleEndian(bytes);
  const count = fields.u16(10);
  if (fields.latin1(0, 8) !== 'metadata' || count > MAX_TABLE_ENTRIES) {
    throw refuse(filename, 'invalid-image', 'the metadata table is damaged');
  }
  const known: readonly string[] = [...NEEDED, Guid.parentLocator];
  const items = new Map<string, number>();
  for (let at = 32; at < 32 + count * 32; at += 32) {
    const guid = guidText(fields.slice(at, 16));
    if (known.includes(guid)) {
      if (items.has(guid)) throw refuse(filename, 'invalid-image', 'the metadata table names an item twice');
      items.set(guid, offset + fields.u32(at + 16));
    } else if ((fields.u32(at + 24) & REQUIRED) !== 0) {
      throw refuse(filename, 'unsupported', `metadata item ${guid} is required, and unknown`);
    }
  }
  return items;
}

/** Reads and checks the metadata. */
export async function readMetadata(file: Storage, offset: number, filename: string): Promise<Metadata> {
  const items = await readTable(file, offset, filename);
  const lacking = NEEDED.find((guid) => !items.has(guid));
  if (lacking !== undefined) throw refuse(filename, 'unsupported', `metadata item ${lacking} is missing`);
  if (items.has(Guid.parentLocator)) throw refuse(filename, 'unsupported', 'images with a parent are not supported');
  const read = async (guid: string) => {
    const bytes = await readAt(file, items.get(guid) ?? 0, 8);
    return littleEndian(bytes);
  };
  const parameters = await read(Guid.fileParameters);
  const flags = parameters.u32(4);
  if ((flags & HAS_PARENT) !== 0)
    throw refuse(filename, 'invalid-image', 'the image has a parent but does not name it');
  const blockSize = parameters.u32(0);
  const size = (await read(Guid.virtualDiskSize)).u64lossy(0);
  const logicalSectorSize = (await read(Guid.logicalSectorSize)).u32(0);
  const physicalSectorSize = (await read(Guid.physicalSectorSize)).u32(0);
  if (!isPowerOfTwo(blockSize) || blockSize < MIN_BLOCK_SIZE || blockSize > MAX_BLOCK_SIZE) {
    throw refuse(filename, 'invalid-image', `blocks of ${blockSize} bytes`);
  }
  if (logicalSectorSize !== 512 && logicalSectorSize !== 4096) {
    throw refuse(filename, 'unsupported', `sectors of ${logicalSectorSize} bytes`);
  }
  if (size > MAX_VIRTUAL_SIZE) throw refuse(filename, 'invalid-image', 'the disk is larger than 64 TiB');
  return {
    blockSize,
    leaveAllocated: (flags & LEAVE_ALLOCATED) !== 0,
    virtualSize: size - (size % logicalSectorSize),
    logicalSectorSize,
    physicalSectorSize,
  };
}

/** A metadata region up to its last item, in the real tool's order of items. */
export function encodeMetadata(metadata: Metadata, diskId: Uint8Array): Uint8Array {
  const fields = littleEndian(new Uint8Array(TABLE_SIZE + 40));
  fields.set(0, utf8Bytes('metadata'));
  fields.setU16(10, NEEDED.length);
  const lengths = [8, 8, 16, 4, 4];
  let place = TABLE_SIZE;
  for (const [index, guid] of NEEDED.entries()) {
    const at = 32 + index * 32;
    const length = lengths[index] ?? 0;
    fields.set(at, guidBytes(guid));
    fields.setU32(at + 16, place);
    fields.setU32(at + 20, length);
    fields.setU32(at + 24, guid === Guid.fileParameters ? REQUIRED : REQUIRED | VIRTUAL_DISK);
    place += length;
  }
  fields.setU32(TABLE_SIZE, metadata.blockSize);
  fields.setU32(TABLE_SIZE + 4, metadata.leaveAllocated ? LEAVE_ALLOCATED : 0);
  fields.setU64(TABLE_SIZE + 8, metadata.virtualSize);
  fields.set(TABLE_SIZE + 16, diskId);
  fields.setU32(TABLE_SIZE + 32, metadata.logicalSectorSize);
  fields.setU32(TABLE_SIZE + 36, metadata.physicalSectorSize);
  return fields.bytes;
}
