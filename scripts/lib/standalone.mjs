/** Makes the standalone executable (docs/standalone.md): Bun with the program in it. Uses Node's own modules only. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BUN_VERSION, fileOf, TARGETS, targetHere } from './bunTargets.mjs';
import { noticesOf } from './notices.mjs';
import { npmCi } from './npm.mjs';
import { stagingDirectory } from './staging.mjs';

/** Entry points: the program first. */
const ENTRIES = ['src/cli/standalone.ts', 'src/host/bun/worker.ts'];

/**
 * What makes an executable start quickly, besides the profile (`recordProfile`): chunks that are not loaded in dozens, and
 * compilers that start late. Most commands end before these have paid for their threads, and longer ones lose nothing.
 */
const QUICK = [
  '--bytecode',
  '--minify',
  '--format=esm',
  '--splitting',
  '--min-chunk-size=262144',
  '--compile-jit-policy=100',
];

/** Files of the directory in which somebody works are not the program's. */
const CLOSED = ['--no-compile-autoload-dotenv', '--no-compile-autoload-bunfig'];

/** Bun has zstd itself. */
const LEFT_OUT = ['--external=@bokuweb/zstd-wasm'];

/**
 * What Bun looks for in the environment before the first line of a program: settings of other programs that are made with
 * it, which would change this one, or turn it into Bun itself. Here their names are others of the same length. Names in
 * Bun's own scripts (behind a dot, a quote or a blank) stay; those of its engine (`BUN_JSC_...`) are not in the file as text.
 * @type {readonly (readonly [RegExp, string])[]}
 */
