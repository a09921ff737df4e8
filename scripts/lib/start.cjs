#!/usr/bin/env node
'use strict';
// The program's entry, copied to dist/bin/qimg.cjs. It starts one file with V8's code cache: that saves more than half of
// the time between Node's own start and the first line of the program. Written in the JavaScript of 2019, so that an old
// Node gets as far as the first line of it that it cannot meet.

// Node sets all signals to their defaults when it starts: what the caller ignores must not end the program. The launcher
// tells which, one bit each; src/host/node/signals.ts does the rest.
const ignored = Number(process.env.QIMG_IGNORED_SIGNALS);
/** @type {Record<string, number>} */
const DEADLY = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGALRM: 14, SIGTERM: 15 };
for (const signal of Object.keys(DEADLY)) {
  if (ignored & (1 << (DEADLY[signal] - 1))) process.on(signal, () => {});
}

const needed = 'LEAST_NODE'.split('.').map(Number);
const present = process.versions.node.split('.').map(Number);
const differs = needed.findIndex((number, index) => number !== present[index]);
if (differs >= 0 && present[differs] < needed[differs]) {
  const least = needed.slice(0, 2).join('.');
  process.stderr.write(`qimg: Node.js ${least} or newer is needed, this is ${process.version} (${process.execPath})\n`);
  process.exit(1);
}

/**
 * A place for caches; in a shared one everybody reads.
 * @typedef {{ directory: string, shared: boolean }} Place
 */

const fs = require('node:fs');
const { wrap } = require('node:module');
const vm = require('node:vm');

const PROGRAM = 'PROGRAM_NAME';
const COMMANDS = 'COMMAND_NAMES';
/** Caches are made by so many runs of a command, one after the other, and later by one that uses other modules. */
const GENERATIONS = 3;
/** After so much work V8 may have thrown away what only the start needed. In microseconds. */
const SHORT_RUN = 1500000;
const HOUR_MS = 3600000;
const UNUSED_MS = 30 * 24 * HOUR_MS;
const MOST_CACHES = 64;

const filename = `${__dirname}/${PROGRAM}.cjs`;
const command = COMMANDS.split(' ').indexOf(process.argv[2]) < 0 ? 'other' : process.argv[2];
const hasSecrets = process.argv.indexOf('--object') >= 0;
const user = process.geteuid ? process.geteuid() : undefined;
const node = fs.statSync(process.execPath, { throwIfNoEntry: false });

/**
 * All that a cache depends on. V8 itself compares its version, its flags, and the length of the source. It takes what another
 * build of the same version has written, and crashes: so the versions and the file of Node are in the key, and the program.
 */
const key = JSON.stringify([
  'qimg code cache 1',
  PROGRAM,
  command,
  hasSecrets,
  process.version,
  process.versions.v8,
  process.platform,
  process.arch,
  node && [node.size, node.mtimeMs],
  process.execArgv,
  process.env.NODE_OPTIONS || '',
]).replace(/[^ -~]/g, '?');

function shortHash(/** @type {string} */ text) {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return (hash >>> 0).toString(16);
}

const name = `${PROGRAM}.${command}.${process.version}.${shortHash(key)}.cache`;

/**
 * Where caches are, in this order: beside the program, where its owner writes and everybody reads; in the user's own
 * directory. A cache is code: never in a place that others write to.
 */
function places() {
  if (user === undefined || process.env.QIMG_NO_CODE_CACHE) return [];
  const beside = { directory: `${__dirname}/cache`, shared: true };
  const xdg = process.env.XDG_CACHE_HOME || '';
  const home = process.env.HOME || '';
  const parent = xdg[0] === '/' ? xdg : home[0] === '/' ? `${home}/.cache` : '';
  // A name with other bytes than UTF-8 has lost them.
  if (parent === '' || parent.indexOf('\ufffd') >= 0) return [beside];
  return [beside, { directory: `${parent}/qimg`, shared: false }];
}

/**
 * What a cache file holds: the key, then how often it was made of which modules, then V8's data, twice.
 * @param {any} bytes a `Buffer`, with more than the manual says.
 * @returns {{ data: Buffer, generation: number, modules: Set<number> } | undefined}
 */
function parse(bytes) {
  const first = key.length + 1;
  if (bytes.latin1Slice(0, first) !== `${key}\n`) return undefined;
  const end = bytes.indexOf(10, first);
  const facts = bytes.latin1Slice(first, end).split(' ');
  const length = Number(facts[0]);
  const begin = bytes.length - 2 * length;
  if (end < 0 || !(length > 0) || begin <= end) return undefined;
  // V8 believes what it reads. Of all ways to find damage this one is the quickest: the others load a module of Node.
  if (bytes.compare(bytes, begin, begin + length, begin + length) !== 0) return undefined;
  return {
    data: bytes.subarray(begin, begin + length),
    generation: Number(facts[1]),
    modules: new Set(facts[2].split(',').map(Number)),
  };
}

