/** Recognising Parallels images; apart from the driver, so that probing loads nothing else. */

const MAGICS = ['WithoutFreeSpace', 'WithouFreSpacExt'];
const VERSION_AT = 16;
const VERSION = 2;

/** 100 for one of the two magics followed by version 2, 0 for everything else. */
export function probe(head: Uint8Array): number {
  if (head.length < VERSION_AT + 1) return 0;
  const magic = String.fromCharCode(...head.subarray(0, VERSION_AT));
  if (!MAGICS.includes(magic)) return 0;
  // A file may end inside the header: what is missing counts as zero.
  const [low, ...high] = [0, 1, 2, 3].map((at) => head[VERSION_AT + at] ?? 0);
  return low === VERSION && high.every((byte) => byte === 0) ? 100 : 0;
}
