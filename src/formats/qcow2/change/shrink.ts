/** Giving up whole L2 tables and refcount blocks without counts, and the end of the file with them. */
import { isPromise } from '../../../base/async.ts';
import { withStrerror } from '../../../base/error.ts';
import { alignDown, divideUp } from '../../../base/offset.ts';
import { isZero } from '../../../base/zero.ts';
import type { Table } from '../../../block/kit/cache.ts';
import type { Refcounts } from '../clusters/refcount.ts';
import { flushImage } from '../flush.ts';
import { entryOffset } from '../structure/geometry.ts';
import { hex } from '../structure/hex.ts';
import { getRefcount } from '../structure/refcountEntry.ts';
import type { Qcow2State } from '../state.ts';
import { l2Table } from '../guest/mapping.ts';
import { releaseOld } from '../guest/write.ts';

/** Gives up the active L2 tables from an index on with everything that they refer to. Shared tables stay as they are. */
export async function dropTables(image: Qcow2State, from: number): Promise<void> {
  const l1 = await image.l1.view();
  const { clusterSize, entrySize } = image.geometry;
  for (let index = from; index < image.l1.entries; index++) {
    const offset = entryOffset(l1, index * 8);
    if (offset === 0) continue;
    if (image.allocator.shouldApply) await flushImage(image);
    const found = l2Table(image, index, offset);
    const table = isPromise(found) ? await found : found;
    for (let at = 0; at < clusterSize; at += entrySize) releaseOld(image, table, at, undefined);
    l1.setUint32(index * 8, 0);
    l1.setUint32(index * 8 + 4, 0);
    image.l1.markDirty(index);
    image.l2.forget(offset);
    image.allocator.release(offset / clusterSize, 1);
  }
}

/** Cuts the file behind the last cluster in use. Everything is flushed. */
export async function cutTail(image: Qcow2State): Promise<void> {
  const { clusterSize } = image.geometry;
  await withStrerror('Failed to discard unused refblocks', () => dropEmptyBlocks(image));
  const clusters = await withStrerror('Failed to find the last cluster', () => usedClusters(image));
  if (clusters * clusterSize < image.file.size()) await image.file.truncate(clusters * clusterSize);
}

/** One more than the number of the last cluster in use. */
export async function usedClusters(image: Qcow2State): Promise<number> {
  const { perBlock } = image.refcounts;
  let clusters = divideUp(image.file.size(), image.geometry.clusterSize);
  while (clusters > 0) {
    const block = await image.refcounts.block(Math.floor((clusters - 1) / perBlock));
    if (!block) clusters = alignDown(clusters - 1, perBlock);
    else if ((await image.refcounts.get(clusters - 1)) === 0) clusters--;
    else return clusters;
  }
  return image.failDamaged('There are no references in the refcount table.');
}

/** Gives up blocks that describe no cluster in use but perhaps themselves. */
async function dropEmptyBlocks(image: Qcow2State): Promise<void> {
  const { refcounts } = image;
  const table = await refcounts.table();
  const dropped: number[] = [];
  for (let index = 0; index * 8 < table.byteLength; index++) {
    const own = await emptyBlock(image, index);
    if (own === undefined) continue;
    refcounts.cache.forget(own * image.geometry.clusterSize);
    refcounts.setBlock(table, index, 0);
    if (Math.floor(own / refcounts.perBlock) !== index) dropped.push(own);
  }
  await refcounts.flush();
  for (const cluster of dropped) await refcounts.decrement(cluster, 1, () => undefined);
  await refcounts.flush();
}

/** The cluster of a block that can be given up. */
async function emptyBlock(image: Qcow2State, index: number): Promise<number | undefined> {
  const { refcounts } = image;
  const { clusterSize } = image.geometry;
  const offset = await refcounts.blockOffset(index);
  if (offset === 0) return undefined;
  if (offset % clusterSize !== 0) {
    await image.failDamaged(`Cannot get entry from refcount block cache: Offset ${hex(offset)} is unaligned`);
  }
  const block = await refcounts.cache.get(offset);
  const own = offset / clusterSize;
  const describing = Math.floor(own / refcounts.perBlock);
  if (!isEmpty(refcounts, block, describing === index ? own % refcounts.perBlock : -1)) return undefined;
  if (describing !== index && (await refcounts.blockOffset(describing)) === 0) {
    await image.failDamaged(`Refblock at ${hex(offset)} is not covered by the refcount structures`);
  }
  return own;
}

function isEmpty({ bits, perBlock }: Refcounts, block: Table, except: number): boolean {
  if (isZero(block.bytes)) return true;
  if (except < 0) return false;
  for (let i = 0; i < perBlock; i++) {
    if (i !== except && getRefcount(block.view, bits, i) !== 0) return false;
  }
  return true;
}
