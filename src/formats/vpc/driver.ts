/** The VHD driver (`vpc`): registration, options, and opening. */
import { BlockError, posixError } from '../../base/error.ts';
import { isPowerOfTwo, SECTOR } from '../../base/offset.ts';
import type { FormatDriver, ImageDriver, OpenContext } from '../../block/driver.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import type { Storage } from '../../storage/storage.ts';
import { create, createOptions } from './create.ts';
import { dynamicCheckerOf } from './deepCheck.ts';
import { DynamicImage } from './dynamic.ts';
import { FixedImage } from './fixed.ts';
import { MAX_GEOMETRY_SECTORS, MAX_SECTORS, sectorsOf } from './geometry.ts';
import {
  bitmapSize,
  DiskType,
  type DynamicHeader,
  type Footer,
  FOOTER_SIZE,
  HEADER_SIZE,
  parseDynamicHeader,
  parseFooter,
} from './header.ts';
import { hasFooterCookie, probe } from './probe.ts';
import { BlockTable } from './tables.ts';

const openOptions = {
  force_size_calc: { kind: 'string', help: 'Where the size comes from: chs (geometry) or current_size' },
} as const satisfies OptionTable;

/** Creators whose sizes are those of the geometry: Virtual PC, and the real tool without `force_size`. */
const GEOMETRY_CREATORS: readonly string[] = ['vpc ', 'qemu'];
/** Offsets beyond this cannot be read. */
const MAX_OFFSET = 2 ** 63;
/** Most table entries: their bytes fit in a signed 32-bit number. */
const MAX_ENTRIES = 0x1fffffff;

/** How the size is found out; undefined: the creator decides. */
type SizeRule = 'chs' | 'current_size' | undefined;

function sizeRule(options: OptionValues<typeof openOptions>): SizeRule {
  const rule = options.force_size_calc;
  if (rule === undefined || rule === 'chs' || rule === 'current_size') return rule;
  throw new BlockError('invalid-argument', `Invalid size calculation mode: '${rule}'`);
}

/** The footer that counts. */
interface FoundFooter {
  readonly bytes: Uint8Array;
  /** It is the copy at the start, which only images with a dynamic disk header have. */
  readonly atStart: boolean;
  readonly footer: Footer;
}

async function findFooter(file: Storage): Promise<FoundFooter> {
  const bytes = new Uint8Array(FOOTER_SIZE);
  await file.readPadded(0, bytes);
  const atStart = hasFooterCookie(bytes);
  if (!atStart) {
    if (file.size() === 0) throw new BlockError('wrong-format', 'File too small for a VHD header');
    // Old versions of Virtual PC wrote footers of 511 bytes.
    await file.readPadded(footerPlace(file), bytes);
    if (!hasFooterCookie(bytes) || parseFooter(bytes).type !== DiskType.fixed) {
      throw new BlockError('wrong-format', 'invalid VPC image');
    }
  }
  const footer = parseFooter(bytes);
  if (!footer.intact) throw new BlockError('invalid-image', 'Incorrect header checksum');
  return { bytes, atStart, footer };
}

function footerPlace(file: Storage): number {
  return Math.ceil(file.size() / SECTOR) * SECTOR - FOOTER_SIZE;
}

function sizeOf(footer: Footer, rule: SizeRule, filename: string): number {
  const byGeometry = sectorsOf(footer.geometry);
  // The largest geometry means that the disk may be larger than geometries can express.
  const geometryCounts =
    byGeometry !== MAX_GEOMETRY_SECTORS &&
    (rule === 'chs' || (rule === undefined && GEOMETRY_CREATORS.includes(footer.creator)));
  const sectors = geometryCounts ? byGeometry : Math.floor(footer.currentSize / SECTOR);
  if (sectors > MAX_SECTORS) throw posixError('too-large', `Could not open '${filename}'`);
  return sectors * SECTOR;
}

async function readDynamicHeader(file: Storage, offset: number): Promise<DynamicHeader> {
  const bytes = new Uint8Array(HEADER_SIZE);
  if (offset + HEADER_SIZE >= MAX_OFFSET) throw new BlockError('invalid-image', 'Error reading dynamic VHD header');
  await file.readPadded(offset, bytes);
  const header = parseDynamicHeader(bytes);
  if (!header) throw new BlockError('invalid-image', 'Invalid header magic');
  return header;
}

function checkDynamicHeader(header: DynamicHeader, virtualSize: number): void {
  const { blockSize, maxTableEntries, tableOffset } = header;
  if (!isPowerOfTwo(blockSize) || blockSize < SECTOR) {
    throw new BlockError('invalid-image', `Invalid block size ${blockSize}`);
  }
  if (maxTableEntries * blockSize < virtualSize) throw new BlockError('invalid-image', 'Page table too small');
  if (maxTableEntries > MAX_ENTRIES) {
    // Shown as a signed number, as the real tool does.
    throw new BlockError('invalid-image', `Max Table Entries too large (${Math.trunc(maxTableEntries) | 0})`);
  }
  if (tableOffset + maxTableEntries * 4 >= MAX_OFFSET) {
    throw new BlockError('invalid-image', 'Error reading pagetable');
  }
}

async function open(context: OpenContext<typeof openOptions>): Promise<ImageDriver> {
  const { file, filename } = context;
  const rule = sizeRule(context.options);
  const { bytes, atStart, footer } = await findFooter(file);
  const virtualSize = sizeOf(footer, rule, filename);
  if (!atStart) return openFixed(context, virtualSize);
  const header = await readDynamicHeader(file, footer.dataOffset);
  checkDynamicHeader(header, virtualSize);
  const { blockSize, tableOffset: offset, maxTableEntries: entries } = header;
  const table = await BlockTable.load(file, { offset, entries, blockBytes: bitmapSize(blockSize) + blockSize });
  if (footer.type === DiskType.fixed) return openFixed(context, virtualSize);
  if (footer.type === DiskType.differencing && context.intent !== 'info') {
    throw new BlockError('unsupported', 'Differencing VHD images are not supported: their parent would be missing');
  }
  const layout = { headerOffset: footer.dataOffset, tableOffset: offset, entries };
  const deepChecker = dynamicCheckerOf({ file, virtualSize, footer: bytes, blockSize, table, ...layout });
  return new DynamicImage({ file, table, virtualSize, blockSize, footer: bytes, deepChecker });
}

function openFixed(context: OpenContext, virtualSize: number): ImageDriver {
  if (!context.readOnly && context.intent !== 'info' && virtualSize > footerPlace(context.file)) {
    throw new BlockError('invalid-image', 'The image is shorter than its disk; writing would overwrite its footer');
  }
  return new FixedImage(context.file, virtualSize);
}

/** The VHD format, under the name that the real tool has for it. */
export const vpc: FormatDriver = {
  name: 'vpc',
  probe,
  openOptions,
  createOptions,
  open,
  create,
} satisfies FormatDriver<typeof openOptions, typeof createOptions>;
