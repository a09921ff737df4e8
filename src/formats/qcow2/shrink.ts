/** Giving up whole L2 tables, and the end of the file with them. */
import { isPromise } from '../../base/async.ts';
import { alignDown, divideUp } from '../../base/offset.ts';
import { flushImage } from './flush.ts';
import { entryOffset } from './geometry.ts';
import type { Qcow2Image } from './image.ts';
import { l2Table } from './mapping.ts';
import { releaseOld } from './write.ts';

/** Gives up the active L2 tables from an index on with everything that they refer to. Shared tables stay as they are. */
export async function dropTables(image: Qcow2Image, from: number): Promise<void> {
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
export async function cutTail(image: Qcow2Image): Promise<void> {
  const { clusterSize } = image.geometry;
  const { perBlock } = image.refcounts;
  await image.refcounts.dropEmptyBlocks();
  let clusters = divideUp(image.file.size(), clusterSize);
  while (clusters > 1) {
    const block = await image.refcounts.block(Math.floor((clusters - 1) / perBlock));
    if (!block) clusters = alignDown(clusters - 1, perBlock);
    else if ((await image.refcounts.get(clusters - 1)) === 0) clusters--;
    else break;
  }
  if (clusters >= 1 && clusters * clusterSize < image.file.size()) await image.file.truncate(clusters * clusterSize);
}
