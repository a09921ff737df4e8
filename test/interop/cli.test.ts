import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { MemoryIo } from '../support/memoryIo.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { MISTAKES } from './cliMistakes.ts';

/** What a program printed, and its exit code. */
interface Outcome {
  stdout: string;
  stderr: string;
  code: number;
}

const COMMANDS =
  'create info check map measure compare convert dd commit rebase resize snapshot bitmap amend bench'.split(' ');
/** Runs of the real program at a time. */
const PARALLEL = 4;

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-cli-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function theirs(args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(oracleProgram('qemu-img'), args, { cwd: directory, encoding: 'utf8' }, (error, stdout, stderr) => {
      resolve({ stdout, stderr, code: typeof error?.code === 'number' ? error.code : 0 });
    });
  });
}

async function ours(args: readonly string[]): Promise<Outcome & { io: MemoryIo }> {
  const io = new MemoryIo();
  const code = await main(args, io);
  return { stdout: io.stdout, stderr: io.stderr, code, io };
}

function optionsOf(help: string): string[] {
  const lines = help.split('\n').filter((line) => /^ {1,4}-/.test(line));
  const names = lines.flatMap((line) => line.match(/(?<=^|[ ,])--?[A-Za-z][A-Za-z-]*/g) ?? []);
  // The real tool's help has this one misspelt.
  return [...new Set(names.map((name) => name.replace(/^--progres$/, '--progress')))].sort();
}

async function together<T>(items: readonly T[], body: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await body(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

describeWithOracle('mistakes on the command line get the real answer', () => {
  describe.each(Object.entries(MISTAKES))('%s', (command, lines) => {
    it('says the same', async () => {
      const differences: unknown[] = [];
      await together(lines, async (line) => {
        const args = [...(command === 'program' ? [] : [command]), ...line];
        const expected = await theirs(args);
        const { io, ...actual } = await ours(args);
        const done = io.requests.map(({ verb }) => verb);
        if (done.length > 0 || JSON.stringify(actual) !== JSON.stringify(expected)) {
          differences.push({ args: args.join(' '), expected, actual, done });
        }
      });
      expect(differences).toEqual([]);
    });
  });
});

describeWithOracle('help', () => {
  it.each(COMMANDS)('%s lists the same options', async (command) => {
    const expected = await theirs([command, '--help']);
    const actual = await ours([command, '--help']);
    expect(actual.code).toBe(0);
    expect(optionsOf(actual.stdout)).toEqual(optionsOf(expected.stdout));
  });

  it.each(COMMANDS)('%s knows the same long options, in the same order', async (command) => {
    // An empty name abbreviates all of them.
    const expected = await theirs([command, '--=x']);
    const { io: _io, ...actual } = await ours([command, '--=x']);
    expect(actual).toEqual(expected);
  });
});
