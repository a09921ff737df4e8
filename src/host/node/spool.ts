/** Spools in the directory for temporary files. */
import type { SpoolPort } from '../../block/spool.ts';
import { spools } from '../shared/spool.ts';
import { startDraft } from './draft.ts';
import { libc } from './ffi.ts';
import { NodeFiles } from './file.ts';
import { temporaryFolder } from './fileNames.ts';

/** Spools that hold so many bytes together. */
export function nodeSpools(limit: number): SpoolPort {
  return spools({
    limit,
    async begin() {
      const draft = startDraft(`${temporaryFolder()}/qimg-spool`, { replace: false, secret: true, libc: libc() });
      try {
        return { draft, handle: await new NodeFiles().open(draft.at, { writable: true, cache: 'unsafe' }) };
      } catch (error) {
        await draft.discard();
        throw error;
      }
    },
  });
}
