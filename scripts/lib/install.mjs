/** Installs packages where they are missing. Uses Node's own modules only. */
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { npmCi } from './npm.mjs';
import { isInstalled, manifests } from './packages.mjs';
import { stagingDirectory } from './staging.mjs';

/** npm's mark of a complete installation, and what `isInstalled` looks at. */
const MARK = '.package-lock.json';

function failurePath(/** @type {string} */ root) {
  return join(root, '.cache/install-failed');
}

/** What another process was told that tried since `begun`, while this one waited for it. */
function failureSince(/** @type {string} */ root, /** @type {number} */ begun) {
  try {
    const { at, message } = JSON.parse(readFileSync(failurePath(root), 'utf8'));
    return at >= begun ? message : undefined;
  } catch {
    return undefined;
  }
}

/** Leaves a note for those who wait; without one they find out for themselves. */
function noteFailure(/** @type {string} */ root, /** @type {string} */ message) {
  try {
    writeFileSync(failurePath(root), JSON.stringify({ at: Date.now(), message }));
  } catch {
    // The disk is full, for example: the message says so.
  }
}

/** Moves a complete `node_modules` to its place: whoever looks finds the old one or the new one. */
function putInPlace(/** @type {string} */ fresh, /** @type {string} */ target, /** @type {string} */ aside) {
  try {
    if (existsSync(target)) renameSync(target, aside);
    renameSync(fresh, target);
  } catch (error) {
    if (error.code !== 'EBUSY' && error.code !== 'EXDEV') throw error;
    // A file system is mounted there: its content changes instead, the mark first and last.
    rmSync(join(target, MARK), { force: true });
    for (const name of readdirSync(target)) rmSync(join(target, name), { recursive: true });
    const filter = (/** @type {string} */ path) => path !== join(fresh, MARK);
    cpSync(fresh, target, { recursive: true, verbatimSymlinks: true, filter });
    copyFileSync(join(fresh, MARK), join(target, MARK));
  }
}

/**
 * Makes `node_modules` hold `set`: "program" is what building and running needs, "standalone" what the standalone executable
 * needs too, "all" what tests need. The caller
 * holds the lock. npm works aside, so that a kill at any moment leaves `node_modules` as it was.
 * @param {string} root
 * @param {import('./packages.mjs').PackageSet} set
 * @param {{ report?: (what: string) => void, begun?: number }} how `begun`: when the caller began to wait for the lock:
 * what failed since is not tried again.
 * @throws Error of one line.
 */
export async function install(root, set, { report = () => {}, begun = Date.now() } = {}) {
  if (isInstalled(root, set)) return;
  const known = failureSince(root, begun);
  if (known !== undefined) throw new Error(known);
  const staging = stagingDirectory(root, 'install');
  try {
    const { manifest, lock } = manifests(root, set);
    writeFileSync(join(staging, 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(staging, 'package-lock.json'), JSON.stringify(lock));
    if (existsSync(join(root, '.npmrc'))) copyFileSync(join(root, '.npmrc'), join(staging, '.npmrc'));
    await npmCi(staging, report);
    putInPlace(join(staging, 'node_modules'), join(root, 'node_modules'), join(staging, 'old'));
    rmSync(failurePath(root), { force: true });
  } catch (error) {
    const message = `cannot install the dependencies: ${error.message}`;
    noteFailure(root, message);
    throw new Error(message, { cause: error });
  } finally {
    rmSync(staging, { recursive: true, force: true, maxRetries: 3 });
  }
}
