/** What package-lock.json asks for: all of it, or only what building and running a program needs. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What builds the program (`scripts/lib/bundleEntries.mjs`). Everything else of `devDependencies` is for tests and checks. */
const BUILDERS = ['rolldown'];

/**
 * What is for the library on other platforms only (`src/host/portable`): the program never loads it. The standalone
 * executable has hashes of it.
 */
const UNUSED = { program: ['@noble/hashes', 'pako'], standalone: ['pako'] };

/**
 * What `package-lock.json` says of a package, or `package.json` of itself.
 * @typedef {object} Package
 * @property {string} [name]
 * @property {string} [version]
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [optionalDependencies]
 * @property {readonly string[] | undefined} [libc]
 * @property {readonly string[] | undefined} [os]
 * @property {boolean} [optional]
 * @property {unknown} [engines]
 */

/**
 * @typedef {Readonly<Record<string, Package>>} Packages packages by path
 * @typedef {'program' | 'standalone' | 'all'} PackageSet
 */

function readJson(/** @type {string} */ path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** The entry that a package at `path` finds under `name`, looking where Node does: `[path, entry]` or undefined. */
function resolve(/** @type {Packages} */ packages, /** @type {string} */ path, /** @type {string} */ name) {
  for (let folder = path; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1))) {
    const candidate = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (packages[candidate]) return candidate;
    if (folder === '') return undefined;
  }
}

/** The packages that the ones named by `root` reach, by path. They stay where the whole installation has them. */
function reachable(/** @type {Packages} */ packages, /** @type {Package} */ root) {
  /** @type {Record<string, Package & { readonly dev?: undefined }>} */
  const found = { '': root };
  const queue = [''];
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    const { dependencies, optionalDependencies } = found[path];
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const at = resolve(packages, path, name);
      if (at === undefined || found[at]) continue;
      found[at] = { ...packages[at], dev: undefined };
      queue.push(at);
    }
  }
  return found;
}

/** The C library that Node uses here, in npm's words. */
function libcHere() {
  return /** @type {any} */ (process.report.getReport()).header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
}

/**
 * What npm leaves out it leaves out without a word. It is not to judge by `engines`, which ask for more than is needed
 * here, nor by `libc`, which npm 9 cannot tell.
 */
function withoutDoubts(/** @type {Packages} */ packages) {
  const libc = process.platform === 'linux' ? libcHere() : 'none';
  /** @type {Record<string, Package>} */
  const cleared = {};
  for (const [path, entry] of Object.entries(packages)) {
    const fits = !entry.libc || entry.libc.includes(libc);
    cleared[path] = { ...entry, engines: undefined, libc: undefined, os: fits ? entry.os : ['none'] };
  }
  return cleared;
}

/**
 * `package.json` and `package-lock.json` for npm: as they are for `set` "all"; for the others what is needed to build and
 * run the program, or the standalone executable as well, in the same versions, with the same hashes and at the same paths.
 */
export function manifests(/** @type {string} */ root, /** @type {PackageSet} */ set) {
  const manifest = readJson(join(root, 'package.json'));
  const lock = readJson(join(root, 'package-lock.json'));
  const packages = withoutDoubts(lock.packages);
  if (set === 'all') return { manifest, lock: { ...lock, packages } };
  const { name, version, dependencies, optionalDependencies, devDependencies } = manifest;
  const used = Object.entries(dependencies).filter(([dependency]) => !UNUSED[set].includes(dependency));
  const builders = BUILDERS.map((builder) => [builder, devDependencies[builder]]);
  const small = { name, version, dependencies: Object.fromEntries([...used, ...builders]), optionalDependencies };
  return { manifest: small, lock: { ...lock, packages: reachable(packages, small) } };
}

/**
 * True if `node_modules` holds `set`. npm writes `node_modules/.package-lock.json` at the end of an installation.
 * Contents are compared, not times: a checkout that only touches the lock file must not throw away `node_modules` under
 * programs that use it.
 */
export function isInstalled(/** @type {string} */ root, /** @type {PackageSet} */ set) {
  let present;
  try {
    present = readJson(join(root, 'node_modules/.package-lock.json')).packages ?? {};
  } catch {
    return false;
  }
  return Object.entries(manifests(root, set).lock.packages).every(([path, entry]) => {
    if (path === '') return true;
    const found = present[path];
    if (!found) return entry.optional === true;
    return found.version === entry.version && existsSync(join(root, path, 'package.json'));
  });
}
