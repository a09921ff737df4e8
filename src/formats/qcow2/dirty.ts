/** Opening for writing what was not closed properly: the refcounts may be older than the tables. */
import { asBlockError } from '../../base/error.ts';
import { checkImage } from './checker.ts';
import type { Qcow2Image } from './image.ts';
import { Incompatible } from './layout.ts';

/**
 * Repairs the image, as far as it can be repaired, and clears the dirty bit. What is found and done goes where lines
 * about damage go.
 * @throws BlockError `Could not repair dirty image: ...`.
 */
export async function repairDirty(image: Qcow2Image): Promise<void> {
  try {
    await checkImage(image, 'all', image.reportDamage);
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(`Could not repair dirty image: ${error.strerror}`);
  }
  await image.setIncompatible(Incompatible.dirty, false);
}
