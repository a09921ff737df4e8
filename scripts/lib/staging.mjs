/** Directories in which something is prepared, beside what it will become and on the same file system. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** A fresh directory for `kind` ("build", "install"). What killed ones have left is removed: the caller holds the lock. */
export function stagingDirectory(/** @type {string} */ root, /** @type {string} */ kind) {
  const cache = join(root, '.cache');
  mkdirSync(cache, { recursive: true });
  for (const name of readdirSync(cache)) {
    if (!name.startsWith(`${kind}-`)) continue;
    try {
      rmSync(join(cache, name), { recursive: true, force: true });
    } catch {
      // A process that its killed parent left behind still writes there: the next time, then.
    }
  }
  return mkdtempSync(join(cache, `${kind}-`));
}
