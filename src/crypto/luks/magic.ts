/** What a LUKS volume begins with. */

const MAGIC = Uint8Array.of(0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe);

/** Version of the headers that are understood. */
export const LUKS_VERSION = 1;

/** True if `bytes` begins as LUKS headers of any version do. */
export function hasLuksMagic(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, i) => bytes[i] === byte);
}

/** Writes the first bytes of a header. */
export function putLuksMagic(bytes: Uint8Array): void {
  bytes.set(MAGIC);
}

/** True if `head`, the first bytes of a file, starts a LUKS volume of version 1. */
export function isLuks(head: Uint8Array): boolean {
  return head.length >= 8 && hasLuksMagic(head) && head[6] === 0 && head[7] === LUKS_VERSION;
}
