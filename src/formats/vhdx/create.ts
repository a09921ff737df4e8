/** New VHDX images, laid out as the real tool lays them out. */
import { littleEndian, utf8Bytes } from '../../base/bytes.ts';
import { invalidArgument } from '../../base/error.ts';
import { alignUp, GiB, isPowerOfTwo, MiB, SECTOR, TiB } from '../../base/offset.ts';
import type { CreateContext } from '../../block/format.ts';
import type { OptionValues } from '../../options/table.ts';
import type { Storage } from '../../storage/storage.ts';
import { encodeHeader, type Header } from './header.ts';
import {
  BlockState,
  chunkRatio,
  Guid,
  guidBytes,
  HEADER_OFFSETS,
  MAX_BLOCK_SIZE,
  MAX_VIRTUAL_SIZE,
  MIN_BLOCK_SIZE,
  newGuid,
  REGION_TABLE_OFFSETS,
  SECTION,
  tableEntries,
} from './layout.ts';
import { encodeMetadata } from './metadata.ts';
import { encodeRegions } from './regions.ts';

/** Options of `create -o`, in the order in which the real tool repeats them. */
export const createOptions = {
  size: { kind: 'size', help: 'Size of the virtual disk, at most 64 TiB' },
  log_size: { kind: 'size', help: 'Size of the log, at least 1 MiB', default: 1048576 },
  block_size: { kind: 'size', help: 'Size of a block, 1 MiB to 256 MiB; 0 lets the disk size decide', default: 0 },
  subformat: { kind: 'string', help: 'Kind of image: dynamic (default) or fixed' },
  block_state_zero: { kind: 'bool', help: 'Record blocks without data as zeroes (default: on)' },
} as const;

/** Values of {@link createOptions}. */
type CreateOptions = OptionValues<typeof createOptions>;

/** Room for the metadata region and what may be added behind it. */
const METADATA_ROOM: number = 5 * MiB;
/** Entries of the table that are made at a time. */
const FILL_ENTRIES = 131072;

/** What a new image is going to be. */
interface Plan {
  readonly size: number;
  readonly blockSize: number;
  readonly logSize: number;
  readonly fixed: boolean;
  readonly zeroState: boolean;
}

function planOf(options: CreateOptions): Plan {
  const size = alignUp(options.size ?? 0, SECTOR);
  const subformat = options.subformat ?? 'dynamic';
  if (subformat !== 'dynamic' && subformat !== 'fixed') {
    throw invalidArgument(`Parameter 'subformat' does not accept value '${subformat}'`);
  }
  if (size > MAX_VIRTUAL_SIZE) throw invalidArgument('Image size too large; max of 64TB');
  return {
    size,
    logSize: logSizeOf(options.log_size),
    blockSize: blockSizeOf(options.block_size, size),
    fixed: subformat === 'fixed',
    zeroState: options.block_state_zero !== false,
  };
}

function logSizeOf(wanted: number): number {
  if (wanted === 0) throw invalidArgument('Log size must be a multiple of 1 MB');
  const size = alignUp(wanted, MiB);
  if (size >= 4 * GiB) throw invalidArgument('Log size must be smaller than 4 GB');
  return size;
}

function blockSizeOf(wanted: number, size: number): number {
  const rounded = alignUp(wanted === 0 ? defaultBlockSize(size) : wanted, MIN_BLOCK_SIZE);
  const blockSize = Math.min(rounded, MAX_BLOCK_SIZE);
  if (!isPowerOfTwo(blockSize)) throw invalidArgument('Block size must be a power of two');
  return blockSize;
}

/** Larger disks get larger blocks, as with the real tool. */
function defaultBlockSize(size: number): number {
  if (size > 32 * TiB) return 64 * MiB;
  if (size > 100 * GiB) return 32 * MiB;
  return size > GiB ? 16 * MiB : 8 * MiB;
}

/** Writes an empty image into `context.file`; the file type identifier comes last. */
export async function create(context: CreateContext, options: CreateOptions): Promise<void> {
  const plan = planOf(options);
  const { file } = context;
  const random = (into: Uint8Array): void => context.services.random(into);
  const blocks = Math.ceil(plan.size / plan.blockSize);
  const ratio = chunkRatio(plan.blockSize, SECTOR);
  const bat = { offset: SECTION + plan.logSize, length: alignUp(tableEntries(blocks, ratio) * 8, MiB) };
  const metadata = { offset: bat.offset + bat.length, length: MiB };
  const payload = metadata.offset + METADATA_ROOM;
  await file.truncate(payload + (plan.fixed ? plan.size : 0));
  await writeHeaders(file, plan, random);
  for (const offset of REGION_TABLE_OFFSETS) await file.write(offset, encodeRegions({ bat, metadata }));
  await file.write(
    metadata.offset,
    encodeMetadata(
      {
        blockSize: plan.blockSize,
        leaveAllocated: plan.fixed,
        virtualSize: plan.size,
        logicalSectorSize: SECTOR,
        physicalSectorSize: SECTOR,
      },
      newGuid(random),
    ),
  );
  await writeTable(file, bat.offset, { plan, blocks, ratio, payload });
  await file.write(0, fileTypeIdentifier());
}

/** The identifier of the file type, and the program that wrote it, in UTF-16. */
function fileTypeIdentifier(): Uint8Array {
  const fields = littleEndian(new Uint8Array(24));
  fields.set(0, utf8Bytes('vhdxfile'));
  for (const [index, byte] of utf8Bytes('qimg').entries()) fields.setU16(8 + index * 2, byte);
  return fields.bytes;
}

async function writeHeaders(file: Storage, plan: Plan, random: (into: Uint8Array) => void): Promise<void> {
  const start = new Uint8Array(4);
  random(start);
  const header: Header = {
    sequence: BigInt(littleEndian(start).u32(0)),
    fileWriteGuid: newGuid(random),
    dataWriteGuid: newGuid(random),
    logGuid: guidBytes(Guid.zero),
    logVersion: 0,
    logLength: plan.logSize,
    logOffset: SECTION,
  };
  await file.write(HEADER_OFFSETS[0], encodeHeader(header));
  await file.write(HEADER_OFFSETS[1], encodeHeader({ ...header, sequence: header.sequence + 1n }));
}

/** What a new table describes. */
interface TablePlan {
  readonly plan: Plan;
  readonly blocks: number;
  readonly ratio: number;
  /** Place of the first block of a fixed image. */
  readonly payload: number;
}

/** Writes the table, unless it is all zeroes. Entries of sector bitmaps stay zero: only images with a parent use them. */
async function writeTable(file: Storage, offset: number, table: TablePlan): Promise<void> {
  const { plan, blocks, ratio } = table;
  if (!plan.fixed && !plan.zeroState) return;
  const entries = blocks === 0 ? 0 : tableEntries(blocks, ratio);
  for (let first = 0; first < entries; first += FILL_ENTRIES) {
    const count = Math.min(FILL_ENTRIES, entries - first);
    const fields = littleEndian(new Uint8Array(count * 8));
    for (let index = first; index < first + count; index++) {
      if (index % (ratio + 1) === ratio) continue;
      const block = index - Math.floor(index / (ratio + 1));
      const present = table.payload + block * plan.blockSize + BlockState.fullyPresent;
      fields.setU64((index - first) * 8, plan.zeroState ? BlockState.zero : present);
    }
    await file.write(offset + first * 8, fields.bytes);
  }
}
