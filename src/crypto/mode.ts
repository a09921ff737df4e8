/** What the modes of operation have in common. */

/** Most bytes that a mode is given at a time: small enough to stay in the processor's cache. */
export const PIECE = 65536;

/**
 * A mode of operation, applied in place to at most {@link PIECE} bytes that are whole sectors of 512 bytes and start at
 * a multiple of four bytes of their buffer.
 */
export interface ModeCipher {
  /** `sector` is the number of the first sector. */
  encrypt(sector: number, piece: Uint8Array): void;
  decrypt(sector: number, piece: Uint8Array): void;
}
