/** The VHD driver (`vpc`): registration, options, and opening. */
import { BlockError, invalidArgument, invalidImage, posixError, unsupported } from '../../base/error.ts';
import { isPowerOfTwo, SECTOR } from '../../base/offset.ts';
import type { ProtocolStorage } from '../../block/protocol.ts';
import type { ImageDriver } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { create, createOptions } from './create.ts';
import { dynamicCheckerOf } from './deepCheck.ts';
import { DynamicImage, FixedImage } from './image.ts';
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
  throw invalidArgument(`Invalid size calculation mode: '${rule}'`);
}

/** The footer that counts. */
interface FoundFooter {
  readonly bytes: Uint8Array;
  /** A dynamic disk header belongs to it. */
  readonly dynamic: boolean;
  readonly footer: Footer;
}

/** The footer in a sector; undefined if there is none, or a damaged one. */
function intactFooter(bytes: Uint8Array): Footer | undefined {
  const footer = hasFooterCookie(bytes) ? parseFooter(bytes) : undefined;
  return footer?.intact ? footer : undefined;
}

/**
 * The footer of an image. Dynamic ones have a copy at the start, which counts, because that is where the real tool looks;
 * if it is damaged, the footer at the end counts, as the specification means it ("Virtual Hard Disk Image Format
 * Specification", Dynamic Hard Disk Image: the copy is there in case of the footer's corruption).
 */
async function findFooter({ file, filename, intent, warn }: OpenContext): Promise<FoundFooter> {
  const first = await readAt(file, 0, FOOTER_SIZE);
  const copy = intactFooter(first);
  if (!hasFooterCookie(first) && file.size() === 0) {
    throw new BlockError('wrong-format', 'File too small for a VHD header');
  }
  // Old versions of Virtual PC wrote footers of 511 bytes.
  const last = await readAt(file, footerPlace(file), FOOTER_SIZE);
  const footer = intactFooter(last);
  if (copy) {
    // A device, or an export, ends where it ends.
    const { fixed }: ProtocolStorage = file;
    if (!footer && !fixed && copy.type !== DiskType.fixed && intent !== 'check') {
      warn(`'${filename}' has no intact footer at its end; the copy at its start is used`);
    }
    return { bytes: first, dynamic: true, footer: copy };
  }
  if (footer && footer.type !== DiskType.fixed) {
    warn(`The first sector of '${filename}' is damaged; the footer at its end is used`);
    return { bytes: last, dynamic: true, footer };
  }
  if (!hasFooterCookie(first)) {
    if (!hasFooterCookie(last) || parseFooter(last).type !== DiskType.fixed) {
      throw new BlockError('wrong-format', 'invalid VPC image');
    }
    if (footer) return { bytes: last, dynamic: false, footer };
  }
  throw invalidImage('Incorrect header checksum');
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
  if (offset + HEADER_SIZE >= MAX_OFFSET) throw invalidImage('Error reading dynamic VHD header');
  await file.readPadded(offset, bytes);
  const header = parseDynamicHeader(bytes);
  if (!header) throw invalidImage('Invalid header magic');
  return header;
}

function checkDynamicHeader(header: DynamicHeader, virtualSize: number): void {
  const { blockSize, maxTableEntries, tableOffset } = header;
  if (!isPowerOfTwo(blockSize) || blockSize < SECTOR) {
    throw invalidImage(`Invalid block size ${blockSize}`);
  }
  if (maxTableEntries * blockSize < virtualSize) throw invalidImage('Page table too small');
  if (maxTableEntries > MAX_ENTRIES) {
    // Shown as a signed number, as the real tool does.
    throw invalidImage(`Max Table Entries too large (${Math.trunc(maxTableEntries) | 0})`);
  }
  if (tableOffset + maxTableEntries * 4 >= MAX_OFFSET) {
    throw invalidImage('Error reading pagetable');
  }
}

async function open(context: OpenContext<typeof openOptions>): Promise<ImageDriver> {
  const { file, filename } = context;
  const rule = sizeRule(context.options);
  const { bytes, dynamic, footer } = await findFooter(context);
  const virtualSize = sizeOf(footer, rule, filename);
  if (!dynamic) return openFixed(context, virtualSize);
  const header = await readDynamicHeader(file, footer.dataOffset);
  checkDynamicHeader(header, virtualSize);
  const { blockSize, tableOffset: offset, maxTableEntries: entries } = header;
  const table = await BlockTable.load(file, { offset, entries, blockBytes: bitmapSize(blockSize) + blockSize });
  if (footer.type === DiskType.fixed) return openFixed(context, virtualSize);
  if (footer.type === DiskType.differencing && context.intent !== 'info') {
    throw unsupported('Differencing VHD images are not supported: their parent would be missing');
  }
  const layout = { headerOffset: footer.dataOffset, tableOffset: offset, entries };
  const copy = await readAt(file, 0, FOOTER_SIZE);
  const checker = dynamicCheckerOf({ file, virtualSize, footer: copy, blockSize, table, ...layout });
  return new DynamicImage({ file, table, virtualSize, blockSize, footer: bytes, checker });
}

function openFixed(context: OpenContext, virtualSize: number): ImageDriver {
  if (!context.readOnly && context.intent !== 'info' && virtualSize > footerPlace(context.file)) {
    throw invalidImage('The image is shorter than its disk; writing would overwrite its footer');
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
