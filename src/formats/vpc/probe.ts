/** Recognising VHD images; apart from the driver, so that probing loads nothing else. */

/** What a footer begins with: `conectix`. */
const COOKIE = [0x63, 0x6f, 0x6e, 0x65, 0x63, 0x74, 0x69, 0x78];

/** True if the bytes begin with the cookie of a VHD footer. */
export function hasFooterCookie(bytes: Uint8Array): boolean {
  return COOKIE.every((byte, at) => bytes[at] === byte);
}

/** 100 for a copy of the footer at the start (dynamic images); fixed images begin with guest data and score 0. */
export function probe(head: Uint8Array): number {
  return hasFooterCookie(head) ? 100 : 0;
}
