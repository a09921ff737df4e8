/**
 * The format extension of Parallels images: a cluster with features, of which dirty bitmaps are the only known one.
 * Nothing of it is shown; it is looked at because the real tool refuses images whose extension is damaged.
 */
import { equalBytes, littleEndian } from '../../base/bytes.ts';
import { BlockError, invalidImage } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import type { Services } from '../../block/services.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import type { Header } from './header.ts';

const MAGIC = 0xab234cef23dcea87n;
const END_FEATURE = 0n;
const BITMAP_FEATURE = 0x20385fae252cb34an;

/** Magic and MD5 sum; the sum covers the rest of the cluster. */
const PREFIX = 24;
/** Header of a feature: magic, flags, size of its data, and four unused bytes. */
const FEATURE_HEADER = 24;
/** Fixed part of a bitmap: size, identifier, granularity, entries of its table. */
const BITMAP_HEADER = 32;
/** Larger clusters are not read for their extension: memory has to stay bounded. */
const MAX_CLUSTER = 134217728;

/** Reads the extension that the header names, and throws with the real tool's wording if it is not in order. */
export async function checkExtension(file: Storage, header: Header, services: Services): Promise<void> {
  const { cluster, extension } = header;
  const start = await readAt(file, extension, 8);
  const magic = littleEndian(start).big64(0);
  if (magic !== MAGIC) {
    const shown = `0x${magic.toString(16)}, expected: 0x${MAGIC.toString(16)}`;
    throw invalidImage(`Wrong parallels Format Extension magic: ${shown}`);
  }
  if (cluster > MAX_CLUSTER) throw new BlockError('limit', 'Format Extension cluster is too large');
  const bytes = await readAt(file, extension, cluster);
  const sum = services.crypto.hash('md5', bytes.subarray(PREFIX));
  if (!equalBytes(sum, bytes.subarray(8, PREFIX))) {
    throw invalidImage('Wrong checksum in Format Extension header. Format extension is corrupted.');
  }
  checkFeatures(bytes, header);
}

/** Walks the features of an extension cluster; every step takes at least a feature header, so the walk ends. */
function checkFeatures(bytes: Uint8Array, header: Header): void {
  const fields = littleEndian(bytes);
  const bitmaps = new Set<string>();
  for (let at = PREFIX; ; ) {
    if (at + FEATURE_HEADER > bytes.length) {
      throw invalidImage(
        `Can not read feature header, as remaining bytes (${bytes.length - at}) are less than header size`,
      );
    }
    const magic = fields.big64(at);
    const flags = fields.big64(at + 8);
    const length = fields.u32(at + 16);
    at += FEATURE_HEADER;
    if (magic === END_FEATURE) return;
    if (flags !== 0n) throw invalidImage('Flags for extension feature are unsupported');
    if (length > bytes.length - at) throw invalidImage('Feature data_size exceedes Format Extension cluster');
    if (magic !== BITMAP_FEATURE) throw invalidImage(`Unknown feature: 0x${magic.toString(16)}`);
    checkBitmap(bytes.subarray(at, at + length), header, bitmaps);
    at += Math.ceil(length / 8) * 8;
  }
}

function checkBitmap(bytes: Uint8Array, header: Header, known: Set<string>): void {
  if (bytes.length < BITMAP_HEADER) {
    const sizes = `${bytes.length} bytes, expected at least ${BITMAP_HEADER} bytes`;
    throw invalidImage(`Too small Bitmap Feature area in Parallels Format Extension: ${sizes}`);
  }
  const fields = littleEndian(bytes);
  const sectors = fields.big64(0);
  const granularity = fields.u32(24);
  const tableSize = fields.u32(28);
  if (BITMAP_HEADER + tableSize * 8 > bytes.length) {
    throw invalidImage('Bitmaps feature corrupted: l1 table exceeds extension data_size');
  }
  const total = header.virtualSize / SECTOR;
  if (sectors !== BigInt(total)) {
    throw invalidImage(`Bitmap size (in sectors) ${sectors} differs from disk size in sectors ${total}`);
  }
  // The real tool stops with an assertion here.
  if (granularity === 0 || (granularity & (granularity - 1)) !== 0 || granularity > 0x400000) {
    throw invalidImage(`Bitmap granularity of ${granularity} sectors is not supported`);
  }
  const expected = Math.ceil(total / granularity / 8 / header.cluster);
  if (tableSize !== expected) {
    const sizes = `Bitmap table size ${tableSize} does not correspond to bitmap size and cluster size.`;
    throw invalidImage(`${sizes} Expected ${expected}`);
  }
  const id = identifier(fields.slice(8, 16));
  if (known.has(id)) throw invalidImage(`Bitmap already exists: ${id}`);
  known.add(id);
}

/** A UUID as people write it. */
function identifier(bytes: Uint8Array): string {
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
