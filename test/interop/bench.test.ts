/** The bench runs: one small row, whose output the real program verifies. What it measures is nobody's affair here. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Run } from '../../bench/types.ts';
import { describeWithOracle } from '../support/oracle.ts';

const BENCH = resolve(import.meta.dirname, '../../bench/bench.mjs');

function bench(...options: string[]): { stdout: string; stderr: string; status: number | null } {
  return spawnSync(process.execPath, [BENCH, ...options], { encoding: 'utf8' });
}

describeWithOracle('bench', () => {
  let home = '';
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'qimg-bench-test-'));
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  it('measures a row and makes a page of it', () => {
    const json = join(home, 'figures.json');
    const small = ['--size', '8', '--runs', '1', '--tmp', home];
    const result = bench(...small, '--only', 'copy: raw -> qcow2', '--json', json);
    expect(result).toMatchObject({ stderr: '', status: 0 });
    expect(result.stdout).toContain('1 rows');
    const run = JSON.parse(readFileSync(json, 'utf8')) as Run;
    expect(run.results).toMatchObject([{ kind: 'row', group: 'copy', sides: { node: {}, real: {} } }]);

    const page = join(home, 'results.md');
    expect(bench('--report', json, '--to', page)).toMatchObject({ stdout: '', stderr: '', status: 0 });
    expect(readFileSync(page, 'utf8')).toContain('| raw -> qcow2 | node    |');
  });

  it('refuses options that it does not know', () => {
    expect(bench('--size', 'much')).toMatchObject({
      status: 2,
      stderr: "bench: --size takes a whole number, not 'much'\n",
    });
  });
});
