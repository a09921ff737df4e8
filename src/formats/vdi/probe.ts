/** Recognising VDI images; apart from the driver, so that probing loads nothing else. */

/** Position and value of the signature, little endian. */
const SIGNATURE_AT = 0x40;
const SIGNATURE = 0xbeda107f;

/** 100 for a VDI signature, 0 for everything else. */
export function probe(head: Uint8Array): number {
  if (head.length < SIGNATURE_AT + 4) return 0;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return view.getUint32(SIGNATURE_AT, true) === SIGNATURE ? 100 : 0;
}
