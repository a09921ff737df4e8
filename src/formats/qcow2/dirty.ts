/** Opening for writing what was not closed properly: the refcounts may be older than the tables. */
import { divideUp } from '../../base/offset.ts';
import { emptyResult, walkRefblocks } from './check.ts';
import { flushImage } from './flush.ts';
import type { Qcow2Image } from './image.ts';
import { Incompatible } from './layout.ts';
import { getRefcount, setRefcount } from './refcount.ts';
import { ReferenceWalk } from './references.ts';

/** Brings the refcounts up to date with the references, and clears the dirty bit. */
export async function repairDirty(image: Qcow2Image): Promise<void> {
  const walk = new ReferenceWalk(image, emptyResult(image), () => undefined);
  await walk.walkTables();
  await walkRefblocks(walk);
  const { refcounts } = image;
  const described = ((await refcounts.table()).byteLength / 8) * refcounts.perBlock;
  const clusters = divideUp(image.file.size(), image.geometry.clusterSize);
  const end = Math.max(Math.min(clusters, described), walk.counts.end);
  const raise: number[] = [];
  for (let start = 0; start < end; start += refcounts.perBlock) {
    const stop = Math.min(end, start + refcounts.perBlock);
    const block = await refcounts.block(start / refcounts.perBlock);
    if (!block && walk.counts.skipEmpty(start) >= stop) continue;
    for (let cluster = block ? start : walk.counts.skipEmpty(start); cluster < stop; cluster++) {
      const wanted = walk.counts.get(cluster);
      if (!block && wanted > 0) raise.push(cluster);
      if (!block || getRefcount(block.view, refcounts.bits, cluster - start) === wanted) continue;
      setRefcount(block.view, refcounts.bits, cluster - start, Math.min(wanted, refcounts.max));
      refcounts.cache.markDirty(block);
    }
  }
  // New blocks go behind everything that is in use.
  for (const cluster of raise) {
    await refcounts.ensureBlock(cluster, Math.max(end, clusters));
    await refcounts.set(cluster, walk.counts.get(cluster));
  }
  await flushImage(image);
  await image.setIncompatible(Incompatible.dirty, false);
}
