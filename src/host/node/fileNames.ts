/** Names of files on their way to `node:fs`. */
import { bytesOf, isEscaped } from '../../base/text.ts';

/** A name for `node:fs`: as bytes where it is not UTF-8, for a string would arrive there with other bytes. */
export function hostName(name: string): string | Buffer {
  return isEscaped(name) ? Buffer.from(bytesOf(name)) : name;
}
