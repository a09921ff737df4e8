/** Recognises LUKS volumes. */
import { isLuks } from '../../crypto/luks/magic.ts';

/** How sure it is, 0 to 100, that an image that begins with `head` is a LUKS volume of version 1. */
export function probe(head: Uint8Array): number {
  return isLuks(head) ? 100 : 0;
}
