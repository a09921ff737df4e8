'use strict';
// Writes code caches, which scripts/lib/start.cjs reads: a part of the program's entry, loaded by those runs that make one.

/**
 * A place for caches; in a shared one everybody reads.
 * @typedef {{ directory: string, shared: boolean }} Place
 *
 * A run that has ended, having run the modules in `used`. `found` is the cache with which it started, of the program in
 * `filename`. `isSettled` if the cache is to stay as it is; `isNewNode` if the launcher does not know yet what settings this
 * Node knows.
 * @typedef {{
 *   places: Place[], key: string, name: string, user: number | undefined, filename: string, used: number[], failed: boolean,
 *   isSettled: boolean | undefined, isNewNode: boolean,
 *   found: { modules: string, source: string, generation: number } | undefined,
 * }} Run
 *
 * What goes into a cache.
 * @typedef {{ modules: string, source: string, data: Buffer | undefined, generation: number }} Cache
 */

const fs = require('node:fs');

/** After so much work V8 may have thrown away what only the start needed. In microseconds. */
const SHORT_RUN = 1500000;
const HOUR_MS = 3600000;
const UNUSED_MS = 30 * 24 * HOUR_MS;
const MOST_CACHES = 64;

/** True if a directory, or the nearest one above it that exists, belongs to the user: root leaves nothing with others. */
function isOwn(/** @type {string} */ directory, /** @type {number | undefined} */ user) {
  try {
    for (let path = directory; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
      const stat = fs.statSync(path, { throwIfNoEntry: false });
      if (stat) return stat.isDirectory() && stat.uid === user && (path !== directory || (stat.mode & 0o022) === 0);
    }
  } catch {
    // Below what is no directory, or not to be looked at.
  }
  return false;
}

/** Removes what killed runs left, and caches that nobody uses any more. */
function tidy(/** @type {string} */ directory) {
  const caches = [];
  for (const entry of fs.readdirSync(directory)) {
    const path = `${directory}/${entry}`;
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (!stat) continue;
    const age = Date.now() - Math.max(stat.mtimeMs, stat.atimeMs);
    const isCache = entry.endsWith('.cache');
    if (entry.endsWith('.part') ? age > HOUR_MS : isCache && age > UNUSED_MS) fs.rmSync(path, { force: true });
    else if (isCache) caches.push({ path, age });
  }
  caches.sort((a, b) => a.age - b.age);
  for (const cache of caches.slice(MOST_CACHES)) fs.rmSync(cache.path, { force: true });
}

/** The bytes of a cache file. */
function fileOf(/** @type {string} */ key, /** @type {Cache} */ { modules, source, data, generation }) {
  const length = data ? data.length : 0;
  const head = `${key}\n${source.length} ${length} ${generation} ${modules}\n`;
  // V8 copies data that does not begin at a multiple of its words.
  const text = Buffer.from(`${head}${'\n'.repeat(-(head.length + source.length) & 63)}${source}`, 'latin1');
  const half = data ? Buffer.concat([text, data]) : text;
  return Buffer.concat([half, half]);
}

/**
 * Does something in a place for caches that the user may write to; false if that cannot be done.
 * @param {Place} place
 * @param {Run} run
 * @param {(temporary: string) => string | undefined} make makes a file with this name, and says what to call it, if it is to stay.
 */
function put(place, run, make) {
  const temporary = `${place.directory}/${process.pid}-${Math.random().toString(36).slice(2)}.part`;
  try {
    if (!isOwn(place.directory, run.user)) return false;
    fs.mkdirSync(place.directory, { recursive: true, mode: place.shared ? 0o755 : 0o700 });
    const name = make(temporary);
    if (name !== undefined) fs.renameSync(temporary, `${place.directory}/${name}`);
    if (!run.found) tidy(place.directory);
    return true;
  } catch {
    return false;
  } finally {
    fs.rmSync(temporary, { force: true });
  }
}

