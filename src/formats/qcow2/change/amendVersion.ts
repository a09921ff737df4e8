/** Changing the version of an image. */
import { isPromise } from '../../../base/async.ts';
import { asBlockError, BlockError, invalidImage, unsupported, withStrerror } from '../../../base/error.ts';
import type { Table } from '../../../block/kit/cache.ts';
import type { Told } from './amendWork.ts';
import { flushImage } from '../flush.ts';
import { entryOffset, setEntry } from '../structure/geometry.ts';
import { hasDataFile } from '../structure/header.ts';
import { hex } from '../structure/hex.ts';
import type { Qcow2State } from '../state.ts';
import { COMPRESSED_HIGH, CryptMethod, Incompatible, ZERO_LOW } from '../structure/layout.ts';
import { l2Table } from '../guest/mapping.ts';
import { raiseRun } from '../clusters/refcountRuns.ts';
import { checkL1, Snapshots } from '../snapshots/store.ts';
import { readSnapshotTable, type SnapshotEntry } from '../snapshots/table.ts';
import { readAt } from '../../../storage/storage.ts';

const NO_MEMORY = { code: 'ENOMEM', text: 'Cannot allocate memory' } as const;

/** Version 2 to 3. Snapshots have to record more there. */
export async function upgrade(image: Qcow2State, told: Told): Promise<void> {
  const table = await readSnapshotTable(image.file, image.header);
  told(0, 2);
  if (table.entries.some((entry) => entry.incomplete)) await new Snapshots(image, table).rewrite();
  told(1, 2);
  await image.changeHeader(
    (header) => {
      header.version = 3;
    },
    () => image.refreshGeometry(),
  );
  told(2, 2);
}

/**
 * Version 3 to 2. What old versions cannot record, clusters that read as zeroes among them, is expanded.
 * @throws BlockError if the image has features that version 2 lacks.
 */
export async function downgrade(image: Qcow2State, told: Told): Promise<void> {
  const { header } = image;
  const snapshots = (await readSnapshotTable(image.file, header)).entries;
  await checkDowngrade(image, snapshots);
  const expanding = 'Failed to turn zero into data clusters';
  await withStrerror(expanding, () => checkTables(image, snapshots));
  await dropBitmaps(image);
  await withStrerror(expanding, () => expandZeroes(image, snapshots, told));
  await flushImage(image);
  await withStrerror('Failed to update the image header', () => recordVersion2(image));
}

async function recordVersion2(image: Qcow2State): Promise<void> {
  await image.setIncompatible(Incompatible.dirty, false);
  await image.changeHeader(
    (old) => {
      old.version = 2;
      old.incompatible = 0;
      old.compatible = 0n;
      old.autoclear = 0n;
      old.compressionType = 0;
    },
    () => {
      image.lazyRefcounts = false;
      image.refreshGeometry();
    },
  );
}

/** Version 2 has no bitmaps; their clusters are given up. */
async function dropBitmaps(image: Qcow2State): Promise<void> {
  const { bitmaps } = image;
  if (!bitmaps) return;
  for (const { name } of bitmaps.list()) await bitmaps.remove(name);
  await bitmaps.save();
  image.bitmaps = undefined;
  image.changeListeners.length = 0;
}

async function checkDowngrade(image: Qcow2State, snapshots: readonly SnapshotEntry[]): Promise<void> {
  const { header } = image;
  if (hasDataFile(header)) throw unsupported('Cannot downgrade an image with a data file');
  if (
    snapshots.some(
      ({ vmStateSize, virtualSize = header.virtualSize }) => vmStateSize !== 0 || virtualSize !== header.virtualSize,
    )
  ) {
    throw unsupported('Internal snapshots prevent downgrade of image');
  }
  const features = header.incompatible & ~(Incompatible.dirty | Incompatible.compression);
  if (features !== 0) {
    throw unsupported(`Cannot downgrade an image with incompatible features 0x${features.toString(16)} set`);
  }
  if (header.refcountOrder !== 4) throw unsupported('compat=0.10 requires refcount_bits=16');
  if (header.compressionType !== 0 && (await hasCompressed(image, snapshots))) {
    throw unsupported('Cannot downgrade an image with zstd compression type and existing compressed clusters');
  }
}

/** The L2 tables of the active image and of all snapshots, each once. */
async function* l2Tables(
  image: Qcow2State,
  snapshots: readonly SnapshotEntry[],
  /** Called behind each entry of an L1 table, with the number of all of them. */
  told: Told = () => undefined,
): AsyncGenerator<{ offset: number; index: number }> {
  const seen = new Set<number>();
  const tables = [{ l1Offset: image.header.l1Offset, l1Entries: image.header.l1Entries }, ...snapshots];
  const total = tables.reduce((sum, { l1Entries }) => sum + l1Entries, 0);
  let done = 0;
  for (const { l1Offset, l1Entries } of tables) {
    const stored = Math.max(0, Math.min(l1Entries * 8, image.file.size() - l1Offset));
    const bytes = await readAt(image.file, l1Offset, Math.ceil(stored / 8) * 8);
    const view = new DataView(bytes.buffer);
    for (let index = 0; index * 8 < bytes.length; index++) {
      const offset = entryOffset(view, index * 8);
      if (offset !== 0 && !seen.has(offset)) {
        seen.add(offset);
        yield { offset, index };
      }
      told(++done, total);
    }
  }
}

