/** Names of files on their way to `node:fs`, and where temporary ones are. */
import { accessSync, constants } from 'node:fs';
import { bytesOf, isEscaped, textOf } from '../../base/text.ts';

/** A name for `node:fs`: as bytes where it is not UTF-8, for a string would arrive there with other bytes. */
export function hostName(name: string): string | Buffer {
  return isEscaped(name) ? Buffer.from(bytesOf(name)) : name;
}

/** The directory for files that may become large: `/tmp` is in memory on many systems; `/var/tmp` is not. */
export function temporaryFolder(): string {
  const { TMPDIR } = process.env;
  if (TMPDIR !== undefined && TMPDIR !== '') return textOf(Buffer.from(TMPDIR));
  try {
    accessSync('/var/tmp', constants.W_OK);
    return '/var/tmp';
  } catch {
    return '/tmp';
  }
}