/** Writes bytes into a new file, which others may read in a shared place. */
function writeNew(/** @type {Place} */ place, /** @type {string} */ path, /** @type {Buffer | string} */ bytes) {
  const file = fs.openSync(path, 'wx', place.shared ? 0o644 : 0o600);
  try {
    fs.writeFileSync(file, bytes);
  } finally {
    fs.closeSync(file);
  }
}

/** True if a place has a note about a Node that is still there. */
function hasNote(/** @type {Place} */ place) {
  try {
    const [node, older, newer] = ['node', 'node.older', 'node.newer'].map((name) =>
      fs.statSync(`${place.directory}/${name}`),
    );
    return older.mtimeMs < node.mtimeMs && node.mtimeMs < newer.mtimeMs;
  } catch {
    return false;
  }
}

/**
 * Tells the launcher that this Node knows the settings that make it start quicker: by a link to it, and files that are a
 * little older and newer than it is. False if it does not know them, or is the second one here.
 */
function noteNode(/** @type {Run} */ run) {
  if (run.places.some(hasNote) || !run.places.some(({ directory }) => isOwn(directory, run.user))) return false;
  const { spawnSync } = require('node:child_process');
  const trial = ['--no-rehash-snapshot', '--v8-pool-size=1', '-e', '0'];
  const env = Object.assign({}, process.env, { NODE_OPTIONS: '' });
  const { status, stderr } = spawnSync(process.execPath, trial, { env, timeout: 5000 });
  if (status !== 0 || stderr.length > 0) return false;
  const time = fs.statSync(process.execPath).mtimeMs / 1000;
  const notes = (/** @type {Place} */ place) =>
    [-2, 2].every((seconds) =>
      put(place, run, (path) => {
        writeNew(place, path, '');
        fs.utimesSync(path, time + seconds, time + seconds);
        return seconds < 0 ? 'node.older' : 'node.newer';
      }),
    ) &&
    put(place, run, (path) => {
      fs.symlinkSync(process.execPath, path);
      return 'node';
    });
  return run.places.some(notes);
}

/**
 * What a run leaves to the next one: the source of all modules that runs have used, and once a run has used no others, what
 * V8 has compiled of these.
 * @param {Run} run
 * @param {() => Buffer | undefined} compiled
 * @returns {Cache | undefined}
 */
function cacheOf({ found, used, filename, failed }, compiled) {
  const known = found ? found.modules.split(',').map(Number) : [];
  const others = used.filter((module) => known.indexOf(module) < 0);
  if (!found || others.length > 0) {
    const modules = known.concat(others);
    const lines = fs.readFileSync(filename, 'latin1').split('\n');
    const source = `({\n${modules.map((module) => `${module}:${lines[module + 1]}`).join('\n')}\n})`;
    return { modules: modules.join(), source, data: undefined, generation: 0 };
  }
  const { user, system } = process.cpuUsage();
  const data = user + system > SHORT_RUN ? undefined : compiled();
  if (!data) return undefined;
  return { modules: found.modules, source: found.source, data, generation: failed ? 0 : found.generation + 1 };
}

/** Keeps what is worth it of a run. `compiled` gives V8's data of the modules that the run has found. */
module.exports = (/** @type {Run} */ run, /** @type {() => Buffer | undefined} */ compiled) => {
  // With other settings the next run will need another cache.
  if ((run.isNewNode && noteNode(run)) || run.isSettled) return;
  /** @type {{ bytes: Buffer | undefined } | undefined} */
  let made;
  for (const place of run.places) {
    const written = put(place, run, (path) => {
      if (!made) {
        const cache = cacheOf(run, compiled);
        made = { bytes: cache && fileOf(run.key, cache) };
      }
      if (!made.bytes) return undefined;
      writeNew(place, path, made.bytes);
      return run.name;
    });
    if (written) return;
  }
};
