/** Giving up whole L2 tables, and the end of the file with them. */
import { isPromise } from '../../../base/async.ts';
import { withStrerror } from '../../../base/error.ts';
import { alignDown, divideUp } from '../../../base/offset.ts';
import { flushImage } from '../flush.ts';
import { entryOffset } from '../structure/geometry.ts';
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
  await withStrerror('Failed to discard unused refblocks', () => image.refcounts.dropEmptyBlocks());
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
