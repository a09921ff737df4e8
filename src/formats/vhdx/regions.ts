/** The region table ([MS-VHDX] 2.2.3): where the block allocation table and the metadata are. */
import { littleEndian, utf8Bytes } from '../../base/bytes.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { structureChecksum } from './header.ts';
import {
  Guid,
  guidBytes,
  guidText,
  MAX_TABLE_ENTRIES,
  refuse,
  REGION_TABLE_OFFSETS,
  REGION_TABLE_SIZE,
} from './layout.ts';

/** Offsets beyond this cannot be read. */
const MAX_OFFSET = 2 ** 63;

/** A part of the file with its own purpose. */
export interface Region {
  readonly offset: number;
  readonly length: number;
}

/** Regions of a file, none overlapping another. */
export class RegionMap {
  /** The last one added comes first: that is the order in which the real tool compares. */
  readonly #regions: Region[] = [];

  add(region: Region): void {
    this.#regions.unshift(region);
  }

  /** What is wrong with a region that should not touch the others; undefined if nothing is. */
  overlap(region: Region): string | undefined {
    const end = region.offset + region.length;
    for (const other of this.#regions) {
      const otherEnd = other.offset + other.length;
      if (region.offset < otherEnd && other.offset < end) {
        return `VHDX region ${show(region.offset)}-${show(end)} overlaps with region ${show(other.offset)}-${show(otherEnd)}`;
      }
    }
    return undefined;
  }
}

function show(offset: number): string {
  return BigInt(offset).toString();
}

/** What the region table names. */
export interface Regions {
  readonly bat: Region;
  readonly metadata: Region;
}

/** How {@link readRegions} reports. */
export interface RegionReader {
  readonly file: Storage;
  readonly filename: string;
  /** Prints a line besides the error. */
  complain(text: string): void;
}

/**
 * Reads the first region table; like the real tool this takes no refuge in the second.
 * @param map holds the log already; the regions are added.
 */
export async function readRegions(reader: RegionReader, map: RegionMap): Promise<Regions> {
  const { file, filename } = reader;
  const bytes = await readAt(file, REGION_TABLE_OFFSETS[0], REGION_TABLE_SIZE);
  const fields = littleEndian(bytes);
  const count = fields.u32(8);
  if (fields.latin1(0, 4) !== 'regi' || fields.u32(4) !== structureChecksum(bytes) || count > MAX_TABLE_ENTRIES) {
    throw refuse(filename, 'invalid-image', 'the region table is damaged');
  }
  const known = new Map<string, Region>();
  for (let at = 16; at < 16 + count * 32; at += 32) {
    const guid = guidText(fields.slice(at, 16));
    const region = { offset: fields.u64lossy(at + 16), length: fields.u32(at + 24) };
    const problem = map.overlap(region);
    if (problem !== undefined) {
      reader.complain(problem);
      throw refuse(filename, 'invalid-image', problem);
    }
    map.add(region);
    if (guid === Guid.bat || guid === Guid.metadata) {
      if (known.has(guid)) throw refuse(filename, 'invalid-image', 'the region table names a region twice');
      known.set(guid, region);
    } else if ((fields.u32(at + 28) & 1) !== 0) {
      throw refuse(filename, 'unsupported', `region ${guid} is required, and unknown`);
    }
  }
  const [bat, metadata] = [known.get(Guid.bat), known.get(Guid.metadata)];
  if (!bat || !metadata) throw refuse(filename, 'invalid-image', 'the region table lacks a region');
  for (const { offset, length } of [metadata, bat]) {
    if (offset + length > MAX_OFFSET) throw refuse(filename, 'io', 'a region is where no file can have one');
  }
  return { bat, metadata };
}

/** A region table of 64 KiB. */
export function encodeRegions(regions: Regions): Uint8Array {
  const fields = littleEndian(new Uint8Array(REGION_TABLE_SIZE));
  fields.set(0, utf8Bytes('regi'));
  fields.setU32(8, 2);
  for (const [index, name] of (['bat', 'metadata'] as const).entries()) {
    const at = 16 + index * 32;
    fields.set(at, guidBytes(Guid[name]));
    fields.setU64(at + 16, regions[name].offset);
    fields.setU32(at + 24, regions[name].length);
    fields.setU32(at + 28, 1);
  }
  fields.setU32(4, structureChecksum(fields.bytes));
  return fields.bytes;
}
