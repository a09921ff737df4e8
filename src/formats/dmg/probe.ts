/** Recognising Apple disk images: only their name says so at the beginning of the file. */

/** 2 for names that end in `.dmg`, 0 for everything else. */
export function probe(_head: Uint8Array, filename: string): number {
  return filename.length > 4 && filename.endsWith('.dmg') ? 2 : 0;
}

/** What the trailer at the end of an image begins with: `koly`. */
const TRAILER = [0x6b, 0x6f, 0x6c, 0x79];

/** True for the trailer of an image. */
export function hasTrailer(tail: Uint8Array): boolean {
  return TRAILER.every((byte, at) => tail[at] === byte);
}
