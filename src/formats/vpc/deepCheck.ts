/** Structure check of VHD images, by the "Virtual Hard Disk Image Format Specification". */
import { bigEndian, equalBytes } from '../../base/bytes.ts';
import { alignUp, divideUp, SECTOR } from '../../base/offset.ts';
import { isZero } from '../../base/zero.ts';
import type { CheckFindings, Checker } from '../../block/capabilities.ts';
import type { Report } from '../../block/report.ts';
import { type ClusterCounts, hex, StructureCheck } from '../../block/kit/structureCheck.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { bitmapSize, checksum, DiskType, FOOTER_SIZE, HEADER_SIZE, parseFooter } from './header.ts';
import { hasFooterCookie } from './probe.ts';
import type { BlockTable } from './tables.ts';

/** The one version of footers and of dynamic disk headers. */
const VERSION = 0x10000;
const FOOTER_VERSION_AT = 12;
const HEADER_VERSION_AT = 24;
const HEADER_CHECKSUM_AT = 36;
/** Bytes of an entry of the block allocation table. */
const ENTRY_SIZE = 4;

/** What the check needs of an open dynamic image. */
export interface DynamicLayout {
  readonly file: Storage;
  readonly virtualSize: number;
  /** The copy of the footer at the start of the file. */
  readonly footer: Uint8Array;
  /** Place of the dynamic disk header. */
  readonly headerOffset: number;
  readonly tableOffset: number;
  readonly entries: number;
  readonly blockSize: number;
  readonly table: BlockTable;
}

/** What the check needs of an open fixed image. */
export interface FixedLayout {
  readonly file: Storage;
  readonly virtualSize: number;
}

/** The checker of a dynamic image: both footers, the header, and blocks that lie apart and in the file. */
export function dynamicCheckerOf(layout: DynamicLayout): Checker {
  return { deepOnly: true, repairs: false, check: (_, report) => checkDynamic(layout, report) };
}

/** The checker of a fixed image: the footer behind the disk. */
export function fixedCheckerOf({ file, virtualSize }: FixedLayout): Checker {
  return {
    deepOnly: true,
    repairs: false,
    async check(_, report) {
      const check = new StructureCheck(report, alignUp(file.size(), SECTOR));
      check.claim('the disk', 0, virtualSize);
      const footer = await checkLastFooter(check, file);
      if (footer && bigEndian(footer).u32(60) !== DiskType.fixed)
        check.damage('the footer is not that of a fixed disk');
      return check.finish(undefined);
    },
  };
}

async function checkDynamic(layout: DynamicLayout, report: Report): Promise<CheckFindings> {
  const { file, footer, headerOffset, tableOffset, entries, blockSize } = layout;
  const check = new StructureCheck(report, alignUp(file.size(), SECTOR));
  check.claim('the copy of the footer', 0, FOOTER_SIZE);
  checkFooter(check, footer, 'copy of the footer');
  const last = await checkLastFooter(check, file);
  if (last && !equalBytes(last, footer)) check.damage('the footer and its copy differ');
  if (check.claim('the header', headerOffset, HEADER_SIZE)) await checkHeader(check, file, headerOffset);
  check.claim('the block allocation table', tableOffset, alignUp(entries * ENTRY_SIZE, SECTOR));
  if (tableOffset % SECTOR !== 0) check.damage('the block allocation table does not start on a sector');
  const clusters = await checkBlocks(check, layout);
  return check.finish(bitmapSize(blockSize) + blockSize, clusters);
}

/** The footer that ends the file; undefined if there is none. */
async function checkLastFooter(check: StructureCheck, file: Storage): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(FOOTER_SIZE);
  const offset = alignUp(file.size(), SECTOR) - FOOTER_SIZE;
  await file.readPadded(offset, bytes);
  if (!hasFooterCookie(bytes)) {
    check.damage('there is no footer at the end of the file');
    return undefined;
  }
  check.claim('the footer', offset, FOOTER_SIZE);
  checkFooter(check, bytes, 'footer');
  return bytes;
}

function checkFooter(check: StructureCheck, bytes: Uint8Array, name: string): void {
  const { intact, type } = parseFooter(bytes);
  const version = bigEndian(bytes).u32(FOOTER_VERSION_AT);
  if (!intact) check.damage(`checksum of the ${name} is wrong`);
  if (version !== VERSION) check.damage(`version ${hex(version)} of the ${name} is unknown`);
  if (!Object.values<number>(DiskType).includes(type)) check.damage(`disk type ${type} of the ${name} is unknown`);
}

async function checkHeader(check: StructureCheck, file: Storage, offset: number): Promise<void> {
  const bytes = await readAt(file, offset, HEADER_SIZE);
  const fields = bigEndian(bytes);
  const version = fields.u32(HEADER_VERSION_AT);
  if (version !== VERSION) check.damage(`version ${hex(version)} of the header is unknown`);
  if (checksum(bytes, HEADER_CHECKSUM_AT) !== fields.u32(HEADER_CHECKSUM_AT)) {
    check.damage('checksum of the header is wrong');
  }
}

async function checkBlocks(check: StructureCheck, layout: DynamicLayout): Promise<ClusterCounts> {
  const { table, entries, blockSize, virtualSize, footer } = layout;
  const stored = bitmapSize(blockSize) + blockSize;
  const clusters: ClusterCounts = {
    total: divideUp(virtualSize, blockSize),
    allocated: 0,
    fragmented: 0,
    compressed: 0,
  };
  // In a differencing image the bitmap tells which sectors are the parent's.
  const ownsAll = parseFooter(footer).type !== DiskType.differencing;
  let last: number | undefined;
  for (let block = 0; block < entries; block++) {
    const place = table.get(block);
    if (place === undefined) continue;
    if (block >= clusters.total) check.damage(`block ${block} is behind the end of the disk`);
    const there = check.claim('a block', place, stored, `block ${block}`);
    if (there && ownsAll) await checkBitmap(check, layout, block, place);
    clusters.allocated++;
    if (last !== undefined && place !== last + stored) clusters.fragmented++;
    last = place;
  }
  return clusters;
}

/** Sectors that the bitmap of a block calls unused hold zeroes: other programs do not read them. */
async function checkBitmap(check: StructureCheck, layout: DynamicLayout, block: number, place: number): Promise<void> {
  const { file, blockSize } = layout;
  const bitmap = await readAt(file, place, bitmapSize(blockSize));
  const unused = (sector: number): boolean => (((bitmap[sector >>> 3] ?? 0) << (sector & 7)) & 0x80) === 0;
  const sectors = blockSize / SECTOR;
  for (let sector = 0; sector < sectors; sector++) {
    if (!unused(sector)) continue;
    const first = sector;
    while (sector + 1 < sectors && unused(sector + 1)) sector++;
    const bytes = await readAt(file, place + bitmap.length + first * SECTOR, (sector + 1 - first) * SECTOR);
    if (isZero(bytes)) continue;
    check.damage(`block ${block} has data in sectors that its bitmap calls unused`);
    return;
  }
}
