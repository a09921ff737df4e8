#!/usr/bin/env node
'use strict';
// The program's entry, copied to dist/bin/qimg.cjs. It starts one file with V8's code cache: that saves more than half of
// the time between Node's own start and the first line of the program. Written in the JavaScript of 2019, so that an old
// Node gets as far as the first line of it that it cannot meet. Node compiles this file at every start: what only few of
// them need is in keepCode.cjs.

// Node sets all signals to their defaults when it starts: what the caller ignores must not end the program. The launcher
// tells which, one bit each; src/host/node/signals.ts does the rest.
const ignored = Number(process.env.QIMG_IGNORED_SIGNALS);
if (ignored > 0) {
  /** @type {Record<string, number>} */
  const deadly = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGALRM: 14, SIGTERM: 15 };
  for (const signal of Object.keys(deadly)) {
    if (ignored & (1 << (deadly[signal] - 1))) process.on(signal, () => {});
  }
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
 *
 * What a cache holds: some modules of the program, their source, V8's data of it if they have run by themselves, and how
 * many runs have made these.
 * @typedef {{ modules: string, source: string, data: Uint8Array | undefined, generation: number }} Cache
 */

const fs = require('node:fs');
const vm = require('node:vm');

const PROGRAM = 'PROGRAM_NAME';
const KEEP = 'KEEP_NAME';
const COMMANDS = 'COMMAND_NAMES';
/** V8's data is made by so many runs of a command with the same modules. */
const GENERATIONS = 2;
/** So many bytes of the second half of a cache are compared at once. */
const PIECE = 131072;
/** More than the line that says what is in a cache has bytes: numbers of some hundred modules. */
const MOST_FACTS = 16384;

const filename = `${__dirname}/${PROGRAM}.cjs`;
const command = COMMANDS.split(' ').indexOf(process.argv[2]) < 0 ? 'other' : process.argv[2];
const hasSecrets = process.argv.indexOf('--object') >= 0;
const user = process.geteuid ? process.geteuid() : undefined;
const node = fs.statSync(process.execPath, { throwIfNoEntry: false });
const isNewNode = process.env.QIMG_NEW_NODE !== undefined;
if (isNewNode) delete process.env.QIMG_NEW_NODE;
const flags = `${process.execArgv.join(' ')} ${process.env.NODE_OPTIONS || ''}`;

/**
 * All that a cache depends on. V8 itself compares its version, its flags, and the length of the source. It takes what another
 * build of the same version has written, and crashes: so the versions and the file of Node are in the key, and the program.
 */
const key = [
  'qimg code cache 3',
  PROGRAM,
  command,
  hasSecrets,
  process.version,
  process.versions.v8,
  process.platform,
  process.arch,
  node && `${node.size} ${node.mtimeMs}`,
  flags,
].join();

/** Two builds of a version of Node, and different flags, have files of their own. */
const name = `${PROGRAM}.${command}.${process.version}.${node ? node.size : 0}.${flags.length}.cache`;

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
 * Reads a cache file: the key, the lengths of source and data with what else is known of them, source and data; then all that
 * a second time.
 * @param {number} file
 * @param {number} size
 * @returns {Cache | undefined}
 */
function parse(file, size) {
  const half = size / 2;
  /** @type {any} a `Buffer`, with more than the manual says. */
  const bytes = Buffer.allocUnsafeSlow(half);
  if (fs.readSync(file, bytes, 0, half, 0) !== half) return undefined;
  const first = key.length + 1;
  if (bytes.latin1Slice(0, first) !== `${key}\n`) return undefined;
  // V8 believes what it reads. Of all ways to find damage this one is the quickest: the others load a module of Node. The
  // second half comes in pieces, since memory that was not used before costs more than reading.
  const piece = Buffer.allocUnsafeSlow(PIECE);
  for (let at = 0; at < half; at += PIECE) {
    const length = Math.min(PIECE, half - at);
    if (fs.readSync(file, piece, 0, length, half + at) !== length) return undefined;
    if (piece.compare(bytes, at, at + length, 0, length) !== 0) return undefined;
  }
  // Not with what searches buffers, which Node would compile first.
  const facts = bytes
    .latin1Slice(first, Math.min(half, first + MOST_FACTS))
    .split('\n', 1)[0]
    .split(' ');
  const from = half - Number(facts[1]);
  return {
    modules: facts[3],
    source: bytes.latin1Slice(from - Number(facts[0]), from),
    data: from < half ? new Uint8Array(bytes.buffer, bytes.byteOffset + from, half - from) : undefined,
    generation: Number(facts[2]),
  };
}

