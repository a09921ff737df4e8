/**
 * The VDI header (version 1.1), little endian. Field meanings: "All about VDIs" in the VirtualBox forum, and what
 * VirtualBox and the real tool write.
 */
import { littleEndian, utf8Bytes } from '../../base/bytes.ts';
import { BlockError } from '../../base/error.ts';
import { alignUp, MiB, SECTOR } from '../../base/offset.ts';

/** Bytes of the header that are read and written. */
export const HEADER_SIZE = 512;
/** Guest bytes in a block: other sizes are not supported. */
export const BLOCK: number = MiB;
/** Largest number of blocks: entries of 4 bytes up to 2 GiB, less what the data offset needs. */
const MAX_BLOCKS = 0x1fffff80;
/** Largest guest size in bytes. */
export const MAX_VIRTUAL_SIZE: number = MAX_BLOCKS * BLOCK;

/** Block map entries from here on are no blocks: never written (-1) or zeroed (-2). */
export const FIRST_UNALLOCATED = 0xfffffffe;
/** Entry of a block that was never written. */
export const UNALLOCATED = 0xffffffff;

/** Image types. */
export const ImageType = { dynamic: 1, fixed: 2 } as const;

const At = {
  text: 0,
  signature: 0x40,
  version: 0x44,
  headerSize: 0x48,
  imageType: 0x4c,
  mapOffset: 0x154,
  dataOffset: 0x158,
  sectorSize: 0x168,
  diskSize: 0x170,
  blockSize: 0x178,
  blocks: 0x180,
  allocated: 0x184,
  imageId: 0x188,
  snapshotId: 0x198,
  linkId: 0x1a8,
  parentId: 0x1b8,
} as const;

const SIGNATURE = 0xbeda107f;
const VERSION = 0x00010001;
/** Value of the header size field: from that field to the end of the fields of version 1.1. */
const FIELDS_SIZE = 0x180;
const TEXT = '<<< QEMU VM Virtual Disk Image >>>\n';

/** A header that was found to be usable. */
export interface Header {
  /** One of {@link ImageType}, or something else that is treated like `dynamic`. */
  readonly imageType: number;
  /** Where the block map starts, in bytes. */
  readonly mapOffset: number;
  /** Where the first block starts, in bytes. */
  readonly dataOffset: number;
  /** Guest size in bytes, whole sectors. */
  readonly virtualSize: number;
  /** Entries of the block map. */
  readonly blocks: number;
  /** Blocks in use, as far as the header was kept up to date. */
  readonly allocated: number;
}

function unsupported(what: string): BlockError {
  return new BlockError('unsupported', `unsupported VDI image (${what})`);
}

function tooLarge(size: bigint): BlockError {
  return new BlockError(
    'unsupported',
    `Unsupported VDI image size (size is 0x${size.toString(16)}, max supported is 0x${MAX_VIRTUAL_SIZE.toString(16)})`,
  );
}

/** Throws with the real tool's wording if the format cannot have that guest size. */
export function checkVirtualSize(size: bigint): void {
  if (size > BigInt(MAX_VIRTUAL_SIZE)) throw tooLarge(size);
}

