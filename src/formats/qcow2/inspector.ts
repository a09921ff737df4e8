/** What a qcow2 header says that matters before an image of somebody else is opened. */
import { bigEndian, type Fields } from '../../base/bytes.ts';
import type { FormatInspector, Inspection } from '../../block/inspection.ts';
import { readLuksHeader, unlockingCost } from '../../crypto/luks/volume.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { entryOffset } from './structure/geometry.ts';
import type { Header } from './structure/header.ts';
import { Compatible, CryptMethod, Incompatible, KNOWN_AUTOCLEAR, KNOWN_INCOMPATIBLE } from './structure/layout.ts';
import { clusterSizeOf, HEADER_PROBE, parseHeader } from './structure/readHeader.ts';

/** More snapshots or bitmaps than any image has that was made by people. */
const MANY = 1024;

/** Bytes of the L1 table that are read at a time. */
const PIECE = 1048576;
/** More tables than a check keeps in mind in little memory. */
const MOST_TABLES = 262144;

/** Looks at feature bits, references, marks of damage, and encryption. */
export const inspect: FormatInspector = async (file, inspection) => {
  const head = await readAt(file, 0, HEADER_PROBE);
  const fields = bigEndian(head);
  inspectFeatures(fields, inspection);
  if (fields.u32(4) === 3 && (fields.halves(72)[1] & Incompatible.dataFile) !== 0) {
    inspection.fail('data-file', 'the data of the guest is in another file (incompatible feature bit 2)');
  }
  if (fields.big64(8) !== 0n) inspection.fail('backing-file', 'the header names a backing file');
  const header = parseHeader(await readAt(file, 0, clusterSizeOf(head)), { forCheck: true });
  inspectNames(header, inspection);
  if (header.incompatible & Incompatible.dirty)
    inspection.fail('state', 'the image was not closed properly (dirty bit)');
  if (header.incompatible & Incompatible.corrupt)
    inspection.fail('state', 'the image is marked as damaged (corrupt bit)');
  if (header.snapshotCount > MANY) inspection.fail('sizes', `there are ${header.snapshotCount} snapshots`);
  if ((header.bitmaps?.count ?? 0) > MANY) inspection.fail('sizes', `there are ${header.bitmaps?.count} bitmaps`);
  await inspectEncryption(header, file, inspection);
  await inspectTables(header, file, inspection);
};

/** Counts the tables that the L1 table names: all of them are going to be looked at. */
async function inspectTables(header: Header, file: Storage, inspection: Inspection): Promise<void> {
  const size = file.size();
  const bytes = Math.max(0, Math.min(header.l1Entries * 8, size - header.l1Offset));
  const clusters = Math.ceil(size / 2 ** header.clusterBits);
  let tables = 0;
  for (let at = 0; at < bytes; at += PIECE) {
    const piece = await readAt(file, header.l1Offset + at, Math.min(PIECE, Math.ceil((bytes - at) / 8) * 8));
    const view = new DataView(piece.buffer);
    for (let i = 0; i < piece.length; i += 8) {
      const offset = entryOffset(view, i);
      if (offset === 0) continue;
      tables++;
      if (offset < size) continue;
      inspection.fail('metadata', `an L2 table is at ${offset}, beyond the end of the file`);
      return;
    }
    if (tables <= clusters) continue;
    inspection.fail('metadata', 'the L1 table names more tables than the file has clusters');
    return;
  }
  if (tables > MOST_TABLES) inspection.unknown('metadata', `there are ${tables} L2 tables, too many to look at`);
}

function inspectFeatures(fields: Fields, inspection: Inspection): void {
  const version = fields.u32(4);
  if (version !== 2 && version !== 3) inspection.fail('features', `version ${version} is unknown`);
  if (version !== 3) return;
  const known = [BigInt(KNOWN_INCOMPATIBLE), BigInt(Compatible.lazyRefcounts), BigInt(KNOWN_AUTOCLEAR)] as const;
  for (const [index, kind] of ['incompatible', 'compatible', 'autoclear'].entries()) {
    const unknown = fields.big64(72 + index * 8) & ~(known[index] ?? 0n);
    if (unknown !== 0n) inspection.fail('features', `unknown ${kind} feature bits 0x${unknown.toString(16)}`);
  }
  if (fields.halves(72)[1] & Incompatible.extendedL2) inspection.note('features', 'the image has subclusters');
}

function inspectNames(header: Header, inspection: Inspection): void {
  if (header.backingFile !== undefined) inspection.name('backing file', header.backingFile);
  if (header.dataFileName === undefined) return;
  inspection.fail('data-file', 'the header names a data file');
  inspection.name('data file', header.dataFileName);
}

async function inspectEncryption(header: Header, file: Storage, inspection: Inspection): Promise<void> {
  if (header.cryptMethod === CryptMethod.aes) {
    inspection.fail('encryption', 'the image is encrypted by the old method, which is not safe');
  }
  const { crypto } = header;
  if (header.cryptMethod !== CryptMethod.luks || !crypto) return;
  const luks = await readLuksHeader({
    read: (offset, into) => file.readPadded(crypto.offset + offset, into),
    write: () => undefined,
  });
  const cost = unlockingCost(luks);
  if (cost > inspection.limits.keyIterations) inspection.fail('encryption', `a passphrase costs ${cost} iterations`);
  else inspection.note('encryption', 'the content is encrypted, and was not looked at');
}
