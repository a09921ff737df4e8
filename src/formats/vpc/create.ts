/** New VHD images, laid out as the real tool lays them out. */
import { BlockError, invalidArgument } from '../../base/error.ts';
import { alignUp, divideUp, SECTOR } from '../../base/offset.ts';
import type { CreateContext } from '../../block/format.ts';
import type { OptionValues } from '../../options/table.ts';
import type { Storage } from '../../storage/storage.ts';
import { type DiskSize, exactSize, MAX_SECTORS, roundToGeometry } from './geometry.ts';
import { DiskType, encodeDynamicHeader, encodeFooter, FOOTER_SIZE, HEADER_SIZE } from './header.ts';

/** Bytes in a block of a new dynamic image. */
const BLOCK_SIZE = 2097152;
/** The block allocation table follows the headers. */
const TABLE_OFFSET = FOOTER_SIZE + HEADER_SIZE;

/** Options of `create -o`, in the order in which the real tool repeats them. */
export const createOptions = {
  size: { kind: 'size', help: 'Size of the virtual disk' },
  subformat: { kind: 'string', help: 'Kind of image: dynamic (default) or fixed' },
  force_size: { kind: 'bool', help: 'Keep the size exactly instead of rounding it up to a disk geometry' },
} as const;

/** Writes an empty image into `context.file`. */
export async function create(context: CreateContext, options: OptionValues<typeof createOptions>): Promise<void> {
  const subformat = options.subformat ?? 'dynamic';
  if (subformat !== 'dynamic' && subformat !== 'fixed') {
    throw invalidArgument(`Parameter 'subformat' does not accept value '${subformat}'`);
  }
  const wanted = options.size ?? 0;
  const exact = options.force_size === true;
  if (divideUp(wanted, SECTOR) > MAX_SECTORS) throw new BlockError('too-large', 'File too large');
  const disk = exact ? exactSize(wanted) : roundToGeometry(wanted);
  const footer = footerOf(context, disk, exact, subformat === 'fixed');
  if (subformat === 'fixed') await writeFixed(context.file, disk.size, footer);
  else await writeDynamic(context.file, disk.size, footer);
}

function footerOf(context: CreateContext, disk: DiskSize, exact: boolean, fixed: boolean): Uint8Array {
  const id = new Uint8Array(16);
  context.services.random(id);
  // A random identifier (RFC 9562, version 4).
  id[6] = ((id[6] as number) & 0x0f) | 0x40;
  id[8] = ((id[8] as number) & 0x3f) | 0x80;
  return encodeFooter({
    // The creator decides whether readers trust the size or the geometry.
    creator: exact ? 'qem2' : 'qemu',
    dataOffset: fixed ? undefined : FOOTER_SIZE,
    size: disk.size,
    geometry: disk.geometry,
    type: fixed ? DiskType.fixed : DiskType.dynamic,
    time: context.services.now().seconds,
    id,
  });
}

async function writeFixed(file: Storage, size: number, footer: Uint8Array): Promise<void> {
  await file.truncate(size + FOOTER_SIZE);
  await file.write(size, footer);
}

/** Footer, header, table without blocks, and the footer again at the end. */
async function writeDynamic(file: Storage, size: number, footer: Uint8Array): Promise<void> {
  const entries = divideUp(size, BLOCK_SIZE);
  const tableBytes = alignUp(entries * 4, SECTOR);
  const bytes = new Uint8Array(TABLE_OFFSET + tableBytes + FOOTER_SIZE);
  bytes.set(footer, 0);
  bytes.set(
    encodeDynamicHeader({ tableOffset: TABLE_OFFSET, maxTableEntries: entries, blockSize: BLOCK_SIZE }),
    FOOTER_SIZE,
  );
  bytes.fill(0xff, TABLE_OFFSET, TABLE_OFFSET + tableBytes);
  bytes.set(footer, TABLE_OFFSET + tableBytes);
  await file.write(0, bytes);
}
