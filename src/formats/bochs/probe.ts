/** Recognising growing Bochs disks; apart from the driver, so that probing loads nothing else. */

/** Text fields of the header: position, length, content. */
const TEXTS = [
  [0, 32, 'Bochs Virtual HD Image'],
  [32, 16, 'Redolog'],
  [48, 16, 'Growing'],
] as const;
const VERSION_AT = 64;
const VERSIONS = [0x10000, 0x20000];

/** True for the header of a growing disk, version 1 or 2. */
export function isBochs(head: Uint8Array): boolean {
  if (head.length < VERSION_AT + 4) return false;
  for (const [at, length, text] of TEXTS) {
    const field = head.subarray(at, at + length);
    const end = field.indexOf(0);
    if (String.fromCharCode(...(end < 0 ? field : field.subarray(0, end))) !== text) return false;
  }
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return VERSIONS.includes(view.getUint32(VERSION_AT, true));
}

/** 100 for the header of a growing disk, 0 for everything else. */
export function probe(head: Uint8Array): number {
  return isBochs(head) ? 100 : 0;
}
