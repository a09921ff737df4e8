/** Builds the program: `src/cli/bin.ts` and the worker become `dist/bin`. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** What the program is made from. The launcher `qimg` looks at the same paths. */
const INPUTS = ['src', 'package.json', 'package-lock.json', 'scripts/lib'];

/** Packages that stay outside: binaries of one platform, and codecs that few images or only old versions of Node need. */
const EXTERNAL = [/^@koromix\//, /^@bokuweb\/zstd-wasm/, /^xz-decompress$/];

/** Without white space and comments there is half as much to read at every start; names stay for those who debug. */
const SMALLER = { compress: false, mangle: false, codegen: { removeWhitespace: true } };

/** Groups of commands with a code cache of their own, in the order in which `warm.cjs` can make them. */
const CACHES = ['copies', 'secrets', 'others'];

/** A program that is just starting may load the files of an earlier build for so long. */
const KEEP_OLD_MS = 3_600_000;

/** A file saved in the clock tick in which a build starts counts as newer than that build. */
const CLOCK_SLACK_MS = 20;

function stampPath(root) {
  return join(root, 'dist', '.stamp');
}

function isNewer(path, time) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return false;
  if (stat.mtimeMs > time) return true;
  return stat.isDirectory() && readdirSync(path).some((name) => isNewer(join(path, name), time));
}

/** True if `dist/bin` was built from the sources as they are. */
export function isFresh(root) {
  const stamp = statSync(stampPath(root), { throwIfNoEntry: false });
  if (!stamp || !existsSync(join(root, 'dist/bin/qimg.cjs'))) return false;
  return !INPUTS.some((input) => isNewer(join(root, input), stamp.mtimeMs));
}

/** Bundles one entry, with everything that it loads later, into one file. */
async function bundleEntry(rolldown, root, entry, file, format) {
  const bundle = await rolldown({
    input: join(root, entry),
    cwd: root,
    platform: 'node',
    external: EXTERNAL,
    onLog(level, log, report) {
      if (log.code === 'UNRESOLVED_IMPORT') throw new Error(log.message);
      report(level, log);
    },
  });
  try {
    await bundle.write({ file, format, codeSplitting: false, dynamicImportInCjs: false, minify: SMALLER });
  } finally {
    await bundle.close();
  }
}

/**
 * Names the program by its content, makes its code caches, and writes the entry that starts both. V8 tells sources apart
 * by their length only: the name keeps a cache from meeting another program of the same length.
 */
function finishProgram(root, staging) {
  const bundled = join(staging, 'program.cjs');
  // A file of ASCII characters only is read as it is, one byte for each; other characters are in strings only.
  const escaped = readFileSync(bundled, 'utf8').replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  writeFileSync(bundled, escaped);
  const hash = createHash('sha256').update(readFileSync(bundled)).digest('hex').slice(0, 16);
  const program = join(staging, `program-${hash}.cjs`);
  renameSync(bundled, program);
  // A cache is a convenience: a run that fails here will tell its reason to the user later.
  const scratch = join(staging, 'warm');
  mkdirSync(scratch);
  const warm = join(root, 'scripts/lib/warm.cjs');
  for (const group of CACHES) {
    const cache = join(staging, `program-${hash}.${group}.cache`);
    spawnSync(process.execPath, [warm, program, group, cache, scratch], { stdio: 'ignore', cwd: root });
  }
  rmSync(scratch, { recursive: true });
  const start = readFileSync(join(root, 'scripts/lib/start.cjs'), 'utf8');
  const entry = join(staging, 'qimg.cjs');
  writeFileSync(entry, start.replaceAll('PROGRAM', `program-${hash}`));
  chmodSync(entry, 0o755);
}

/**
 * Puts a finished build in place, the entry last. The program is named by its content, so that it is whole at every
 * moment, also when this stops half-way or another version of it runs meanwhile.
 */
function publish(from, to, maxAge) {
  mkdirSync(to, { recursive: true });
  const built = readdirSync(from).sort((a, b) => Number(a === 'qimg.cjs') - Number(b === 'qimg.cjs'));
  for (const name of built) renameSync(join(from, name), join(to, name));
  for (const name of readdirSync(to)) {
    if (built.includes(name)) continue;
    const path = join(to, name);
    if (Date.now() - statSync(path).mtimeMs >= maxAge) rmSync(path, { force: true });
  }
}

/** Where a build is assembled, beside `dist` and on the same file system. Left-overs of killed builds are removed. */
export function stagingDirectory(root) {
  const cache = join(root, '.cache');
  mkdirSync(cache, { recursive: true });
  for (const name of readdirSync(cache)) {
    if (name.startsWith('build-')) rmSync(join(cache, name), { recursive: true, force: true });
  }
  return mkdtempSync(join(cache, 'build-'));
}

/** Builds `dist/bin`. The caller holds the lock. `clean` removes every file of earlier builds. */
export async function buildProgram(root, { clean = false } = {}) {
  const { rolldown } = await import('rolldown');
  const started = new Date(Date.now() - CLOCK_SLACK_MS);
  const staging = stagingDirectory(root);
  try {
    await bundleEntry(rolldown, root, 'src/cli/bin.ts', join(staging, 'program.cjs'), 'cjs');
    const worker = 'src/host/node/worker.ts';
    if (existsSync(join(root, worker))) await bundleEntry(rolldown, root, worker, join(staging, 'worker.js'), 'esm');
    finishProgram(root, staging);
    publish(staging, join(root, 'dist/bin'), clean ? 0 : KEEP_OLD_MS);
    const stamp = join(staging, 'stamp');
    writeFileSync(stamp, '');
    utimesSync(stamp, started, started);
    renameSync(stamp, stampPath(root));
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
