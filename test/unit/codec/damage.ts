import { BlockError } from '../../../src/base/error.ts';

/** What decoding damaged data may end in: success by chance, or a `BlockError` of kind `io`. */
export const SAFE: RegExp = /^(decoded|io)$/;

/** How decoding ends. */
export function fate(decode: () => number): string {
  try {
    decode();
    return 'decoded';
  } catch (error) {
    return error instanceof BlockError ? error.kind : String(error);
  }
}
