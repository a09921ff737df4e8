/**
 * Builds standalone executables (docs/standalone.md): node scripts/build-standalone.mjs [--target=TARGET|all]... [--empty]
 * The default target is this machine.
 */
import { statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TARGETS, targetHere } from './lib/bunTargets.mjs';
import { install } from './lib/install.mjs';
import { withLock } from './lib/lock.mjs';
import checks from './lib/requireNode.cjs';
import { buildStandalone } from './lib/standalone.mjs';

checks.requireNode('run');
const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The targets that the arguments ask for. */
function targetsOf(/** @type {readonly string[]} */ args) {
  const named = args.flatMap((arg) => /^--target=(.*)$/.exec(arg)?.[1]?.split(',') ?? []);
  const unknown = args.find((arg) => arg !== '--empty' && !arg.startsWith('--target='));
  if (unknown !== undefined) throw new Error(`unknown option ${unknown}`);
  const wanted = named.includes('all') ? Object.keys(TARGETS) : named.length > 0 ? named : [targetHere() ?? 'this'];
  const wrong = wanted.find((name) => !(name in TARGETS));
  if (wrong === undefined) return wanted;
  throw new Error(`there is no target ${wrong}; targets are: all, ${Object.keys(TARGETS).join(', ')}`);
}

let last = '';
function report(/** @type {string} */ what) {
  if (what !== last) console.error(`build: ${what}`);
  last = what;
}

try {
  const targets = targetsOf(process.argv.slice(2));
  await withLock(join(root, '.cache/lock'), async () => {
    await install(root, 'standalone');
    const empty = process.argv.includes('--empty');
    for (const path of await buildStandalone(root, targets, { report, empty })) {
      console.log(`${relative(root, path)}: ${(statSync(path).size / 1e6).toFixed(1)} MB`);
    }
  });
} catch (error) {
  console.error(`build: ${error.message}`);
  process.exit(1);
}
