/** Recognises toy images. */

/** How sure it is that a file begins with a toy's signature. */
export function probe(head: Uint8Array): number {
  return [...'TOYIMAGE'].every((letter, index) => head[index] === letter.charCodeAt(0)) ? 100 : 0;
}
