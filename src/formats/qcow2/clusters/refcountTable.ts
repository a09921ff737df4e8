/** The refcount table: blocks that are missing, and a larger table in another place. */
import { BlockError } from '../../../base/error.ts';
import { divideUp } from '../../../base/offset.ts';
import { setEntry } from '../structure/geometry.ts';
import type { ImageState } from '../structure/imageState.ts';
import { MAX_REFTABLE_BYTES } from '../structure/layout.ts';
import { setRefcount } from '../structure/refcountEntry.ts';
import type { Refcounts } from './refcount.ts';

/** What the table grows with. */
interface GrowingImage extends ImageState {
  readonly refcounts: Refcounts;
  readonly allocator: {
    /** Refuses clusters that damaged refcounts call free although metadata is there. */
    checkPlace(first: number, count: number): Promise<void>;
    /** Gives up references to clusters. */
    release(cluster: number, count: number): void;
  };
  readonly guard: {
    /** There is a new refcount block at an offset. */
    noteTable(kind: 'refblocks', offset: number): void;
  };
}

/**
 * Makes sure that the refcount block that describes `cluster` is there.
 * @param behind new blocks are put into free clusters from here on.
 */
export async function ensureBlock(image: GrowingImage, cluster: number, behind: number): Promise<void> {
  const { refcounts } = image;
  image.file.debugEvent?.('refblock_alloc');
  const index = Math.floor(cluster / refcounts.perBlock);
  if ((await refcounts.blockOffset(index)) !== 0) return;
  const place = await refcounts.firstFree(behind);
  const describing = Math.floor(place / refcounts.perBlock);
  const table = await refcounts.table();
  if (Math.max(index, describing) * 8 >= table.byteLength) {
    await growTable(image, index, behind);
    return ensureBlock(image, cluster, behind);
  }
  const offset = place * image.geometry.clusterSize;
  await image.allocator.checkPlace(place, 1);
  if (describing !== index) {
    await ensureBlock(image, place, place + 1);
    await refcounts.increment(place, 1);
  }
  const block = await refcounts.cache.create(offset);
  if (describing === index) setRefcount(block.view, refcounts.bits, place % refcounts.perBlock, 1);
  refcounts.setBlock(await refcounts.table(), index, offset);
}

/** Moves the refcount table to a larger place: behind everything that the old one can describe. */
async function growTable(image: GrowingImage, index: number, behind: number): Promise<void> {
  const { refcounts } = image;
  const oldEntries = (await refcounts.table()).byteLength / 8;
  const first = Math.max(oldEntries * refcounts.perBlock, behind);
  const wanted = Math.max(index + 2, Math.floor(first / refcounts.perBlock) + 2, Math.ceil(oldEntries * 1.5));
  await moveTable(image, first, 0, wanted);
}

/**
 * Moves the refcount table, with new blocks in front of it: all that the clusters from there up to `room` clusters
 * behind the table need and do not have. The header names it only when all of it is on the disk.
 * @param from the first cluster that may be used: the first free run from here on is.
 * @param entries the new table has so many at least.
 * @returns the first cluster behind the table; from there on `room` clusters are free.
 */
export async function moveTable(image: GrowingImage, from: number, room: number, entries = 0): Promise<number> {
  const { refcounts } = image;
  const { clusterSize } = image.geometry;
  const old = await refcounts.table();
  const { first, missing, tableClusters } = await placeTable(image, from, room, entries);
  const tableAt = first + missing.length;
  await refcounts.flush();
  const bytes = new Uint8Array((missing.length + tableClusters) * clusterSize);
  const newBlocks = new Map(missing.map((index, i) => [index, new DataView(bytes.buffer, i * clusterSize)]));
  for (let cluster = first; cluster < tableAt + tableClusters; cluster++) {
    const block = newBlocks.get(Math.floor(cluster / refcounts.perBlock));
    if (block) setRefcount(block, refcounts.bits, cluster % refcounts.perBlock, 1);
    else await refcounts.increment(cluster, 1);
  }
  await refcounts.flush();
  const table = new DataView(bytes.buffer, missing.length * clusterSize);
  bytes.set(new Uint8Array(old.buffer, old.byteOffset, old.byteLength), missing.length * clusterSize);
  for (const [i, index] of missing.entries()) setEntry(table, index * 8, (first + i) * clusterSize, false);
  await image.file.write(first * clusterSize, bytes);
  const { reftableOffset, reftableClusters } = image.header;
  await image.switchHeader(
    (header) => {
      header.reftableOffset = tableAt * clusterSize;
      header.reftableClusters = tableClusters;
    },
    () => {
      refcounts.replaceTable(bytes.slice(missing.length * clusterSize));
      for (let i = 0; i < missing.length; i++) image.guard.noteTable('refblocks', (first + i) * clusterSize);
    },
  );
  image.allocator.release(reftableOffset / clusterSize, reftableClusters);
  return tableAt + tableClusters;
}

/** Where {@link moveTable} puts things: the blocks that are missing, then the table. */
async function placeTable(
  image: GrowingImage,
  from: number,
  room: number,
  entries: number,
): Promise<{ first: number; missing: readonly number[]; tableClusters: number }> {
  const { refcounts } = image;
  const { clusterSize } = image.geometry;
  const old = await refcounts.table();
  let missing: number[] = [];
  let tableClusters = 0;
  for (let first = from; ; ) {
    const count = missing.length + tableClusters + room;
    const last = Math.floor((first + Math.max(1, count) - 1) / refcounts.perBlock);
    const wanted: number[] = [];
    for (let index = Math.floor(first / refcounts.perBlock); index <= last; index++) {
      if ((await refcounts.blockOffset(index)) === 0) wanted.push(index);
    }
    const clusters = divideUp(Math.max(entries * 8, (last + 1) * 8, old.byteLength), clusterSize);
    if (clusters * clusterSize > MAX_REFTABLE_BYTES) throw new BlockError('too-large', 'File too large');
    const free = await refcounts.freeRun(first, count);
    if (free < count) first += free + 1;
    else if (wanted.length === missing.length && clusters === tableClusters) return { first, missing, tableClusters };
    missing = wanted;
    tableClusters = clusters;
  }
}
