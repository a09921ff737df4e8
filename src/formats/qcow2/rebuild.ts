/** Rebuilding the refcount structures from the references. */
import { asBlockError, BlockError } from '../../base/error.ts';
import { guardMetadata } from './overlap.ts';
import { placeStructure, writeStructure } from './refcountBuilder.ts';
import type { ReferenceWalk } from './references.ts';

/**
 * Writes new refcount blocks and a new refcount table into clusters that nothing refers to. The old ones stay in force,
 * and are counted as used, until the header names the new ones.
 * @throws BlockError if a place is metadata after all, or the image was given up already.
 */
export async function rebuildRefcounts(walk: ReferenceWalk): Promise<void> {
  const { image, counts, report } = walk;
  const { clusterSize } = image.geometry;
  const placement = placeStructure(image, counts, image.header.refcountOrder);
  try {
    for (const place of placement.blocks.values()) {
      await guardMetadata(image, place * clusterSize, clusterSize, 'new refcount block');
    }
    await writeStructure(image, counts, placement);
  } catch (thrown) {
    const error = asBlockError(thrown);
    report(`qemu-img: ERROR writing refblock: ${error.strerror}`);
    throw new BlockError(error.kind, error.strerror, { cause: error });
  }
}