async function hasCompressed(image: Qcow2State, snapshots: readonly SnapshotEntry[]): Promise<boolean> {
  for await (const { offset, index } of l2Tables(image, snapshots)) {
    const found = l2Table(image, index, offset);
    const { view } = isPromise(found) ? await found : found;
    for (let at = 0; at < view.byteLength; at += image.geometry.entrySize) {
      if ((view.getUint32(at) & COMPRESSED_HIGH) !== 0) return true;
    }
  }
  return false;
}

/** Replaces clusters that read as zeroes: by nothing where nothing shows through, by zeroes that are stored elsewhere. */
async function expandZeroes(image: Qcow2State, snapshots: readonly SnapshotEntry[], told: Told): Promise<void> {
  await flushImage(image);
  for await (const { offset, index } of l2Tables(image, snapshots, told)) {
    if (image.allocator.shouldApply) await flushImage(image);
    await expandTable(image, offset, index);
  }
  await flushImage(image);
}

/** Refuses snapshots whose tables cannot be read, before anything changes. */
function checkTables(image: Qcow2State, snapshots: readonly SnapshotEntry[]): void {
  for (const entry of snapshots) {
    try {
      checkL1(image, entry);
    } catch (thrown) {
      image.complain(asBlockError(thrown).message);
      throw thrown;
    }
    // Observed: the real tool cannot hold a table without entries.
    if (entry.l1Entries === 0) throw invalidImage(NO_MEMORY.text, { posix: NO_MEMORY });
  }
}

async function expandTable(image: Qcow2State, offset: number, index: number): Promise<void> {
  const { clusterSize } = image.geometry;
  // A table that several L1 tables share holds that many references to each of its clusters.
  const shared = Math.max(1, await image.refcounts.get(offset / clusterSize));
  for (let at = 0; at < clusterSize; at += 8) {
    const found = l2Table(image, index, offset);
    const table = isPromise(found) ? await found : found;
    const low = table.view.getUint32(at + 4);
    if ((table.view.getUint32(at) & COMPRESSED_HIGH) !== 0 || (low & ZERO_LOW) === 0) continue;
    await expandEntry(image, table, index, at, shared);
  }
}

async function expandEntry(
  image: Qcow2State,
  { offset, view }: Table,
  index: number,
  at: number,
  shared: number,
): Promise<void> {
  const { clusterSize, l2Coverage } = image.geometry;
  const host = entryOffset(view, at);
  if (host % clusterSize !== 0) {
    const place = `(L2 offset: ${hex(offset)}, L2 index: ${hex(at / 8)})`;
    await image.failDamaged(`Cluster allocation offset ${hex(host)} unaligned ${place}`);
  }
  const guest = index * l2Coverage + (at / 8) * clusterSize;
  if (image.header.backingFile === undefined) {
    await replace(image, offset, at, host, 0, shared);
    return;
  }
  // Others may read what a cluster that is not ours alone holds.
  if (host !== 0 && (await image.refcounts.get(host / clusterSize)) === shared) {
    await writeZeroes(image, host, guest);
    await replace(image, offset, at, host, host, shared);
    return;
  }
  const place = await image.allocator.allocate(1);
  for (let count = 1; count < shared; count++) await raiseRun(image, place / clusterSize, 1, { done: 0 });
  await writeZeroes(image, place, guest);
  await replace(image, offset, at, host, place, shared);
}

/** Stores a cluster of guest zeroes; in encrypted images that is what decrypts to them. */
async function writeZeroes(image: Qcow2State, host: number, guest: number): Promise<void> {
  const { clusterSize } = image.geometry;
  if (image.header.cryptMethod === CryptMethod.none) {
    await image.data.writeZeroes(host, clusterSize, { unmap: false });
    return;
  }
  if (!image.cipher) throw new BlockError('internal', 'encrypted image without a key');
  const bytes = new Uint8Array(clusterSize);
  await image.cipher.encrypt(bytes, host, guest);
  await image.data.write(host, bytes);
}

async function replace(
  image: Qcow2State,
  table: number,
  at: number,
  old: number,
  place: number,
  shared: number,
): Promise<void> {
  const { clusterSize } = image.geometry;
  const { view } = await changed(image, table);
  setEntry(view, at, place, place !== 0 && shared === 1);
  if (old !== 0 && old !== place) {
    for (let count = 0; count < shared; count++) image.allocator.release(old / clusterSize, 1);
  }
}

async function changed(image: Qcow2State, offset: number): Promise<Table> {
  const found = image.l2.get(offset);
  const table = isPromise(found) ? await found : found;
  image.newData.arm();
  image.l2.markDirty(table);
  return table;
}
