/**
 * The trailer of Apple disk images (UDIF), big endian, and the two places where it says that the block tables are: a
 * resource fork and a property list. Nothing official describes them; fields as in "Demystifying the DMG File Format" by
 * J. Levin and as `hdiutil` writes them. The resource fork: Inside Macintosh, "More Macintosh Toolbox", chapter 1.
 */
import { bigEndian } from '../../base/bytes.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { decodeBase64 } from './base64.ts';
import { isBlockTable } from './chunks.ts';

/** Bytes of the trailer. */
export const TRAILER_SIZE = 512;
const MAGIC = 0x6b6f6c79;
const At = {
  dataFork: 0x18,
  resourceFork: 0x28,
  dataChecksum: 0x50,
  propertyList: 0xd8,
  masterChecksum: 0x160,
  sectors: 0x1ec,
} as const;
/** Type of checksums that are CRC-32. Others are rare, and nothing describes them. */
const CRC32 = 2;

/** Bytes of a resource fork or a property list at most. */
const MAX_TABLES = 16777216;
/** Where the resources start in a resource fork. */
const RESOURCES_AT = 256;

/** A part of the file. */
interface Part {
  readonly offset: number;
  readonly length: number;
}

/** What the trailer says. */
export interface Trailer {
  /** Where the trailer is. */
  readonly offset: number;
  /** Where the data starts that the block tables count from. */
  readonly dataFork: number;
  /** Bytes of that data. */
  readonly dataLength: number;
  /** CRC-32 of that data, if there is one. */
  readonly dataChecksum: number | undefined;
  /** CRC-32 of the checksums of all block tables, if there is one. */
  readonly masterChecksum: number | undefined;
  readonly resourceFork: Part;
  readonly propertyList: Part;
  /** Guest size in sectors. */
  readonly sectors: bigint;
}

/** The trailer near the end of a file; undefined if there is none. Up to 511 bytes may follow it in its last sector. */
export async function findTrailer(file: Storage): Promise<Trailer | undefined> {
  const end = alignUp(file.size(), SECTOR);
  const start = Math.max(0, end - TRAILER_SIZE - SECTOR + 1);
  const bytes = await readAt(file, start, TRAILER_SIZE + SECTOR);
  const fields = bigEndian(bytes);
  for (let at = 0; at < SECTOR; at++) {
    if (fields.u32(at) === MAGIC) return parseTrailer(start + at, bytes.subarray(at, at + TRAILER_SIZE));
  }
  return undefined;
}

/** The fields of a trailer that was found at `offset`. */
function parseTrailer(offset: number, bytes: Uint8Array): Trailer {
  const fields = bigEndian(bytes);
  const part = (at: number): Part => ({ offset: fields.u64lossy(at), length: fields.u64lossy(at + 8) });
  return {
    offset,
    dataFork: fields.u64lossy(At.dataFork),
    dataLength: fields.u64lossy(At.dataFork + 8),
    dataChecksum: checksumAt(bytes, At.dataChecksum),
    masterChecksum: checksumAt(bytes, At.masterChecksum),
    resourceFork: part(At.resourceFork),
    propertyList: part(At.propertyList),
    sectors: fields.big64(At.sectors),
  };
}

/** The CRC-32 in a checksum field (type, bits, value); undefined if it holds none. */
export function checksumAt(bytes: Uint8Array, at: number): number | undefined {
  const fields = bigEndian(bytes);
  return fields.u32(at) === CRC32 && fields.u32(at + 4) === 32 ? fields.u32(at + 8) : undefined;
}

/** The encoded block tables of an image. */
export interface FoundTables {
  readonly tables: readonly Uint8Array[];
  /** Where the property list is, if that is not where the trailer says. */
  readonly moved?: Part;
}

/**
 * The encoded block tables that a trailer leads to, and what stands beside them. Where it leads nowhere, or to something
 * damaged, a property list is looked for in front of it, where `hdiutil` puts it and finds it too.
 * @returns undefined if there are none.
 */
export async function readTables(file: Storage, trailer: Trailer): Promise<FoundTables | undefined> {
  if (trailer.dataFork > trailer.offset) return undefined;
  const { resourceFork, propertyList } = trailer;
  const inFork = resourceFork.length !== 0;
  const part = inFork ? resourceFork : propertyList;
  const bytes = await readPart(file, trailer, part);
  const tables = bytes && (inFork ? resourcesOf(bytes) : dataOfList(bytes));
  if (tables?.some(isBlockTable)) return { tables };
  return (await searchList(file, trailer)) ?? (tables && { tables });
}

async function readPart(file: Storage, trailer: Trailer, part: Part): Promise<Uint8Array | undefined> {
  if (part.length === 0 || part.length > MAX_TABLES || part.offset + part.length > trailer.offset) return undefined;
  const bytes = await readAt(file, part.offset, part.length);
  return bytes;
}

/** The last property list in front of the trailer, if it has block tables. */
async function searchList(file: Storage, trailer: Trailer): Promise<FoundTables | undefined> {
  const start = Math.max(0, trailer.offset - MAX_TABLES);
  const bytes = await readAt(file, start, trailer.offset - start);
  const text = new TextDecoder('latin1').decode(bytes);
  const close = text.lastIndexOf('</plist>');
  const open = close < 0 ? -1 : text.lastIndexOf('<plist', close);
  if (open < 0) return undefined;
  const moved = { offset: start + open, length: close + '</plist>'.length - open };
  const tables = dataOfList(bytes.subarray(open, open + moved.length));
  return tables?.some(isBlockTable) ? { tables, moved } : undefined;
}

/** All resources of a fork, whatever their type; undefined if they do not fit into it. */
function resourcesOf(fork: Uint8Array): readonly Uint8Array[] | undefined {
  if (fork.length < RESOURCES_AT) return undefined;
  const fields = bigEndian(fork);
  const end = RESOURCES_AT + fields.u32(8);
  if (fields.u32(0) !== RESOURCES_AT || end === RESOURCES_AT || end > fork.length) return undefined;
  const found: Uint8Array[] = [];
  for (let at = RESOURCES_AT; at < end; ) {
    if (at + 4 > end) return undefined;
    const length = fields.u32(at);
    at += 4;
    if (length === 0 || length > end - at) return undefined;
    found.push(fork.subarray(at, at + length));
    at += length;
  }
  return found;
}

/** All `<data>` of a property list, decoded; undefined if one of them does not end. */
function dataOfList(list: Uint8Array): readonly Uint8Array[] | undefined {
  const text = new TextDecoder('latin1').decode(list);
  const found: Uint8Array[] = [];
  for (let at = 0; ; ) {
    const open = text.indexOf('<data>', at);
    if (open < 0) return found;
    const close = text.indexOf('</data>', open);
    if (close < 0) return undefined;
    found.push(decodeBase64(text, open + 6, close));
    at = close + 7;
  }
}