/** The cache in a place; undefined if there is none, or none to be trusted. */
function readCache(/** @type {Place} */ place) {
  let file;
  try {
    file = fs.openSync(`${place.directory}/${name}`, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
    const stat = fs.fstatSync(file);
    // A file, which others cannot write to.
    if ((stat.mode & 0o170022) !== 0o100000) return undefined;
    const trusted = stat.uid === user || (place.shared && (stat.uid === 0 || stat.uid === fs.statSync(filename).uid));
    return trusted ? parse(file, stat.size) : undefined;
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) fs.closeSync(file);
  }
}

function findCache() {
  for (const place of places()) {
    const cache = readCache(place);
    if (cache) return cache;
  }
  return undefined;
}

const found = findCache();
const script = new vm.Script(found ? found.source : fs.readFileSync(filename, 'latin1'), {
  filename,
  cachedData: found && found.data,
});
if (found && script.cachedDataRejected) found.data = undefined;

// Optimizing compilers that start later leave the cores to these commands, which mostly wait for the kernel or loop over
// tables briefly. Measured with V8 11.3 of Node 20, whose default is 66 KiB; later versions know no such flag. V8 refuses a
// cache of other settings than it has when it looks at it: so not before.
let restoreSettings = () => true;
const copies = ['convert', 'compare', 'commit', 'rebase', 'dd', 'check'].indexOf(command) >= 0;
if ((copies || hasSecrets) && process.versions.v8.startsWith('11.3.')) {
  const v8 = require('node:v8');
  const settings = v8.cachedDataVersionTag();
  const setBudget = (/** @type {boolean} */ late) =>
    v8.setFlagsFromString(`--interrupt-budget=${late ? 1000000 : 67584}`);
  setBudget(true);
  restoreSettings = () => {
    setBudget(false);
    return v8.cachedDataVersionTag() === settings;
  };
  // For src/host/node/pool.ts: a thread that starts under other settings compiles all of Node's own modules.
  /** @type {any} */ (globalThis)[Symbol.for('qimg.startingThreads')] = (/** @type {boolean} */ are) => setBudget(!are);
}

/** Numbers of modules, in the order in which they ran. @type {number[]} */
const used = [];
/** What modules export, by numbers, and those of Node by names. @type {Record<string | number, unknown>} */
const loaded = {};
/** Functions that run modules, by numbers: those of the cache, and all of them once another one is needed. */
let modules = script.runInThisContext();
let isWhole = !found;

// scripts/lib/joinModules.mjs tells what functions get.
function load(/** @type {string | number} */ module) {
  if (loaded[module] !== undefined) return loaded[module];
  if (typeof module === 'string') return (loaded[module] = require(module));
  if (modules[module] === undefined && !isWhole) {
    modules = new vm.Script(fs.readFileSync(filename, 'latin1'), { filename }).runInThisContext();
    isWhole = true;
  }
  used.push(module);
  const exports = (loaded[module] = {});
  modules[module](load, exports, require, filename, __dirname);
  return exports;
}

// Called by src/cli/bin.ts when all is done and said: keeps what was used and compiled until now for the next run.
/** @type {any} */ (globalThis)[Symbol.for('qimg.finished')] = (/** @type {number} */ code) => {
  const isSettled = found && found.data && (code !== 0 || (found.generation >= GENERATIONS && !isWhole));
  if (isSettled && !isNewNode) return;
  const run = { places: places(), key, name, user, filename, found, used, failed: code !== 0, isSettled, isNewNode };
  try {
    require(`${__dirname}/${KEEP}.cjs`)(run, () => (restoreSettings() ? script.createCachedData() : undefined));
  } catch {
    // The command has done its work.
  }
};

load(0);
