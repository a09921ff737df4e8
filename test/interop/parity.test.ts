/**
 * The visible scenarios of the parity harness. Those in `parity-expected.txt` have to pass; a scenario that passes
 * without being listed there is pointed out, so that it gets listed.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findOracle, reasonToSkip } from '../support/oracle.ts';

/** What the harness writes about one scenario. */
interface Outcome {
  readonly name: string;
  readonly passed: boolean;
  readonly line?: number;
  readonly expected?: string;
  readonly got?: string;
  readonly command?: string;
}

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const harness = process.env['QIMG_PARITY_DIR'] ?? '';
const able = harness !== '' && reasonToSkip(findOracle()) === undefined;
const TIMEOUT = 20 * 60_000;

/** Names in the list, without comments. */
function expectedNames(): string[] {
  const lines = readFileSync(join(here, 'parity-expected.txt'), 'utf8').split('\n');
  return lines.map((line) => line.replace(/#.*/, '').trim()).filter((line) => line !== '');
}

/** Runs all scenarios; the harness exits with an error if any of them fails, which is not the question here. */
async function runScenarios(directory: string): Promise<readonly Outcome[]> {
  const results = join(directory, 'results.json');
  const args = ['--candidate', join(root, 'qimg'), '--oracle-bin', findOracle()?.bin ?? '', '--json', results];
  const run = promisify(execFile)(join(harness, 'parity'), [...args, join(harness, 'visible')], { maxBuffer: 1 << 26 });
  const problem = await run.then(
    () => '',
    (error: unknown) => String(error),
  );
  try {
    const { scenarios } = JSON.parse(readFileSync(results, 'utf8')) as { readonly scenarios: readonly Outcome[] };
    return scenarios;
  } catch {
    throw new Error(`the harness wrote no results: ${problem}`);
  }
}

function tell({ name, line, expected, got, command }: Outcome): string {
  return `${name}:${line} ${command}\n  expected ${expected}\n  got      ${got}`;
}

describe.skipIf(!able)('parity', () => {
  const scratch = able ? mkdtempSync(join(tmpdir(), 'qimg-parity-')) : '';
  const listed = expectedNames();
  const outcomes = new Map<string, Outcome>();

  beforeAll(async () => {
    for (const outcome of await runScenarios(scratch)) outcomes.set(outcome.name, outcome);
  }, TIMEOUT);

  afterAll(() => {
    rmSync(scratch, { recursive: true, force: true });
  });

  it('lists each scenario once, in order, and only scenarios that exist', () => {
    expect(listed).toEqual([...new Set(listed)].sort());
    expect(listed.filter((name) => !outcomes.has(name))).toEqual([]);
  });

  it('passes what passed before', () => {
    const failed = listed.flatMap((name) => outcomes.get(name) ?? []).filter(({ passed }) => !passed);
    expect(failed.map(tell).join('\n')).toBe('');
  });

  it('points out what passes and is not listed', () => {
    const news = [...outcomes.values()].filter(({ name, passed }) => passed && !listed.includes(name));
    const names = news.map(({ name }) => name).join('\n  ');
    if (news.length > 0) process.stderr.write(`parity: these pass now; add them to parity-expected.txt:\n  ${names}\n`);
    expect(outcomes.size).toBeGreaterThan(0);
  });
});
