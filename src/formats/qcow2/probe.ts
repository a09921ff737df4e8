/** Recognising qcow2 images; apart from the driver, so that probing loads nothing else. */
import { MAGIC } from './structure/layout.ts';

/** 100 for a qcow2 header of version 2 or above, 0 for everything else. */
export function probe(head: Uint8Array): number {
  if (head.length < 8) return 0;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return view.getUint32(0) === MAGIC && view.getUint32(4) >= 2 ? 100 : 0;
}