function isZeroId(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/**
 * The header in the first 512 bytes of an image, checked in the real tool's order.
 * @throws BlockError with the real tool's wording.
 */
export function parseHeader(bytes: Uint8Array): Header {
  const fields = littleEndian(bytes);
  const diskSize = fields.big64(At.diskSize);
  checkVirtualSize(diskSize);
  const virtualSize = alignUp(Number(diskSize), SECTOR);
  const signature = fields.u32(At.signature);
  if (signature !== SIGNATURE) {
    const shown = signature.toString(16).padStart(8, '0');
    throw new BlockError('wrong-format', `Image not in VDI format (bad signature ${shown})`);
  }
  checkGeometry(bytes, virtualSize);
  return {
    imageType: fields.u32(At.imageType),
    mapOffset: fields.u32(At.mapOffset),
    dataOffset: fields.u32(At.dataOffset),
    virtualSize,
    blocks: fields.u32(At.blocks),
    allocated: fields.u32(At.allocated),
  };
}

function checkGeometry(bytes: Uint8Array, virtualSize: number): void {
  const fields = littleEndian(bytes);
  const version = fields.u32(At.version);
  if (version !== VERSION) throw unsupported(`version ${version >>> 16}.${version & 0xffff}`);
  const mapOffset = fields.u32(At.mapOffset);
  if (mapOffset % SECTOR !== 0) throw unsupported(`unaligned block map offset 0x${mapOffset.toString(16)}`);
  const dataOffset = fields.u32(At.dataOffset);
  if (dataOffset % SECTOR !== 0) throw unsupported(`unaligned data offset 0x${dataOffset.toString(16)}`);
  const sectorSize = fields.u32(At.sectorSize);
  if (sectorSize !== SECTOR) throw unsupported(`sector size ${sectorSize} is not ${SECTOR}`);
  const blockSize = fields.u32(At.blockSize);
  if (blockSize !== BLOCK) throw unsupported(`block size ${blockSize} is not ${BLOCK}`);
  const blocks = fields.u32(At.blocks);
  if (virtualSize > blocks * BLOCK) {
    throw unsupported(`disk size ${virtualSize}, image bitmap has room for ${blocks * BLOCK}`);
  }
  if (!isZeroId(fields.slice(At.linkId, 16))) throw unsupported('non-NULL link UUID');
  if (!isZeroId(fields.slice(At.parentId, 16))) throw unsupported('non-NULL parent UUID');
  if (blocks > MAX_BLOCKS) throw unsupported(`too many blocks ${blocks}, max is ${MAX_BLOCKS}`);
}

/** Puts another number of allocated blocks into the bytes of a header; everything else in them is kept. */
export function setAllocated(bytes: Uint8Array, allocated: number): void {
  littleEndian(bytes).setU32(At.allocated, allocated);
}

/** What a new image is made of. */
export interface NewImage {
  /** Guest size in bytes, whole sectors. */
  readonly virtualSize: number;
  /** All blocks are allocated from the start. */
  readonly fixed: boolean;
  /** Random identifiers of 16 bytes each: of the image, and of its last modification. */
  readonly imageId: Uint8Array;
  readonly modificationId: Uint8Array;
}

/** Layout of a new image. */
export interface Layout {
  readonly blocks: number;
  /** Bytes of the block map, whole sectors. */
  readonly mapBytes: number;
  readonly dataOffset: number;
}

/** Where the parts of a new image of that guest size are. */
export function layoutOf(virtualSize: number): Layout {
  const blocks = Math.ceil(virtualSize / BLOCK);
  const mapBytes = alignUp(blocks * 4, SECTOR);
  return { blocks, mapBytes, dataOffset: HEADER_SIZE + mapBytes };
}

/** The header of a new image. */
export function encodeHeader(image: NewImage): Uint8Array {
  const { blocks, dataOffset } = layoutOf(image.virtualSize);
  const fields = littleEndian(new Uint8Array(HEADER_SIZE));
  fields.set(At.text, utf8Bytes(TEXT));
  fields.setU32(At.signature, SIGNATURE);
  fields.setU32(At.version, VERSION);
  fields.setU32(At.headerSize, FIELDS_SIZE);
  fields.setU32(At.imageType, image.fixed ? ImageType.fixed : ImageType.dynamic);
  fields.setU32(At.mapOffset, HEADER_SIZE);
  fields.setU32(At.dataOffset, dataOffset);
  fields.setU32(At.sectorSize, SECTOR);
  fields.setU64(At.diskSize, image.virtualSize);
  fields.setU32(At.blockSize, BLOCK);
  fields.setU32(At.blocks, blocks);
  fields.setU32(At.allocated, image.fixed ? blocks : 0);
  fields.set(At.imageId, image.imageId);
  fields.set(At.snapshotId, image.modificationId);
  return fields.bytes;
}
