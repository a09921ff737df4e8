/** The whole program as processes, beside the real one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { oracleProgram } from './oracle.ts';
import { standalone } from './standalone.ts';

const here = dirname(fileURLToPath(import.meta.url));

/** The program under test: this checkout, or what `QIMG_PROGRAM` names (an installed package, a standalone file). */
export function ourProgram(): string {
  return process.env['QIMG_PROGRAM'] ?? join(here, '../../qimg');
}

/** What a process printed and how it ended. */
interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit code; -1 after a signal. */
  readonly code: number;
}

/** How {@link run} runs. */
export interface RunChoice {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
  /** Gets the process as soon as it runs. */
  readonly started?: (child: ChildProcess) => void;
}

/** Runs a program to its end. */
export function run(program: string, args: readonly string[], choice: RunChoice = {}): Promise<Ended> {
  const { started, env, ...options } = choice;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...options,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ stdout, stderr, code: code ?? -1 }));
    started?.(child);
  });
}

/** Words of a command line, with quotes kept out of it: names in these tests have no blanks. */
export function words(line: string): string[] {
  return line.split(' ').filter((word) => word !== '');
}

/** Runs a program, which has to succeed; gives what it printed. */
export async function must(program: string, args: readonly string[], choice: RunChoice = {}): Promise<string> {
  const { stdout, stderr, code } = await run(program, args, choice);
  expect({ command: args.join(' '), code, stderr }).toEqual({ command: args.join(' '), code: 0, stderr: '' });
  return stdout;
}

/** Runs this program in a directory; it has to succeed without a word on its error output. */
export function ours(line: string, cwd: string): Promise<string> {
  return must(ourProgram(), words(line), { cwd });
}

/** Runs the real program in a directory; it has to succeed. */
export function real(line: string, cwd: string, program: 'qemu-img' | 'qemu-io' = 'qemu-img'): Promise<string> {
  return must(oracleProgram(program), words(line), { cwd });
}

/** The real program finds nothing wrong with an image, not even leaks. */
export function approve(image: string, format: string, cwd: string): Promise<string> {
  return real(`check -q -f ${format} ${image}`, cwd);
}

/** What makes the program load a script before its own first line. */
export function preload(script: string): Readonly<Record<string, string>> {
  return standalone ? { QIMGOPTIONS: `--preload ${script}` } : { QIMG_NODE_OPTIONS: `--require ${script}` };
}

let peaks = 0;

/** Runs this program, which has to succeed, and gives the most memory it had, in bytes. */
export async function peakMemory(line: string, cwd: string): Promise<number> {
  const report = join(tmpdir(), `qimg-peak-${process.pid}-${peaks++}`);
  const env = { ...preload(join(here, 'peak.cjs')), QIMG_PEAK_FILE: report };
  try {
    await must(ourProgram(), words(line), { cwd, env });
    return Number(readFileSync(report, 'utf8')) * 1024;
  } finally {
    rmSync(report, { force: true });
  }
}

/** What both programs say, which has to be the same. */
export async function saidByBoth(line: string, cwd: string): Promise<string> {
  const [mine, theirs] = [
    await run(ourProgram(), words(line), { cwd }),
    await run(oracleProgram('qemu-img'), words(line), { cwd }),
  ];
  expect(mine).toEqual(theirs);
  return mine.stdout + mine.stderr;
}
