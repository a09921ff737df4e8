/**
 * The long form of the tests of power loss (`npm run power-loss [-- DEPTH [SEED]]`): more subsets, every torn sector, and
 * drawn states, with the count of all states that were looked at. A failure names its seed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [depth = '1', seed = String(Date.now() % 4294967296)] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'power-loss-'));
const log = join(directory, 'states');
const started = Date.now();
const { status } = spawnSync('npx', ['vitest', 'run', '--testTimeout=1800000', 'test/crash'], {
  stdio: 'inherit',
  env: { ...process.env, QIMG_CRASH_DEPTH: depth, QIMG_CRASH_SEED: seed, QIMG_CRASH_LOG: log },
});
const counts = readFileSync(log, 'utf8').trim().split('\n').map(Number);
const states = counts.reduce((sum, count) => sum + count, 0);
const seconds = Math.round((Date.now() - started) / 1000);
process.stdout.write(`depth ${depth}, seed ${seed}: ${counts.length} cases, ${states} states in ${seconds} s\n`);
rmSync(directory, { recursive: true });
process.exitCode = status ?? 1;
