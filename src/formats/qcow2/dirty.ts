/** Opening for writing what was not closed properly: the refcounts may be older than the tables. */
import { asBlockError } from '../../base/error.ts';
import { checkImage } from './check/checker.ts';
import type { Qcow2State } from './state.ts';
import { Incompatible } from './structure/layout.ts';

/**
 * Repairs the image, as far as it can be repaired, and clears the dirty bit. What is found and done goes where lines
 * about damage go.
 * @throws BlockError `Could not repair dirty image: ...`.
 */
export async function repairDirty(image: Qcow2State): Promise<void> {
  try {
    await checkImage(image, 'all', image.reportDamage);
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(`Could not repair dirty image: ${error.strerror}`);
  }
  await image.setIncompatible(Incompatible.dirty, false);
}
