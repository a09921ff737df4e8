/** Recognising qcow images of version 1; apart from the driver, so that probing loads nothing else. */

/** The letters "QFI" and 0xfb, big endian. */
const MAGIC = 0x514649fb;

/** 100 for a qcow header of version 1, 0 for everything else. */
export function probe(head: Uint8Array): number {
  if (head.length < 8) return 0;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return view.getUint32(0) === MAGIC && view.getUint32(4) === 1 ? 100 : 0;
}
