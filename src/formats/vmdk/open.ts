/** Opens images: a sparse extent with its own descriptor, or a descriptor and the extents that it names. */
import { asBlockError, BlockError, invalidImage, unsupported } from '../../base/error.ts';
import { littleEndian } from '../../base/bytes.ts';
import { alignUp, MAX_SIZE, SECTOR } from '../../base/offset.ts';
import { isZero } from '../../base/zero.ts';
import type { OpenContext } from '../../block/format.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import {
  contentId,
  createType,
  descriptorText,
  type DescriptorText,
  type ExtentLine,
  extentLines,
  MAX_DESCRIPTOR,
  parentName,
} from './descriptor.ts';
import { EmptyExtent, type Extent, FlatExtent } from './extent.ts';
import { ioError } from './grains.ts';
import {
  capacityOf,
  DESCRIPTOR_OFFSET,
  DESCRIPTOR_SECTORS,
  footerOf,
  hasMagic,
  HEADER_SIZE,
  parseCowdHeader,
  parseSparseHeader,
  refersToFooter,
  type SparseHeader,
} from './header.ts';
import { VmdkImage } from './image.ts';
import { openSeSparse } from './seSparse.ts';
import { SparseExtent } from './sparse.ts';
import { StreamExtent } from './stream.ts';

/** Offsets beyond this cannot be read. */
const MAX_OFFSET = 2 ** 63;

/** Sectors at the end of a stream: footer marker, footer, end-of-stream marker. */
const END_SECTORS = 3;
/** Zeroes that are passed over behind a stream, and read at a time. */
const MAX_PADDING = 67108864;
const PADDING_STEP = 1048576;
/** What a stream without a footer comes from. */
const CUT_STREAM = 'The stream has no end: the file was cut off, or something else follows it';

/**
 * Kinds of images of several files that can be opened: those of "Virtual Disk Format 5.0", and those that VMware products
 * write besides. The kind says how the files came about; what is in them, each extent's own type says.
 */
const CREATE_TYPES: readonly string[] = [
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'vmfs',
  'vmfsSparse',
  'seSparse',
  'fullDevice',
  'partitionedDevice',
  'custom',
  'vmfsRaw',
  'vmfsRawDeviceMap',
  'vmfsPassthroughRawDeviceMap',
  'vmfsRDM',
  'vmfsRDMP',
  'vmfsThin',
  'vmfsPreallocated',
  'vmfsEagerZeroedThick',
];

/** Opens an image. @throws BlockError with the real tool's wording. */
export async function openVmdk(context: OpenContext): Promise<VmdkImage> {
  try {
    return await openByMagic(context);
  } catch (thrown) {
    const error = asBlockError(thrown);
    // Where the real tool has no message of its own, the block layer names the file once more.
    if (error.message !== error.strerror) throw error;
    throw error.reworded(`Could not open '${context.filename}': ${error.message}`);
  }
}

async function openByMagic(context: OpenContext): Promise<VmdkImage> {
  const { file } = context;
  refuseEmpty(file);
  const head = await readAt(file, 0, HEADER_SIZE);
  if (hasMagic(head, 'KDMV') && capacityOf(head) === 0) {
    const fields = littleEndian(head);
    const offset = fields.u64lossy(28) * SECTOR;
    const length = Math.min(fields.u64lossy(36) * SECTOR, MAX_DESCRIPTOR);
    if (offset !== 0) return openDescriptor(context, descriptorText(await readAt(file, offset, length)), offset);
  }
  if (!hasMagic(head, 'KDMV') && !hasMagic(head, 'COWD')) {
    const bytes = await readAt(file, 0, Math.min(file.size(), MAX_DESCRIPTOR));
    return openDescriptor(context, descriptorText(bytes), undefined);
  }
  const extent = await openSparse(file, '', context);
  const descriptor = descriptorText(await readAt(file, DESCRIPTOR_OFFSET, DESCRIPTOR_SECTORS * SECTOR));
  const whole = file.size() >= DESCRIPTOR_OFFSET + DESCRIPTOR_SECTORS * SECTOR;
  if (whole && !descriptor.includes('CID')) throw bareExtent(context.filename);
  return finish(context, {
    extents: [extent],
    children: [],
    descriptor,
    descriptorOffset: DESCRIPTOR_OFFSET,
    createType: extent.compressed ? 'streamOptimized' : hasMagic(head, 'KDMV') ? 'monolithicSparse' : '',
  });
}

