/**
 * The header of Parallels expandable images, little endian. Fields: "Parallels Expandable Image File Format" (the
 * interoperability specification that the QEMU project publishes).
 */
import { littleEndian, utf8Bytes } from '../../base/bytes.ts';
import { BlockError, invalidImage } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';

/** Bytes of the header. */
export const HEADER_SIZE = 64;
/** Sectors in a cluster at most: more, and the real tool cannot read the image. */
const MAX_CLUSTER_SECTORS = 4186127;
/** Entries of the BAT at most. */
export const MAX_ENTRIES = 0x1fffffff;
/** Value of the `in_use` field while an image is open for writing. */
const IN_USE = 0x746f6e59;

const MAGIC = 'WithoutFreeSpace';
/** The newer format: the BAT counts in clusters instead of sectors. */
const MAGIC_EXTENDED = 'WithouFreSpacExt';
const VERSION = 2;
const HEADS = 16;

const At = {
  magic: 0,
  version: 16,
  heads: 20,
  cylinders: 24,
  tracks: 28,
  entries: 32,
  sectors: 36,
  inUse: 44,
  dataOffset: 48,
  flags: 52,
  extension: 56,
} as const;

/** A header that was found to be usable. */
export interface Header {
  /** Guest bytes in a cluster. */
  readonly cluster: number;
  /** Entries of the BAT. */
  readonly entries: number;
  /** Guest size in bytes. */
  readonly virtualSize: number;
  /** Bytes that a BAT entry counts in: a sector, or a cluster in the newer format. */
  readonly entryUnit: number;
  /** Where the clusters start, in bytes: the header's value, or the right one if that cannot be. */
  readonly dataOffset: number;
  /** The header's own value cannot be. */
  readonly wrongDataOffset: boolean;
  /** The image was not closed after it was written to. */
  readonly inUse: boolean;
  /** Where the format extension is, in bytes; 0 if there is none. */
  readonly extension: number;
}

function invalid(what: string): BlockError {
  return invalidImage(`Invalid image: ${what}`);
}

/**
 * The header in the first bytes of an image.
 * @param fileSize bytes in the file, which the data offset is held against.
 * @throws BlockError with the real tool's wording.
 */
export function parseHeader(bytes: Uint8Array, fileSize: number): Header {
  const fields = littleEndian(bytes);
  const magic = fields.latin1(At.magic, 16);
  const extended = magic === MAGIC_EXTENDED;
  if ((!extended && magic !== MAGIC) || fields.u32(At.version) !== VERSION) {
    throw new BlockError('wrong-format', 'Image not in Parallels format');
  }
  const sectors = extended ? fields.big64(At.sectors) : BigInt(fields.u32(At.sectors));
  const tracks = fields.u32(At.tracks);
  if (tracks === 0) throw invalid('Zero sectors per track');
  if (tracks > MAX_CLUSTER_SECTORS) throw invalid('Too big cluster');
  const entries = fields.u32(At.entries);
  if (entries > MAX_ENTRIES) throw new BlockError('limit', 'Catalog too large');
  if (BigInt(entries) * BigInt(tracks) < sectors) throw invalid('Catalog size too small for advertised disk size');
  const extension = fields.big64(At.extension);
  if (extension >= 2n ** 63n / 512n) throw invalid('Too big offset');
  const cluster = tracks * SECTOR;
  return {
    cluster,
    entries,
    virtualSize: Number(sectors) * SECTOR,
    entryUnit: extended ? cluster : SECTOR,
    ...placeOfData(fields.u32(At.dataOffset) * SECTOR, { entries, cluster, extended, fileSize }),
    inUse: fields.u32(At.inUse) === IN_USE,
    extension: Number(extension) * SECTOR,
  };
}

/** What decides where data may start. */
interface Surroundings {
  readonly entries: number;
  readonly cluster: number;
  readonly extended: boolean;
  readonly fileSize: number;
}

function placeOfData(stored: number, around: Surroundings): Pick<Header, 'dataOffset' | 'wrongDataOffset'> {
  const unit = around.extended ? around.cluster : SECTOR;
  const least = alignUp(HEADER_SIZE + around.entries * 4, unit);
  // Images of the older format may leave the field empty.
  if (stored === 0 && !around.extended) return { dataOffset: least, wrongDataOffset: false };
  const wrong = stored < least || stored > around.fileSize;
  return { dataOffset: wrong ? least : stored, wrongDataOffset: wrong };
}

/** Puts a mark for "open for writing" (or its absence) into the bytes of a header. */
export function setInUse(bytes: Uint8Array, inUse: boolean): void {
  littleEndian(bytes).setU32(At.inUse, inUse ? IN_USE : 0);
}

/** Takes the format extension out of the bytes of a header. */
export function dropExtension(bytes: Uint8Array): void {
  littleEndian(bytes).setU64(At.extension, 0);
}

/** Puts another place of the data into the bytes of a header. */
export function setDataOffset(bytes: Uint8Array, offset: number): void {
  littleEndian(bytes).setU32(At.dataOffset, offset / SECTOR);
}

/** Layout of a new image. */
export interface Layout {
  readonly sectors: number;
  readonly entries: number;
  /** Where the clusters start, in bytes. */
  readonly dataOffset: number;
}

/** Where the parts of a new image are; sizes in bytes, `cluster` in whole sectors. */
export function layoutOf(virtualSize: number, cluster: number): Layout {
  const size = alignUp(virtualSize, SECTOR);
  const entries = Math.ceil(size / cluster);
  return { sectors: size / SECTOR, entries, dataOffset: alignUp(HEADER_SIZE + entries * 4, cluster) };
}

/** The header of a new image. */
export function encodeHeader(layout: Layout, cluster: number): Uint8Array {
  const fields = littleEndian(new Uint8Array(HEADER_SIZE));
  const cylinders = Math.floor(layout.sectors / HEADS / 32);
  fields.set(At.magic, utf8Bytes(MAGIC_EXTENDED));
  fields.setU32(At.version, VERSION);
  fields.setU32(At.heads, HEADS);
  fields.setU32(At.cylinders, Math.min(cylinders, 0xffffffff));
  fields.setU32(At.tracks, cluster / SECTOR);
  fields.setU32(At.entries, layout.entries);
  fields.setU64(At.sectors, layout.sectors);
  fields.setU32(At.dataOffset, layout.dataOffset / SECTOR);
  return fields.bytes;
}
