/** Rebuilding the refcount structures from the references. */
import { placeStructure, writeStructure } from '../clusters/refcountBuilder.ts';
import type { ReferenceWalk } from './references.ts';

/**
 * Writes new refcount blocks and a new refcount table into clusters that nothing refers to. The old ones stay in force,
 * and are counted as used, until the header names the new ones.
 * @throws BlockError if a place is metadata after all, or the image was given up already.
 */
export async function rebuildRefcounts(walk: ReferenceWalk): Promise<void> {
  const { image, counts, report, guard } = walk;
  const { clusterSize } = image.geometry;
  const placement = placeStructure(image, counts, image.header.refcountOrder, walk.beyond);
  const { blocks, tableCluster, tableClusters } = placement;
  const refuse = (what: string): void => report(`ERROR writing ${what}: Input/output error`, { severity: 'error' });
  for (const place of blocks.values()) {
    await guard.check(place * clusterSize, clusterSize, 'new structure', () => refuse('refblock'));
  }
  const tableSize = tableClusters * clusterSize;
  await guard.check(tableCluster * clusterSize, tableSize, 'new structure', () => refuse('reftable'));
  await writeStructure(image, counts, placement);
}
