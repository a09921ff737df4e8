/** Recognising VHDX images; apart from the driver, so that probing loads nothing else. */

/** What a file begins with: `vhdxfile`. */
const SIGNATURE = [0x76, 0x68, 0x64, 0x78, 0x66, 0x69, 0x6c, 0x65];

/** 100 for the file type identifier of VHDX, 0 for everything else. */
export function probe(head: Uint8Array): number {
  return SIGNATURE.every((byte, at) => head[at] === byte) ? 100 : 0;
}