/** The cache in a place; undefined if there is none, or none to be trusted. */
function readCache(/** @type {Place} */ place, /** @type {number} */ programOwner) {
  let file;
  try {
    file = fs.openSync(`${place.directory}/${name}`, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
    const stat = fs.fstatSync(file);
    const trusted = stat.uid === user || (place.shared && (stat.uid === programOwner || stat.uid === 0));
    if (!stat.isFile() || !trusted || (stat.mode & 0o022) !== 0) return undefined;
    return parse(fs.readFileSync(file));
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) fs.closeSync(file);
  }
}

/** True if a directory, or the nearest one above it that exists, belongs to the user: root leaves nothing with others. */
function isOwn(/** @type {string} */ directory) {
  for (let path = directory; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
    const stat = fs.statSync(path, { throwIfNoEntry: false });
    if (stat) return stat.isDirectory() && stat.uid === user && (path !== directory || (stat.mode & 0o022) === 0);
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
    if (age > (entry.endsWith('.part') ? HOUR_MS : UNUSED_MS)) fs.rmSync(path, { force: true });
    else if (entry.endsWith('.cache')) caches.push({ path, age });
  }
  caches.sort((a, b) => a.age - b.age);
  for (const cache of caches.slice(MOST_CACHES)) fs.rmSync(cache.path, { force: true });
}

/** Writes a cache; false if that cannot be done in this place. `make` gives V8's data. */
function writeCache(
  /** @type {Place} */ place,
  /** @type {number} */ generation,
  /** @type {Set<number>} */ modules,
  /** @type {() => Buffer | undefined} */ make,
) {
  let temporary;
  try {
    if (!isOwn(place.directory)) return false;
    fs.mkdirSync(place.directory, { recursive: true, mode: place.shared ? 0o755 : 0o700 });
    const part = `${place.directory}/${process.pid}-${Math.random().toString(36).slice(2)}.part`;
    const file = fs.openSync(part, 'wx', place.shared ? 0o644 : 0o600);
    temporary = part;
    try {
      const data = make();
      if (data === undefined) return true;
      const head = `${key}\n${data.length} ${generation} ${Array.from(modules).join(',')}\n`;
      // V8 copies data that does not begin at a multiple of its words.
      fs.writeFileSync(file, head + '\n'.repeat(-head.length & 63), 'latin1');
      fs.writeFileSync(file, data);
      fs.writeFileSync(file, data);
    } finally {
      fs.closeSync(file);
    }
    fs.renameSync(part, `${place.directory}/${name}`);
    temporary = undefined;
    if (generation <= 1) tidy(place.directory);
    return true;
  } catch {
    return false;
  } finally {
    if (temporary !== undefined) fs.rmSync(temporary, { force: true });
  }
}

const program = fs.openSync(filename, 'r');
const programOwner = fs.fstatSync(program).uid;
const source = fs.readFileSync(program, 'latin1');
fs.closeSync(program);

function findCache() {
  for (const place of places()) {
    const cache = readCache(place, programOwner);
    if (cache) return cache;
  }
  return undefined;
}

let found = findCache();
const script = new vm.Script(wrap(source), { filename, cachedData: found && found.data });
if (script.cachedDataRejected) found = undefined;

// Optimizing compilers that start later leave the cores to these commands, which mostly wait for the kernel or loop over
// tables briefly. Measured with V8 11.3 of Node 20, whose default is 66 KiB; later versions know no such flag. V8 refuses a
// cache of other settings than it has when it looks at it: so not before.
let restoreSettings = () => true;
const copies = ['convert', 'compare', 'commit', 'rebase', 'dd', 'check'].indexOf(command) >= 0;
if ((copies || hasSecrets) && process.versions.v8.startsWith('11.3.')) {
  const v8 = require('node:v8');
  const settings = v8.cachedDataVersionTag();
  v8.setFlagsFromString('--interrupt-budget=1000000');
  restoreSettings = () => {
    v8.setFlagsFromString('--interrupt-budget=67584');
    return v8.cachedDataVersionTag() === settings;
  };
}

// The bundle notes its modules here as they are used (scripts/lib/bundle.mjs).
/** @type {{ exports: object, modules: number, used: number[] }} */
const own = { exports: {}, modules: 0, used: [] };

// Called by src/cli/bin.ts when all is done and said: keeps what V8 has compiled until now for the next run.
/** @type {any} */ (globalThis)[Symbol.for('qimg.finished')] = (/** @type {number} */ code) => {
  const used = process.cpuUsage();
  if (used.user + used.system > SHORT_RUN || (found && code !== 0)) return;
  const known = found;
  const isKnown = known && own.used.every((module) => known.modules.has(module));
  if (isKnown && known.generation >= GENERATIONS) return;
  const modules = new Set(own.used.concat(found ? Array.from(found.modules) : []));
  const generation = code === 0 ? (found ? found.generation : 0) + 1 : 0;
  /** @type {Buffer | undefined} */
  let data;
  const make = () => {
    if (!data && restoreSettings()) data = script.createCachedData();
    return data;
  };
  places().some((place) => writeCache(place, generation, modules, make));
};

script.runInThisContext()(own.exports, require, own, filename, __dirname);