/** The error for an extent that has no descriptor: it is a part of an image. */
function bareExtent(filename: string): BlockError {
  const [, base] = /^(.*)-(?:s\d{3,}|delta)\.vmdk$/is.exec(filename) ?? [];
  const image = base === undefined ? '' : `, probably '${base}.vmdk'`;
  const hint = `'${filename}' is one extent of a VMDK image: open the image by its descriptor${image}`;
  return invalidImage('Invalid argument', { hint });
}

/** What differs between images of one file and of several. */
interface Found {
  readonly extents: readonly Extent[];
  readonly children: readonly { readonly role: string; readonly node: Storage }[];
  readonly descriptor: DescriptorText;
  readonly descriptorOffset: number | undefined;
  readonly createType: string;
}

function finish(context: OpenContext, found: Found): VmdkImage {
  const { file, readOnly, services } = context;
  const size = found.extents.reduce((sum, extent) => sum + extent.bytes, 0);
  if (size > MAX_SIZE) throw new BlockError('too-large', 'Could not refresh total sector count: File too large');
  contentId(found.descriptor);
  parentName(found.descriptor);
  const complain = (text: string): void => context.complain?.(text);
  return new VmdkImage({ ...found, file, readOnly, services, complain });
}

/** Opens the extents that a descriptor names. */
async function openDescriptor(
  context: OpenContext,
  descriptor: DescriptorText,
  descriptorOffset: number | undefined,
): Promise<VmdkImage> {
  const type = createType(descriptor);
  if (!CREATE_TYPES.includes(type)) throw unsupported(`Unsupported image type '${type}'`);
  const lines = extentLines(descriptor, context.services.limits.extents);
  // An image of size 0 has no line at all; one with lines of other kinds only cannot be used.
  if (lines.length === 0 && /^[ \t]*\w+\s+[+-]?\w+\s+\w+/m.test(descriptor)) {
    throw unsupported('invalid VMDK image descriptor: no extent that can be read');
  }
  const extents: Extent[] = [];
  const children: { readonly role: string; readonly node: Storage }[] = [];
  for (const line of lines) {
    const empty = emptyExtent(line, context);
    if (empty) {
      extents.push(empty);
      continue;
    }
    const role = `extents.${children.length}`;
    const how = { dataOnly: isFlat(line), ...(line.access === 'RW' ? {} : { writable: false }) };
    const node = await context.openChild(role, line.filename, how);
    if (!node) throw new BlockError('not-found', `Could not open '${line.filename}': No such file or directory`);
    children.push({ role, node });
    extents.push(await openExtent(node, line, context));
  }
  const createdAs = extents.some((extent) => extent.compressed) ? 'streamOptimized' : type;
  return finish(context, { extents, children, descriptor, descriptorOffset, createType: createdAs });
}

/** An extent that needs no file; undefined for others. */
function emptyExtent({ access, type, sectors }: ExtentLine, context: OpenContext): EmptyExtent | undefined {
  const bytes = sectors * SECTOR;
  if (type === 'ZERO') return new EmptyExtent(type, bytes);
  if (access !== 'NOACCESS') return undefined;
  return new EmptyExtent(type ?? '', bytes, (text) => context.complain?.(text));
}

function isFlat({ type }: ExtentLine): boolean {
  return type === 'FLAT' || type === 'VMFS' || type === 'VMFSRAW' || type === 'VMFSRDM';
}

