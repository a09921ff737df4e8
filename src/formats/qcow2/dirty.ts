/** Opening for writing what was not closed properly: the refcounts may be older than the tables. */
import { divideUp } from '../../base/offset.ts';
import { emptyResult, walkRefblocks } from './check.ts';
import { flushImage } from './flush.ts';
import type { Qcow2Image } from './image.ts';
import { Incompatible } from './layout.ts';
import { ReferenceWalk } from './references.ts';

/** Brings the refcounts up to date with the references, and clears the dirty bit. */
export async function repairDirty(image: Qcow2Image): Promise<void> {
  const walk = new ReferenceWalk(image, emptyResult(image), () => undefined);
  await walk.walkTables();
  await walkRefblocks(walk);
  const { refcounts } = image;
  const end = Math.max(divideUp(image.file.size(), image.geometry.clusterSize), walk.counts.end);
  const raise: number[] = [];
  for (let cluster = 0; cluster < end; cluster++) {
    const wanted = walk.counts.get(cluster);
    if ((await refcounts.get(cluster)) === wanted) continue;
    if ((await refcounts.blockOffset(Math.floor(cluster / refcounts.perBlock))) === 0) raise.push(cluster);
    else await refcounts.set(cluster, wanted);
  }
  // New blocks go behind everything that is in use.
  for (const cluster of raise) {
    await refcounts.ensureBlock(cluster, end);
    await refcounts.set(cluster, walk.counts.get(cluster));
  }
  await flushImage(image);
  await image.setIncompatible(Incompatible.dirty, false);
}
