/** Recognising Apple disk images: only their name says so at the beginning of the file. */

/** 2 for names that end in `.dmg`, 0 for everything else. */
export function probe(_head: Uint8Array, filename: string): number {
  return filename.length > 4 && filename.endsWith('.dmg') ? 2 : 0;
}
