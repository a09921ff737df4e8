/** Builds `dist`: node scripts/build.mjs [--bin-only] [--clean] */
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildProgram } from './lib/bundle.mjs';
import { install } from './lib/install.mjs';
import { withLock } from './lib/lock.mjs';
import checks from './lib/requireNode.cjs';
import { stagingDirectory } from './lib/staging.mjs';

checks.requireNode('run');
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const flags = new Set(process.argv.slice(2));

/** Compiles the library to a fresh directory, which then takes the place of `dist/lib`. */
function buildLibrary() {
  const staging = stagingDirectory(root, 'build');
  const fresh = join(staging, 'lib');
  try {
    const tsc = join(root, 'node_modules/typescript/lib/tsc.js');
    const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', fresh], {
      stdio: 'inherit',
    });
    if (status !== 0) throw new Error('the library does not compile');
    const lib = join(root, 'dist/lib');
    if (existsSync(lib)) renameSync(lib, join(staging, 'old'));
    renameSync(fresh, lib);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

const unknown = [...flags].filter((flag) => flag !== '--bin-only' && flag !== '--clean');
if (unknown.length > 0) {
  console.error(`build: unknown option ${unknown[0]}`);
  process.exit(2);
}
try {
  await withLock(join(root, '.cache/lock'), async () => {
    await install(root, flags.has('--bin-only') ? 'program' : 'all');
    await buildProgram(root, { clean: flags.has('--clean') });
    if (!flags.has('--bin-only')) buildLibrary();
  });
} catch (error) {
  console.error(`build: ${error.message}`);
  process.exit(1);
}
