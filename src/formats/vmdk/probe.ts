/** Recognising VMDK images; apart from the driver, so that probing loads nothing else. */

/** First bytes of a hosted sparse extent, and of an ESX Server sparse extent. */
const MAGICS = ['KDMV', 'COWD'];
/** Bytes that a descriptor is recognised by. */
const PROBED = 512;
const HASH = 0x23;
const SPACE = 0x20;
const NEWLINE = 0x0a;

/**
 * 100 for a sparse extent, or for a descriptor: comment lines, lines of blanks, then `version=1` (or 2, 3) and the end
 * of the line. An empty line is not a line of blanks.
 */
export function probe(start: Uint8Array): number {
  const head = start.subarray(0, PROBED);
  if (MAGICS.includes(String.fromCharCode(...head.subarray(0, 4)))) return 100;
  let at = 0;
  while (at < head.length) {
    if (head[at] === HASH) at = head.indexOf(NEWLINE, at) + 1 || head.length;
    else if (head[at] === SPACE) {
      while (head[at] === SPACE) at++;
      if (head[at++] !== NEWLINE) return 0;
    } else break;
  }
  return /^version=[123]\r?\n/.test(String.fromCharCode(...head.subarray(at, at + 12))) ? 100 : 0;
}
