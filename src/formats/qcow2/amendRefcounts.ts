/** Changing the width of the refcounts. */
import { BlockError, withStrerror } from '../../base/error.ts';
import { divideUp } from '../../base/offset.ts';
import { isZero } from '../../base/zero.ts';
import { CountTable } from './countTable.ts';
import { flushImage } from './flush.ts';
import { hex } from './hex.ts';
import type { Qcow2Image } from './image.ts';
import { getRefcount } from './refcount.ts';
import { type Placement, placeStructure, writeStructure } from './refcountBuilder.ts';

/** Clusters beyond the end of the file that may have a refcount: only damaged images have more. */
const MAX_BEYOND = 1048576;

/**
 * Puts all refcounts into entries of another width. The new structure is built in free clusters; the old one stays in
 * force until all of it is on the disk.
 * @param order the width's exponent: bits are two to its power.
 * @throws BlockError if a refcount does not fit.
 */
export async function changeRefcountWidth(
  image: Qcow2Image,
  order: number,
  onProgress?: (done: number, total: number) => void,
): Promise<void> {
  await flushImage(image);
  const { clusterSize } = image.geometry;
  const { reftableOffset, reftableClusters } = image.header;
  const { counts, blocks } = await readCounts(image, 2 ** order);
  const placement = placeStructure(image, counts, order, new Set([0]));
  await withStrerror('Overlap check failed', () => checkPlaces(image, placement));
  await writeStructure(image, counts, placement, onProgress ? { onProgress } : {});
  for (const offset of blocks) image.allocator.release(offset / clusterSize, 1);
  image.allocator.release(reftableOffset / clusterSize, reftableClusters);
  await flushImage(image);
}

/** Damaged refcounts call clusters free that hold metadata. */
async function checkPlaces(image: Qcow2Image, { blocks, tableCluster, tableClusters }: Placement): Promise<void> {
  const { clusterSize } = image.geometry;
  for (const place of blocks.values()) {
    await image.guard.check(place * clusterSize, clusterSize, 'new structure');
  }
  await image.guard.check(tableCluster * clusterSize, tableClusters * clusterSize, 'new structure');
}

/** All refcounts, and where the blocks are that hold them. */
async function readCounts(image: Qcow2Image, bits: number): Promise<{ counts: CountTable; blocks: number[] }> {
  const { refcounts } = image;
  const { perBlock } = refcounts;
  const table = await refcounts.table();
  const end = divideUp(image.file.size(), image.geometry.clusterSize);
  const counts = new CountTable();
  const blocks: number[] = [];
  let beyond = 0;
  for (let index = 0; index * 8 < table.byteLength; index++) {
    if (table.getBigUint64(index * 8) === 0n) continue;
    const block = await withStrerror('Failed to retrieve refblock', () => refcounts.block(index));
    if (!block) continue;
    blocks.push(block.offset);
    if (isZero(block.bytes)) continue;
    for (let i = 0; i < perBlock; i++) {
      const count = getRefcount(block.view, refcounts.bits, i);
      if (count === 0) continue;
      const cluster = index * perBlock + i;
      if (bits < 64 && count >= 2 ** bits) throw tooNarrow(image, bits, cluster, count);
      if (cluster >= end && ++beyond > MAX_BEYOND) throw new BlockError('too-large', 'File too large');
      counts.add(cluster, count);
    }
  }
  return { counts, blocks };
}

function tooNarrow(image: Qcow2Image, bits: number, cluster: number, count: number): BlockError {
  const offset = hex(cluster * image.geometry.clusterSize);
  return new BlockError(
    'invalid-argument',
    `Cannot decrease refcount entry width to ${bits} bits: Cluster at offset ${offset} has a refcount of ${count}`,
  );
}
