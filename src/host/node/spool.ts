/** Spools in the directory for temporary files. */
import { accessSync, constants } from 'node:fs';
import { textOf } from '../../base/text.ts';
import type { SpoolPort } from '../../block/spool.ts';
import { spools } from '../shared/spool.ts';
import { startDraft } from './draft.ts';
import { libc } from './ffi.ts';
import { NodeFiles } from './file.ts';

/** `/tmp` is in memory on many systems; `/var/tmp` is not. */
function folder(): string {
  const { TMPDIR } = process.env;
  if (TMPDIR !== undefined && TMPDIR !== '') return textOf(Buffer.from(TMPDIR));
  try {
    accessSync('/var/tmp', constants.W_OK);
    return '/var/tmp';
  } catch {
    return '/tmp';
  }
}

/** Spools that hold so many bytes together. */
export function nodeSpools(limit: number): SpoolPort {
  return spools({
    limit,
    async begin() {
      const draft = startDraft(`${folder()}/qimg-spool`, { replace: false, secret: true, libc: libc() });
      try {
        return { draft, handle: await new NodeFiles().open(draft.at, { writable: true, cache: 'unsafe' }) };
      } catch (error) {
        await draft.discard();
        throw error;
      }
    },
  });
}
