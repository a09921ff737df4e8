/** The bytes of a header. */
import { bigEndian, concatBytes, utf8Bytes } from '../../../base/bytes.ts';
import { BlockError } from '../../../base/error.ts';
import { alignUp } from '../../../base/offset.ts';
import { encodeFeatureNames } from './features.ts';
import type { Header } from './header.ts';
import * as layout from './layout.ts';
import { Extension } from './layout.ts';

/**
 * The header as it is stored: fixed part, extensions, backing file name.
 * @throws BlockError `no-space` if it does not fit into a cluster.
 */
export function encodeHeader(header: Header): Uint8Array {
  const v3 = header.version === 3;
  const unknown = v3 ? header.unknownFields : new Uint8Array(0);
  const fixed = new Uint8Array(v3 ? layout.WRITTEN_HEADER + unknown.length : layout.V2_HEADER);
  if (v3) fixed.set(unknown, layout.WRITTEN_HEADER);
  const pieces = [fixed, ...encodeExtensions(header)];
  const name = header.backingFile === undefined ? new Uint8Array(0) : utf8Bytes(header.backingFile);
  let nameOffset = 0;
  if (header.backingFile !== undefined) {
    nameOffset = pieces.reduce((sum, piece) => sum + piece.length, 0);
    pieces.push(name);
  }
  const bytes = concatBytes(pieces);
  if (bytes.length > 2 ** header.clusterBits) {
    throw new BlockError('no-space', 'No space left on device');
  }
  writeFixed(bytes, header, nameOffset, name.length, fixed.length);
  return bytes;
}

function writeFixed(bytes: Uint8Array, header: Header, nameOffset: number, nameLength: number, length: number): void {
  const fields = bigEndian(bytes);
  fields.setU32(0, layout.MAGIC);
  fields.setU32(4, header.version);
  fields.setU64(8, nameOffset);
  fields.setU32(16, nameLength);
  fields.setU32(20, header.clusterBits);
  fields.setU64(24, header.virtualSize);
  fields.setU32(32, header.cryptMethod);
  fields.setU32(36, header.l1Entries);
  fields.setU64(40, header.l1Offset);
  fields.setU64(48, header.reftableOffset);
  fields.setU32(56, header.reftableClusters);
  fields.setU32(60, header.snapshotCount);
  fields.setU64(64, header.snapshotsOffset);
  if (header.version === 2) return;
  fields.setU64(72, header.incompatible);
  fields.setBig64(80, header.compatible);
  fields.setBig64(88, header.autoclear);
  fields.setU32(96, header.refcountOrder);
  fields.setU32(100, length);
  fields.setU8(104, header.compressionType);
}

function encodeExtensions(header: Header): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const add = (type: number, data: Uint8Array): void => {
    const piece = new Uint8Array(8 + alignUp(data.length, 8));
    const fields = bigEndian(piece);
    fields.setU32(0, type);
    fields.setU32(4, data.length);
    fields.set(8, data);
    pieces.push(piece);
  };
  if (header.backingFormat !== undefined) add(Extension.backingFormat, utf8Bytes(header.backingFormat));
  if (header.dataFileName !== undefined) add(Extension.dataFile, utf8Bytes(header.dataFileName));
  if (header.crypto) {
    const data = bigEndian(new Uint8Array(16));
    data.setU64(0, header.crypto.offset);
    data.setU64(8, header.crypto.length);
    add(Extension.crypto, data.bytes);
  }
  // Small clusters keep their room for the backing file name.
  if (header.version === 3 && header.clusterBits >= layout.MIN_NAMED_CLUSTER_BITS)
    add(Extension.featureNames, encodeFeatureNames());
  if (header.bitmaps) {
    const data = bigEndian(new Uint8Array(24));
    data.setU32(0, header.bitmaps.count);
    data.setU64(8, header.bitmaps.size);
    data.setU64(16, header.bitmaps.offset);
    add(Extension.bitmaps, data.bytes);
  }
  for (const { type, data } of header.extensions) add(type, data);
  pieces.push(new Uint8Array(8));
  return pieces;
}
