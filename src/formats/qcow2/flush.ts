/** Bringing an image to the disk; in which order is said where its parts are put together (`state.ts`). */
import { asBlockError, BlockError } from '../../base/error.ts';
import { alignUp } from '../../base/offset.ts';
import type { Qcow2State } from './state.ts';
import { Incompatible } from './structure/layout.ts';

/**
 * Writes everything that is cached, and makes everything durable that was written.
 * @throws BlockError if the image was given up because of its damage.
 */
export async function flushImage(image: Qcow2State): Promise<void> {
  if (image.readOnly) return;
  if (image.abandoned) {
    const text = 'No medium found';
    throw new BlockError('io', text, { posix: { code: 'ENOMEDIUM', text } });
  }
  await image.allocator.flush();
  const size = image.file.size();
  // As in the real tool, compressed clusters are followed by zeroes up to the next sector; tables are not.
  if (size % 512 !== 0 && image.compressed) await image.file.truncate(alignUp(size, 512));
  // Also what was written where nothing refers to it anew.
  image.newData.arm();
  await image.newData.flush();
}

/** Flushes, and marks the refcounts as exact again. */
export async function closeImage(image: Qcow2State): Promise<void> {
  if (image.readOnly || image.abandoned) return;
  if (image.file.debugEvent) return closeTold(image);
  await flushImage(image);
  await saveBitmaps(image);
}

/**
 * As {@link closeImage} where somebody looks, who makes requests fail: as in the real tool, lines say what could not be
 * written, and nothing else is done about it.
 */
async function closeTold(image: Qcow2State): Promise<void> {
  let isWhole = true;
  const attempt = async (what: string, step: () => Promise<void>): Promise<void> => {
    try {
      await step();
    } catch (thrown) {
      isWhole = false;
      image.complain(`${what}: ${asBlockError(thrown).strerror}`, true);
    }
  };
  await attempt('Failed to flush the L2 table cache', () => image.l1.flush());
  await attempt('Failed to flush the refcount block cache', async () => {
    await image.refcounts.flush();
    await image.allocator.flush();
  });
  if (isWhole) await saveBitmaps(image);
}

async function saveBitmaps(image: Qcow2State): Promise<void> {
  if (image.bitmaps) {
    try {
      await image.bitmaps.save();
    } catch (thrown) {
      // As in the real tool, this does not make what was done a failure; a line says that they are lost.
      const { cause } = asBlockError(thrown);
      image.complain(asBlockError(cause).message, true);
      if (image.abandoned) return;
    }
    await flushImage(image);
  }
  // An image that was damaged before keeps its mark until it is repaired.
  if ((image.header.incompatible & Incompatible.corrupt) === 0) {
    await image.setIncompatible(Incompatible.dirty, false);
  }
}
