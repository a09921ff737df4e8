/** Builds the program: `src/cli/bin.ts` and the worker become `dist/bin`. */
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
const INPUTS = ['src', 'package.json', 'package-lock.json', 'scripts/lib/bundle.mjs'];

/** Packages that stay outside: binaries of one platform, and a codec that only old versions of Node need. */
const EXTERNAL = [/^@koromix\//, /^@bokuweb\/zstd-wasm/];

/** A program that still runs may load a chunk of an earlier build for so long. */
const KEEP_OLD_CHUNKS_MS = 3_600_000;

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
  if (!stamp || !existsSync(join(root, 'dist/bin/qimg.js'))) return false;
  return !INPUTS.some((input) => isNewer(join(root, input), stamp.mtimeMs));
}

/** Bundles one entry into `into`. Dynamic imports stay chunks of their own, loaded when they are needed. */
async function bundleEntry(rolldown, root, entry, name, into) {
  const bundle = await rolldown({
    input: { [name]: join(root, entry) },
    cwd: root,
    platform: 'node',
    external: EXTERNAL,
    onLog(level, log, report) {
      if (log.code === 'UNRESOLVED_IMPORT') throw new Error(log.message);
      report(level, log);
    },
  });
  try {
    await bundle.write({
      dir: into,
      format: 'esm',
      entryFileNames: '[name].js',
      // Flat, so that `new URL('./worker.js', import.meta.url)` means the same in every chunk.
      chunkFileNames: '[name]-[hash].js',
      minify: false,
    });
  } finally {
    await bundle.close();
  }
}

/**
 * Puts a finished build in place, chunks before the entries that load them. Chunks are named by their content, so the
 * program is whole at every moment, also when this stops half-way or another version of it runs meanwhile.
 */
function publish(from, to, maxAge) {
  mkdirSync(to, { recursive: true });
  const entries = ['worker.js', 'qimg.js'];
  const built = readdirSync(from).sort((a, b) => entries.indexOf(a) - entries.indexOf(b));
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

/** Builds `dist/bin`. The caller holds the lock. `clean` removes every chunk of earlier builds. */
export async function buildProgram(root, { clean = false } = {}) {
  const { rolldown } = await import('rolldown');
  const started = new Date(Date.now() - CLOCK_SLACK_MS);
  const staging = stagingDirectory(root);
  try {
    // Two bundles: shared chunks would cost the program's start a file to load.
    await bundleEntry(rolldown, root, 'src/cli/bin.ts', 'qimg', staging);
    const worker = 'src/host/node/worker.ts';
    if (existsSync(join(root, worker))) await bundleEntry(rolldown, root, worker, 'worker', staging);
    const program = join(staging, 'qimg.js');
    if (!readFileSync(program, 'utf8').startsWith('#!')) throw new Error('src/cli/bin.ts does not start with "#!"');
    chmodSync(program, 0o755);
    publish(staging, join(root, 'dist/bin'), clean ? 0 : KEEP_OLD_CHUNKS_MS);
    const stamp = join(staging, 'stamp');
    writeFileSync(stamp, '');
    utimesSync(stamp, started, started);
    renameSync(stamp, stampPath(root));
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
