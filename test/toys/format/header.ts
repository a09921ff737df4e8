/**
 * The layout of toy images. Numbers are little endian:
 *
 * | offset | bytes       | what                                                                                  |
 * | ------ | ----------- | ------------------------------------------------------------------------------------- |
 * | 0      | 8           | `TOYIMAGE`                                                                            |
 * | 8      | 4           | cluster size in bytes, a power of two                                                 |
 * | 12     | 4           | length of the backing image's name                                                    |
 * | 16     | 4           | length of the backing image's format                                                  |
 * | 24     | 8           | guest size in bytes                                                                   |
 * | 32     | up to 480   | name and format of the backing image                                                  |
 * | 512    | 4 x 16,384  | for each guest cluster: 0 (not here), 1 (zeroes), or 2 + number of the stored cluster |
 * | 66,048 | to the end  | stored clusters                                                                       |
 */
import { equalBytes, littleEndian, utf8Bytes } from '../../../src/base/bytes.ts';
import { invalidArgument, invalidImage } from '../../../src/base/error.ts';
import { isPowerOfTwo } from '../../../src/base/offset.ts';
import type { BackingReference } from '../../../src/block/capabilities.ts';

const MAGIC = utf8Bytes('TOYIMAGE');
/** Bytes of the header, and so where the table begins. */
export const HEADER_SIZE = 512;
const NAMES = 32;
/** Guest clusters that an image can have. */
export const MAX_CLUSTERS = 16_384;
/** Where stored clusters begin. */
export const DATA_START: number = HEADER_SIZE + MAX_CLUSTERS * 4;

/** Entries of the table that are no place. */
export const Entry = { none: 0, zero: 1, first: 2 } as const;

/** What the header holds. */
export interface Header {
  readonly clusterSize: number;
  virtualSize: number;
  backing: BackingReference | undefined;
}

/** Throws if no image can have that size. */
export function checkSize(virtualSize: number, clusterSize: number): void {
  if (virtualSize > MAX_CLUSTERS * clusterSize) throw invalidArgument('The toy is too large');
}

/** The header in bytes. */
export function encodeHeader({ clusterSize, virtualSize, backing }: Header): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE);
  const name = utf8Bytes(backing?.file ?? '');
  const format = utf8Bytes(backing?.format ?? '');
  if (NAMES + name.length + format.length > HEADER_SIZE) throw invalidArgument('Backing file name too long');
  const fields = littleEndian(bytes);
  bytes.set(MAGIC);
  fields.setU32(8, clusterSize);
  fields.setU32(12, name.length);
  fields.setU32(16, format.length);
  fields.setU64(24, virtualSize);
  bytes.set(name, NAMES);
  bytes.set(format, NAMES + name.length);
  return bytes;
}

/** Reads a header. @throws BlockError `invalid-image` */
export function parseHeader(bytes: Uint8Array): Header {
  if (!equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) throw invalidImage('Image is not a toy');
  const fields = littleEndian(bytes);
  const clusterSize = fields.u32(8);
  const virtualSize = fields.u64(24);
  if (!isPowerOfTwo(clusterSize) || clusterSize < 512) throw invalidImage('The toy has no sound cluster size');
  if (virtualSize > MAX_CLUSTERS * clusterSize) throw invalidImage('The toy is larger than its table');
  const [nameLength, formatLength] = [fields.u32(12), fields.u32(16)];
  const file = fields.utf8(NAMES, nameLength);
  const format = fields.utf8(NAMES + nameLength, formatLength);
  const backing = file === '' ? undefined : { file, ...(format === '' ? {} : { format }) };
  return { clusterSize, virtualSize, backing };
}
