/**
 * `npm test`: installs what is missing, builds, then checks everything, stopping at the first failure.
 * `npm test -- lint floors` runs these steps only, and `npm run test:standalone` one that is not among them: the tests with
 * the standalone executable. Uses nothing but Node until the dependencies are there.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { targetHere, fileOf } from './lib/bunTargets.mjs';
import { install } from './lib/install.mjs';
import { withLock } from './lib/lock.mjs';
import checks from './lib/requireNode.cjs';
import { fetchBun } from './lib/standalone.mjs';

checks.requireNode('test');

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const results = join(root, '.cache/vitest.json');
/** For all tests together: some five minutes on two idle cores. */
const TESTS_LIMIT_MS = 45 * 60_000;

function run(/** @type {string[]} */ ...words) {
  const [program, ...args] = words;
  return spawnSync(program, args, { cwd: root, stdio: 'inherit' }).status === 0;
}

function node(/** @type {string[]} */ ...args) {
  return run(process.execPath, ...args);
}

/** The file that a package names as its program. */
function programOf(/** @type {string} */ name) {
  const home = join(root, 'node_modules', name);
  const { bin } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  return join(home, typeof bin === 'string' ? bin : (bin[name.replace(/^.*\//, '')] ?? Object.values(bin)[0]));
}

function tool(/** @type {string} */ name, /** @type {string[]} */ ...args) {
  return node(programOf(name), ...args);
}

/** Runs a program and all that it starts, at most for some time: a test that loops keeps vitest from ending itself. */
async function limited(
  /** @type {number} */ limit,
  /** @type {string} */ program,
  /** @type {readonly string[]} */ args,
  /** @type {Readonly<Record<string, string>>} */ more,
) {
  const env = { ...process.env, ...more };
  const child = spawn(program, args, { cwd: root, env, stdio: 'inherit', detached: true });
  const end = (/** @type {NodeJS.Signals} */ signal) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // It has ended by itself.
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => {
      end('SIGKILL');
      process.kill(process.pid, signal);
    });
  }
  const timer = setTimeout(() => {
    console.error(`test: ended after ${limit / 60_000} minutes; the last lines name the files that were running`);
    end('SIGKILL');
  }, limit);
  const [code] = await once(child, 'exit');
  clearTimeout(timer);
  return code === 0;
}

async function installMissing() {
  await withLock(join(root, '.cache/lock'), () => install(root, 'all'));
  return true;
}

/** Counts tests; a file that breaks before its tests run counts as one failed test. */
function readResults() {
  /** @type {{ testResults: { name: string, status: string, assertionResults: { status: string, fullName: string }[] }[] }} */
  const { testResults } = JSON.parse(readFileSync(results, 'utf8'));
  const tests = testResults.flatMap((file) => {
    const broken = file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed');
    const own = file.assertionResults.map(({ status, fullName }) => ({
      status,
      name: `${relative(root, file.name)}: ${fullName}`,
    }));
    return broken ? [...own, { status: 'failed', name: file.name }] : own;
  });
  const passed = tests.filter(({ status }) => status === 'passed').length;
  const failed = tests.filter(({ status }) => status === 'failed').length;
  const skipped = tests.filter(({ status }) => status !== 'passed' && status !== 'failed');
  return { passed, failed, skipped };
}

/** A line for each reason to skip, with what would help. The tests have it in their names (test/support/needs.ts). */
function reasonsOf(/** @type {readonly { readonly name: string }[]} */ skipped) {
  const counts = new Map();
  for (const { name } of skipped) {
    const reason = /\[skipped: ([^\]]+)\]/.exec(name)?.[1] ?? name;
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts].map(([reason, count]) => `skipped ${count}: ${reason}`);
}

/** Where everything that tests need has been set up, a skipped test is a mistake. */
function mustNotSkip() {
  return process.env.QIMG_NO_SKIP === '1';
}

/**
 * Runs tests by vitest.
 * @param {readonly string[]} projects folders of `test`; all without any.
 * @param {{ runtime?: string, env?: Readonly<Record<string, string>>, maySkip?: RegExp }} how `runtime`: what runs vitest and
 * the tests, if not this Node; `maySkip`: reasons to skip that are no mistake anywhere.
 */
async function runTests(projects = [], { runtime = process.execPath, env = {}, maySkip } = {}) {
  mkdirSync(dirname(results), { recursive: true });
  rmSync(results, { force: true });
  const reporters = ['default', 'json', './test/support/patience.ts'].map((name) => `--reporter=${name}`);
  const chosen = projects.map((name) => `--project=${name}`);
  const args = [programOf('vitest'), 'run', ...chosen, ...reporters, `--outputFile.json=${results}`];
  const ok = await limited(TESTS_LIMIT_MS, runtime, args, env);
  if (!existsSync(results)) return false;
  const { passed, failed, skipped } = readResults();
  const forbidden = mustNotSkip() ? skipped.filter(({ name }) => !maySkip?.test(name)) : [];
  for (const { name } of forbidden) console.error(`must not be skipped here: ${name}`);
  for (const line of reasonsOf(skipped)) console.log(line);
  console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`);
  return ok && failed === 0 && forbidden.length === 0;
}

/**
 * Builds the standalone executable and tests it: as a program, by the tests that run one, and what happens inside of it, by
 * those that need the same compiler and memory, under Bun itself. test/support/standalone.ts lists what is left out.
 */
async function testStandalone() {
  const target = targetHere();
  if (target === undefined) throw new Error(`no standalone executable runs on ${process.platform} and ${process.arch}`);
  if (!node('scripts/build.mjs', '--bin-only') || !node('scripts/build-standalone.mjs')) return false;
  const runtime = await withLock(join(root, '.cache/lock'), () => fetchBun(root, target, () => {}));
  if (!(await runTests(['crash', 'fuzz', 'model'], { runtime }))) return false;
  const env = { QIMG_STANDALONE: '1', QIMG_PROGRAM: join(root, 'dist/standalone', fileOf('qimg', target)) };
  return await runTests(['interop'], { env, maySkip: /\[skipped: only about Node:/ });
}

const STEPS = {
  install: installMissing,
  build: () => node('scripts/build.mjs'),
  format: () => tool('@biomejs/biome', 'format', '.'),
  types: () => ['.', 'tsconfig.portable.json', 'scripts', 'bench'].every((path) => tool('typescript', '-p', path)),
  lint: () => tool('oxlint', '--deny-warnings'),
  floors: () => node('scripts/check-floors.mjs'),
  docs: () => node('scripts/check-docs.mjs'),
  exports: () => node('scripts/check-exports.mjs'),
  unused: () => tool('knip', '--no-progress'),
  length: () => node('scripts/check-length.mjs'),
  package: () => tool('publint', '--strict'),
  tests: () => runTests(),
};

/** Steps that are run only when they are named. */
const MORE_STEPS = { standalone: testStandalone };

const asked = process.argv.slice(2);
const all = { ...STEPS, ...MORE_STEPS };
const unknown = asked.find((name) => !(name in all));
if (unknown !== undefined) {
  console.error(`test: there is no step '${unknown}'; steps are: ${Object.keys(all).join(', ')}`);
  process.exit(2);
}
for (const [name, step] of Object.entries(asked.length > 0 ? all : STEPS)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`--- ${name}`);
  let ok;
  try {
    ok = await step();
  } catch (error) {
    console.error(error.message);
    ok = false;
  }
  if (!ok) {
    console.error(`test: step '${name}' failed`);
    process.exit(1);
  }
}