const SETTINGS = [
  [
    /(?<![.'" (])BUN_(?=BE_BUN|OPTIONS|INSPECT|CONFIG_|DE(BUG|STRUCT)_|DISABLE_|FEATURE_|IDLE_|G(ARBAGE|C)_|BYTECODE_)/g,
    'QIMG',
  ],
  [/(?<![.'" (])NODE_(?=CHANNEL_|EXTRA_CA|TLS_REJECT|USE_SYSTEM_CA|NO_WARNINGS|PENDING_)/g, 'QIMG_'],
  [/(?<![.'" (])UV_(?=THREADPOOL_SIZE)/g, 'QM_'],
];

const LC_CODE_SIGNATURE = 0x1d;

/** The variable in which an executable is told to write down which functions it uses. */
const PROFILE_VARIABLE = 'QIMGBYTECODE_ORDER_OUT';

/** @typedef {(what: string) => void} Report */

/**
 * The executable of Bun for a target, from the cache of the checkout or from the registry of npm. The caller holds the lock.
 * @throws Error of one line.
 */
export async function fetchBun(/** @type {string} */ root, /** @type {string} */ target, /** @type {Report} */ report) {
  const { package: name, integrity, program } = TARGETS[target];
  // What is done to the file is part of its name.
  const treatment = createHash('sha256').update(String(SETTINGS)).digest('hex').slice(0, 8);
  const kept = join(root, '.cache', `bun-${BUN_VERSION}-${treatment}`, fileOf('bun', target));
  if (existsSync(kept)) return kept;
  const staging = stagingDirectory(root, 'fetch');
  try {
    const entry = { version: BUN_VERSION, integrity };
    const manifest = { name: 'standalone', version: '0.0.0', dependencies: { [name]: BUN_VERSION } };
    const packages = { '': manifest, [`node_modules/${name}`]: entry };
    const lock = { name: manifest.name, version: manifest.version, lockfileVersion: 3, requires: true, packages };
    writeFileSync(join(staging, 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(staging, 'package-lock.json'), JSON.stringify(lock));
    if (existsSync(join(root, '.npmrc'))) writeFileSync(join(staging, '.npmrc'), readFileSync(join(root, '.npmrc')));
    await npmCi(staging, report);
    const fresh = join(staging, 'treated');
    writeFileSync(fresh, withOwnSettings(readFileSync(join(staging, 'node_modules', name, program))));
    chmodSync(fresh, 0o755);
    mkdirSync(dirname(kept), { recursive: true });
    renameSync(fresh, kept);
    return kept;
  } catch (error) {
    throw new Error(`cannot fetch ${name} ${BUN_VERSION}: ${error.message}`, { cause: error });
  } finally {
    rmSync(staging, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The executable with names of its own for the settings that it looks for. */
function withOwnSettings(/** @type {Buffer} */ executable) {
  const text = executable.toString('latin1');
  for (const [pattern, prefix] of SETTINGS) {
    const found = [...text.matchAll(pattern)];
    if (found.length === 0) throw new Error('it looks for its settings in another way');
    for (const { index } of found) executable.write(prefix, index, 'latin1');
  }
  return executable;
}

/**
 * Takes the signature off an executable for Intel's Macs, which need none. Bun leaves there the one of its own file, which is
 * wrong for this one; where a signature is needed, on Apple's processors, it makes a new one.
 */
function removeSignature(/** @type {string} */ path) {
  const executable = readFileSync(path);
  // <mach-o/loader.h>: mach_header_64 has the number and the size of the commands at 16 and 20, commands follow from 32 on.
  const [count, size] = [executable.readUInt32LE(16), executable.readUInt32LE(20)];
  let at = 32;
  for (let index = 1; index < count; index++) at += executable.readUInt32LE(at + 4);
  const length = executable.readUInt32LE(at + 4);
  if (executable.readUInt32LE(at) !== LC_CODE_SIGNATURE)
    throw new Error(`${path}: no signature is where it was looked for`);
  executable.writeUInt32LE(count - 1, 16);
  executable.writeUInt32LE(size - length, 20);
  executable.fill(0, at, at + length);
  writeFileSync(path, executable);
}

/** Runs a program without what the environment means for Bun; gives what it printed. */
async function run(
  /** @type {string} */ program,
  /** @type {readonly string[]} */ args,
  /** @type {{ cwd: string, env?: Readonly<Record<string, string>> }} */ { cwd, env },
) {
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (/** @type {Buffer} */ chunk) => (said += chunk));
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(`${basename(program)} ended with ${signal ?? code}: ${said.trim()}`);
  return said;
}

/**
 * Small commands whose functions are put together in the file, since nothing else is as much in a hurry.
 * @type {readonly (readonly string[])[]}
 */
const PROFILED = [
  ['info', 'a.qcow2'],
  ['create', '-f', 'qcow2', 'b.qcow2', '1G'],
  ['resize', 'b.qcow2', '2G'],
  ['measure', '-O', 'qcow2', 'a.qcow2'],
  ['check', 'a.qcow2'],
  ['map', '--output=json', 'a.qcow2'],
  ['--version'],
];

/** Runs small commands of an executable for this machine, and gives the files that say which functions they used. */
async function recordProfile(/** @type {string} */ executable, /** @type {string} */ directory) {
  await run(executable, ['create', '-f', 'qcow2', 'a.qcow2', '1G'], { cwd: directory });
  const profiles = [];
  for (const [index, args] of PROFILED.entries()) {
    const file = join(directory, `${index}.order`);
    await run(executable, args, { cwd: directory, env: { [PROFILE_VARIABLE]: file } });
    profiles.push(file);
  }
  return profiles;
}

/**
 * Builds `dist/standalone/qimg-TARGET` for each target and gives the paths. The caller holds the lock, and has installed what
 * the program is made of.
 * @param {string} root
 * @param {readonly string[]} targets
 * @param {{ report?: Report, empty?: boolean }} how `empty`: programs that do nothing, to compare with, as `empty-TARGET`.
 * @throws Error of one line.
 */
export async function buildStandalone(root, targets, { report = () => {}, empty = false } = {}) {
  const here = targetHere();
  if (here === undefined) throw new Error(`there is no compiler for ${process.platform} on ${process.arch}`);
  const compiler = await fetchBun(root, here, report);
  /** @type {Record<string, string>} */
  const carriers = {};
  for (const target of targets) carriers[target] = await fetchBun(root, target, report);
  carriers[here] = compiler;
  const staging = stagingDirectory(root, 'standalone');
  try {
    const nothing = join(staging, 'nothing.ts');
    if (empty) writeFileSync(nothing, '');
    const compile = async (
      /** @type {string} */ target,
      /** @type {string} */ outfile,
      /** @type {readonly string[]} */ more,
    ) => {
      const platform = [`--target=bun-${target}`, `--compile-executable-path=${carriers[target]}`];
      const define = `--define=STANDALONE_TARGET="${target}"`;
      const entries = empty ? [nothing] : ENTRIES;
      const names = ['--entry-naming=[name].[ext]', `--outfile=${outfile}`];
      const flags = [...QUICK, ...CLOSED, ...LEFT_OUT, ...platform, define, ...names, ...more];
      await run(compiler, ['build', '--compile', ...flags, ...entries], { cwd: root });
    };
    // The name of the file is in it: that of the first has to be the same as that of the others.
    const name = empty ? 'empty' : 'qimg';
    const first = join(staging, 'first', name);
    const metadata = join(staging, 'metadata.json');
    await compile(here, first, [`--metafile=${metadata}`]);
    const { inputs } = JSON.parse(readFileSync(metadata, 'utf8'));
    const notices = noticesOf(root, Object.keys(inputs));
    const profiles = empty ? [] : await recordProfile(first, staging);
    const order = profiles.length > 0 ? [`--bytecode-order=${profiles.join(',')}`] : [];
    mkdirSync(join(root, 'dist/standalone'), { recursive: true });
    if (!empty) writeFileSync(join(root, 'dist/standalone/qimg-notices.txt'), notices);
    const built = [];
    for (const target of targets) {
      const file = fileOf(name, target);
      const fresh = join(staging, target, name);
      await compile(target, fresh, order);
      const path = join(root, 'dist/standalone', file);
      if (target === 'darwin-x64') removeSignature(fresh);
      // A copy lies in larger pieces in the page cache than what Bun wrote: started from there, it is 1 ms quicker.
      copyFileSync(existsSync(fresh) ? fresh : `${fresh}.exe`, `${fresh}-copy`);
      renameSync(`${fresh}-copy`, path);
      built.push(path);
    }
    return built;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
