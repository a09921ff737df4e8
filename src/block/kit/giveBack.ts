/** Giving space back that nothing refers to any more. */
import type { Storage } from '../../storage/storage.ts';

/**
 * Gives the bytes of a storage back, as far as it has them. It is a courtesy: where it fails, the space stays taken, and
 * nothing is lost, so that no operation fails for it.
 * @returns false if it failed: the old bytes may still be there.
 */
export async function giveBack(storage: Storage, offset: number, length: number): Promise<boolean> {
  const stored = Math.min(length, storage.size() - offset);
  if (stored <= 0) return true;
  try {
    await storage.discard(offset, stored);
    return true;
  } catch {
    return false;
  }
}