async function openExtent(storage: Storage, line: ExtentLine, context: OpenContext): Promise<Extent> {
  const type = line.type ?? '';
  if (type === 'SESPARSE') return openSeSparse(storage, type);
  if (!isFlat(line)) return openSparse(storage, type, context);
  const extent = new FlatExtent(storage, type, line.offset * SECTOR, line.sectors * SECTOR);
  // The file of a mapped device is a pointer as soon as it has left its datastore.
  if (type.startsWith('VMFSR') && storage.size() < extent.bytes && context.intent !== 'info') {
    const problem = `'${line.filename}' has ${storage.size()} bytes instead of the ${extent.bytes} of the device`;
    throw invalidImage(`${problem} that it stands for`);
  }
  return extent;
}

function refuseEmpty(storage: Storage): void {
  if (storage.size() === 0) throw invalidImage('File is too small, not a valid image');
}

/** Opens a sparse extent by its magic; its size is what its own header says. */
async function openSparse(storage: Storage, type: string, context: OpenContext): Promise<Extent> {
  refuseEmpty(storage);
  const head = await readAt(storage, 0, HEADER_SIZE);
  if (hasMagic(head, 'COWD')) return new SparseExtent(storage, type, parseCowdHeader(head));
  if (!hasMagic(head, 'KDMV')) throw new BlockError('wrong-format', 'Image not in VMDK format');
  const header = await sparseHeader(storage, head);
  if (!header.compressed) return new SparseExtent(storage, type, header);
  const complain = (text: string): void => context.complain?.(text);
  return new StreamExtent(storage, type, header, { services: context.services, complain });
}

async function sparseHeader(storage: Storage, head: Uint8Array): Promise<SparseHeader> {
  if (!refersToFooter(head)) return readable(parseSparseHeader(head, storage.size()), storage);
  const end = alignUp(storage.size(), SECTOR);
  if (end < END_SECTORS * SECTOR) throw new BlockError('io', 'Failed to read footer: Input/output error');
  const footer =
    footerOf(await readAt(storage, end - END_SECTORS * SECTOR, END_SECTORS * SECTOR)) ??
    (await paddedFooter(storage, end));
  if (!footer) throw invalidImage('Invalid footer', { hint: CUT_STREAM });
  if (refersToFooter(footer)) {
    throw unreadable('l1 table', storage);
  }
  return { ...readable(parseSparseHeader(footer, storage.size()), storage), footer: true };
}

/**
 * The footer of a stream that zeroes follow: transfers and devices pad to whole blocks. The last sector that is not zero
 * is the footer's then, because the end-of-stream marker consists of zeroes.
 */
async function paddedFooter(storage: Storage, end: number): Promise<Uint8Array | undefined> {
  for (let at = end; at > Math.max(0, end - MAX_PADDING); ) {
    const start = Math.max(0, at - PADDING_STEP);
    const bytes = await readAt(storage, start, at - start);
    let used = bytes.length;
    while (used > 0 && isZero(bytes.subarray(used - SECTOR, used))) used -= SECTOR;
    if (used > 0) {
      const footer = start + used - SECTOR;
      return footer < SECTOR ? undefined : footerOf(await readAt(storage, footer - SECTOR, END_SECTORS * SECTOR));
    }
    at = start;
  }
  return undefined;
}

/** Throws if a directory is where nothing can be read; one behind the end of the file is an empty one. */
function readable(header: SparseHeader, storage: Storage): SparseHeader {
  const { directoryOffset, redundantOffset = 0, directoryEntries } = header;
  if (directoryOffset + directoryEntries * 4 > MAX_OFFSET) throw unreadable('l1 table', storage);
  if (redundantOffset + directoryEntries * 4 > MAX_OFFSET) throw unreadable('l1 backup table', storage);
  return header;
}

function unreadable(what: string, storage: Storage): BlockError {
  return ioError().reworded(`Could not read ${what} from extent '${storage.name}': Input/output error`);
}
