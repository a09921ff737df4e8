/** Builds the program: `src/cli/bin.ts` and the worker become `dist/bin`. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, parse } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as util from 'node:util';
import { stagingDirectory } from './staging.mjs';

/** What the program is made from. */
const INPUTS = ['src', 'package.json', 'package-lock.json', 'scripts/lib'];

/** A program that is just starting may load the files of an earlier build for so long. */
const KEEP_OLD_MS = 3_600_000;

/** A file saved in the clock tick in which a build starts counts as newer than that build. */
const CLOCK_SLACK_MS = 20;

function stampPath(/** @type {string} */ root) {
  return join(root, 'dist', '.stamp');
}

/** @type {(path: string, time: number) => boolean} */
function isNewer(path, time) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return false;
  if (stat.mtimeMs > time) return true;
  return stat.isDirectory() && readdirSync(path).some((name) => isNewer(join(path, name), time));
}

/** True if `dist/bin` was built from the sources as they are. */
export function isFresh(/** @type {string} */ root) {
  const stamp = statSync(stampPath(root), { throwIfNoEntry: false });
  if (!stamp || !['dist/bin/qimg.cjs', 'dist/.inputs'].every((name) => existsSync(join(root, name)))) return false;
  return !INPUTS.some((input) => isNewer(join(root, input), stamp.mtimeMs));
}

/** True where rolldown needs the hooks of `styleText.mjs`. */
function needsStyleText() {
  try {
    util.styleText(['bold', 'red'], '');
    return false;
  } catch {
    return true;
  }
}

/** These paths, and all that is below them. */
function within(/** @type {string} */ root, /** @type {readonly string[]} */ paths) {
  /** @type {string[]} */
  const found = [];
  for (const path of paths) {
    const stat = statSync(join(root, path), { throwIfNoEntry: false });
    if (!stat) continue;
    found.push(
      path,
      ...(stat.isDirectory()
        ? within(
            root,
            readdirSync(join(root, path)).map((name) => join(path, name)),
          )
        : []),
    );
  }
  return found;
}

/** What the launcher `qimg` reads to learn whether the program is built from the sources as they are. */
function inputsScript(/** @type {string} */ root) {
  return `is_built ${within(root, INPUTS)
    .map((path) => `'${path.replaceAll("'", "'\\''")}'`)
    .join(' ')}\n`;
}

/** The oldest Node that runs the program, as `package.json` says it. */
function leastNode(/** @type {string} */ root) {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const version = /\d+(?:\.\d+)*/.exec(engines.node)?.[0];
  if (version === undefined) throw new Error('package.json does not say which Node is needed');
  return version;
}

/** The commands, each of which has a file of its own. */
function commandNames(/** @type {string} */ root) {
  const folder = join(root, 'src/cli/commands');
  return existsSync(folder) ? readdirSync(folder).map((file) => parse(file).name) : [];
}

/** Bundles the program and its worker in a process of its own, whose Node may get a loader's hooks. */
async function bundleEntries(/** @type {string} */ root, /** @type {string} */ directory) {
  const file = (/** @type {string} */ name) => join(root, 'scripts/lib', name);
  const hooks = ['--no-warnings', '--experimental-loader', pathToFileURL(file('styleText.mjs')).href];
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(
    process.execPath,
    [...(needsStyleText() ? hooks : []), file('bundleEntries.mjs'), root, directory],
    { cwd: root, env, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (chunk) => (said += chunk));
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(said.trim() || `the bundler ended with ${signal ?? code}`);
  process.stderr.write(said);
}

/**
 * Names the program by its content, and writes the entry that starts it. Code caches are made where it runs: each build of
 * Node needs its own.
 */
function finishProgram(/** @type {string} */ root, /** @type {string} */ staging) {
  const bundled = join(staging, 'program.cjs');
  // A file of ASCII characters only is read as it is, one byte for each; other characters are in strings only.
  const escaped = readFileSync(bundled, 'utf8').replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  writeFileSync(bundled, escaped);
  const keep = readFileSync(join(staging, 'keepCode.cjs'));
  const hash = createHash('sha256').update(escaped).update(keep).digest('hex').slice(0, 16);
  /** @type {Record<string, string>} */
  const values = {
    LEAST_NODE: leastNode(root),
    PROGRAM_NAME: `program-${hash}`,
    KEEP_NAME: `keep-${hash}`,
    COMMAND_NAMES: commandNames(root).join(' '),
  };
  renameSync(bundled, join(staging, `${values.PROGRAM_NAME}.cjs`));
  renameSync(join(staging, 'keepCode.cjs'), join(staging, `${values.KEEP_NAME}.cjs`));
  const start = readFileSync(join(staging, 'start.cjs'), 'utf8');
  rmSync(join(staging, 'start.cjs'));
  const entry = join(staging, 'qimg.cjs');
  writeFileSync(
    entry,
    start.replace(/LEAST_NODE|PROGRAM_NAME|COMMAND_NAMES|KEEP_NAME/g, (found) => values[found]),
  );
  chmodSync(entry, 0o755);
}

/**
 * Puts a finished build in place, the entry last. The program is named by its content, so that it is whole at every
 * moment, also when this stops half-way or another version of it runs meanwhile.
 */
function publish(/** @type {string} */ from, /** @type {string} */ to, /** @type {number} */ maxAge) {
  mkdirSync(to, { recursive: true });
  const built = readdirSync(from).sort((a, b) => Number(a === 'qimg.cjs') - Number(b === 'qimg.cjs'));
  for (const name of built) renameSync(join(from, name), join(to, name));
  for (const name of readdirSync(to)) {
    if (built.includes(name)) continue;
    const path = join(to, name);
    // Code caches of earlier programs go with them.
    if (Date.now() - statSync(path).mtimeMs >= maxAge) rmSync(path, { recursive: true, force: true });
  }
}

/** Builds `dist/bin`. The caller holds the lock. `clean` removes every file of earlier builds. */
export async function buildProgram(/** @type {string} */ root, { clean = false } = {}) {
  const started = new Date(Date.now() - CLOCK_SLACK_MS);
  const staging = stagingDirectory(root, 'build');
  try {
    await bundleEntries(root, staging);
    finishProgram(root, staging);
    publish(staging, join(root, 'dist/bin'), clean ? 0 : KEEP_OLD_MS);
    writeFileSync(join(staging, 'inputs'), inputsScript(root));
    renameSync(join(staging, 'inputs'), join(root, 'dist/.inputs'));
    const stamp = join(staging, 'stamp');
    writeFileSync(stamp, '');
    utimesSync(stamp, started, started);
    renameSync(stamp, stampPath(root));
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
