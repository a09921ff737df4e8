/**
 * The scenarios of the parity harness: those it comes with, and our own in `test/parity`. All have to pass but those
 * that `test/parity/open.txt` lists with a reason.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { because } from '../support/skip.ts';
import { findOracle, reasonToSkip } from '../support/oracle.ts';
import { ourProgram } from '../support/program.ts';

/** What the harness writes about one scenario. */
interface Outcome {
  readonly name: string;
  readonly passed: boolean;
  readonly line?: number;
  readonly expected?: string;
  readonly got?: string;
  readonly command?: string;
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const own = join(root, 'test/parity');
const harness = process.env['QIMG_PARITY_DIR'] ?? '';
const lack =
  reasonToSkip(findOracle()) ??
  (harness === '' ? 'there is no parity harness (QIMG_PARITY_DIR names its directory, .ci/run sets it)' : undefined);
const TIMEOUT = 20 * 60_000;

/** Names of scenarios that are known to fail. */
function openNames(): string[] {
  const lines = readFileSync(join(own, 'open.txt'), 'utf8').split('\n');
  return lines.map((line) => line.replace(/#.*/, '').trim()).filter((line) => line !== '');
}

/** Runs all scenarios of a directory; the harness exits with an error if any fails, which is not the question here. */
async function runScenarios(scenarios: string, scratch: string): Promise<readonly Outcome[]> {
  const results = join(scratch, 'results.json');
  const args = ['--candidate', ourProgram(), '--oracle-bin', findOracle()?.bin ?? '', '--json', results];
  const run = promisify(execFile)(join(harness, 'parity'), [...args, scenarios], { maxBuffer: 1 << 26 });
  const problem = await run.then(
    () => '',
    (error: unknown) => String(error),
  );
  try {
    return (JSON.parse(readFileSync(results, 'utf8')) as { readonly scenarios: readonly Outcome[] }).scenarios;
  } catch {
    throw new Error(`the harness wrote no results: ${problem}`);
  }
}

function tell({ name, line, expected, got, command }: Outcome): string {
  return `${name}:${line} ${command}\n  expected ${expected}\n  got      ${got}`;
}

describe.skipIf(lack !== undefined)(`parity${because(lack)}`, () => {
  const scratch = lack === undefined ? mkdtempSync(join(tmpdir(), 'qimg-parity-')) : '';
  const open = openNames();
  const passing: string[] = [];

  afterAll(() => {
    rmSync(scratch, { recursive: true, force: true });
  });

  it.each([
    ['that the harness comes with', join(harness, 'visible')],
    ['of our own', own],
  ])(
    'holds in the scenarios %s',
    async (_, scenarios) => {
      const outcomes = await runScenarios(scenarios, scratch);
      expect(outcomes.length).toBeGreaterThan(0);
      passing.push(...outcomes.filter(({ passed }) => passed).map(({ name }) => name));
      const failed = outcomes.filter(({ name, passed }) => !passed && !open.includes(name));
      expect(failed.map(tell).join('\n')).toBe('');
    },
    TIMEOUT,
  );

  it('lists no scenario as open that passes', () => {
    expect(open.filter((name) => passing.includes(name))).toEqual([]);
  });
});
