/** Bringing an image to the disk in an order that any interruption can only turn into leaked clusters. */
import { asBlockError, BlockError } from '../../base/error.ts';
import { alignUp } from '../../base/offset.ts';
import type { Qcow2State } from './state.ts';
import { Incompatible } from './structure/layout.ts';

/**
 * Writes everything that is cached: data and refcounts first, then L2 tables, then the L1 table, and only then counts
 * down the clusters that nothing refers to any more.
 * @throws BlockError if the image was given up because of its damage.
 */
export async function flushImage(image: Qcow2State): Promise<void> {
  if (image.readOnly) return;
  if (image.abandoned) {
    const text = 'No medium found';
    throw new BlockError('io', text, { posix: { code: 'ENOMEDIUM', text } });
  }
  await image.refcounts.flush();
  await image.l2.flush();
  await image.l1.flush();
  if (image.allocator.hasReleases) {
    await image.file.flush();
    await image.allocator.applyReleases();
  }
  const size = image.file.size();
  // As in the real tool, compressed clusters are followed by zeroes up to the next sector; tables are not.
  if (size % 512 !== 0 && image.compressed) await image.file.truncate(alignUp(size, 512));
  await image.dataBarrier.flush();
}

/** Flushes, and marks the refcounts as exact again. */
export async function closeImage(image: Qcow2State): Promise<void> {
  if (image.readOnly || image.abandoned) return;
  await flushImage(image);
  if (image.bitmaps) {
    try {
      await image.bitmaps.save();
    } catch (thrown) {
      // As in the real tool, this does not make what was done a failure; a line says that they are lost.
      const { cause } = asBlockError(thrown);
      image.complain(asBlockError(cause).message);
      if (image.abandoned) return;
    }
    await flushImage(image);
  }
  // An image that was damaged before keeps its mark until it is repaired.
  if ((image.header.incompatible & Incompatible.corrupt) === 0) {
    await image.setIncompatible(Incompatible.dirty, false);
  }
}
