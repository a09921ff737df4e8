/** Opens images: a sparse extent with its own descriptor, or a descriptor and the extents that it names. */
import { asBlockError, BlockError } from '../../base/error.ts';
import { littleEndian } from '../../base/bytes.ts';
import { alignUp, MAX_SIZE, SECTOR } from '../../base/offset.ts';
import type { OpenContext } from '../../block/driver.ts';
import type { Storage } from '../../storage/storage.ts';
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
import { type Extent, FlatExtent } from './extent.ts';
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

/** Kinds of images of several files that can be opened. */
const CREATE_TYPES = ['monolithicFlat', 'vmfs', 'vmfsSparse', 'seSparse', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat'];

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
  return finish(context, {
    extents: [extent],
    children: [],
    descriptor,
    descriptorOffset: DESCRIPTOR_OFFSET,
    createType: extent.compressed ? 'streamOptimized' : hasMagic(head, 'KDMV') ? 'monolithicSparse' : '',
  });
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
  return new VmdkImage({ ...found, file, readOnly, services });
}

async function readAt(storage: Storage, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await storage.readPadded(offset, bytes);
  return bytes;
}

/** Opens the extents that a descriptor names. */
async function openDescriptor(
  context: OpenContext,
  descriptor: DescriptorText,
  descriptorOffset: number | undefined,
): Promise<VmdkImage> {
  const type = createType(descriptor);
  if (!CREATE_TYPES.includes(type)) throw new BlockError('unsupported', `Unsupported image type '${type}'`);
  const lines = extentLines(descriptor);
  // An image of size 0 has no line at all; one with lines of other kinds only cannot be used.
  if (lines.length === 0 && /^[ \t]*\w+\s+[+-]?\w+\s+\w+/m.test(descriptor)) {
    throw new BlockError('unsupported', 'invalid VMDK image descriptor: no extent that can be read');
  }
  const extents: Extent[] = [];
  const children: { readonly role: string; readonly node: Storage }[] = [];
  for (const line of lines) {
    const role = `extents.${children.length}`;
    const node = await context.openChild(role, line.filename, { dataOnly: isFlat(line) });
    if (!node) throw new BlockError('not-found', `Could not open '${line.filename}': No such file or directory`);
    children.push({ role, node });
    extents.push(await openExtent(node, line, context));
  }
  const createdAs = extents.some((extent) => extent.compressed) ? 'streamOptimized' : type;
  return finish(context, { extents, children, descriptor, descriptorOffset, createType: createdAs });
}

function isFlat(line: ExtentLine): boolean {
  return line.type === 'FLAT' || line.type === 'VMFS';
}

async function openExtent(storage: Storage, line: ExtentLine, context: OpenContext): Promise<Extent> {
  switch (line.type) {
    case 'FLAT':
    case 'VMFS':
      return new FlatExtent(storage, line.type, line.offset * SECTOR, line.sectors * SECTOR);
    case 'SESPARSE':
      return openSeSparse(storage, line.type);
    default:
      return openSparse(storage, line.type, context);
  }
}

function refuseEmpty(storage: Storage): void {
  if (storage.size() === 0) throw new BlockError('invalid-image', 'File is too small, not a valid image');
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
  const length = 3 * SECTOR;
  const place = alignUp(storage.size(), SECTOR) - length;
  if (place < 0) throw new BlockError('io', 'Failed to read footer: Input/output error');
  const footer = footerOf(await readAt(storage, place, length));
  if (refersToFooter(footer)) {
    throw unreadable('l1 table', storage);
  }
  return { ...readable(parseSparseHeader(footer, storage.size()), storage), footer: true };
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
