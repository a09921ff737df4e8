/** The same commands for the real program and for this one, each in a directory of its own. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machineIo } from '../../src/cli/host.ts';
import { main } from '../../src/cli/main.ts';
import type { OutputStream } from '../../src/cli/streams.ts';
import { oracleProgram } from './oracle.ts';

/** What a command printed, and its exit code. */
export interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** Runs one of the real programs; failures count as mistakes of the test. */
type RunReal = (program: 'qemu-img' | 'qemu-io', line: string) => Promise<void>;

/** Words of a command; quotes keep blanks together. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
}

/** A stream that keeps what is written. */
class Recorder {
  text = '';
  readonly closed = false;
  write(text: string): void {
    this.text += text;
  }
  flush(): void {}
}

/** What differs between two runs of the real program itself. */
function steady(text: string): string {
  return text
    .replace(/disk size: .*/g, 'disk size: #')
    .replace(/"actual-size": \d+/g, '"actual-size": #')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, '#')
    .replace(/"date-n?sec": \d+/g, '"date": #')
    .replace(/(^ *|")(cid"?): \d+/gm, '$1$2: #')
    .replace(/\b[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\b/g, '#');
}

/** What only this program says: data is not in the file, and reads as zeroes; a VHD is opened by the footer that is left. */
const MISSING =
  /^qemu-img: warning: '.*' (?:was cut off: it ends before|does not have the data of the disk|has no intact footer at its end).*\n/gm;

const SIDES = ['theirs', 'ours'] as const;

/** Two directories with the same files. Ours runs inside this process, which has to stay in its directory meanwhile. */
export class SideBySide {
  readonly #scratch: string = mkdtempSync(join(tmpdir(), 'qimg-side-'));
  readonly #home: string = process.cwd();

  constructor() {
    for (const side of SIDES) mkdirSync(join(this.#scratch, side));
  }

  /** Path of a file on one side. */
  path(side: 'theirs' | 'ours', name = '.'): string {
    return join(this.#scratch, side, name);
  }

  /**
   * Prepares files: `make` runs once, in a directory whose content both sides get; `real` runs one of the real programs
   * there.
   */
  async prepare(make: (real: RunReal, directory: string) => Promise<void> | void): Promise<void> {
    const directory = join(this.#scratch, 'prepared');
    mkdirSync(directory, { recursive: true });
    await make((program, line) => SideBySide.real(program, line, directory), directory);
    for (const side of SIDES) cpSync(directory, this.path(side), { recursive: true });
  }

  /** Runs one of the real programs in a directory; failures count as mistakes of the test. */
  static async real(program: 'qemu-img' | 'qemu-io', line: string, directory: string): Promise<void> {
    const answer = await runReal(program, line, directory);
    if (answer.code !== 0) throw new Error(`${program} ${line}: ${answer.stderr}`);
  }

  /** The real program's answer alone, for another user if `uid` is given. */
  theirAnswer(line: string, uid?: number): Promise<Answer> {
    return runReal('qemu-img', line, this.path('theirs'), uid);
  }

  /** The answers of both sides to one command. */
  async ask(line: string): Promise<{ readonly theirs: Answer; readonly ours: Answer }> {
    const theirs = await runReal('qemu-img', line, this.path('theirs'));
    return { theirs, ours: await this.ourAnswer(line) };
  }

  /** The answer of this program alone. */
  async ourAnswer(line: string): Promise<Answer> {
    const out = new Recorder();
    const err = new Recorder();
    process.chdir(this.path('ours'));
    try {
      const streams = [out, err] as unknown as [OutputStream, OutputStream];
      const code = await main(words(line), machineIo(...streams));
      return { stdout: steady(out.text), stderr: steady(err.text), code };
    } finally {
      process.chdir(this.#home);
    }
  }

  /** Commands to which the answers differ, one after the other; ours is to be empty. */
  async differences(lines: readonly string[]): Promise<readonly { readonly line: string }[]> {
    const found: { line: string; theirs: Answer; ours: Answer }[] = [];
    for (const line of lines) {
      const { theirs, ours: said } = await this.ask(line);
      const ours = { ...said, stderr: said.stderr.replace(MISSING, '') };
      if (JSON.stringify(theirs) !== JSON.stringify(ours)) found.push({ line, theirs, ours });
    }
    return found;
  }

  /** Puts a copy of `good` with `hex` digits over its bytes from `at` on under the name `bad`, on both sides. */
  damage(good: string, bad: string, at: number, hex: string): void {
    for (const side of SIDES) {
      const bytes = readFileSync(this.path(side, good));
      bytes.write(hex, at, 'hex');
      writeFileSync(this.path(side, bad), bytes);
    }
  }

  /** True if both sides have the same bytes in a file. */
  sameBytes(name: string): boolean {
    const [theirs, ours] = SIDES.map((side) => readFileSync(this.path(side, name)));
    return theirs !== undefined && ours !== undefined && Buffer.compare(theirs, ours) === 0;
  }

  /** True if a file has the same length on both sides. */
  sameLength(name: string): boolean {
    const [theirs, ours] = SIDES.map((side) => statSync(this.path(side, name)).size);
    return theirs === ours;
  }

  /** Removes both directories. */
  end(): void {
    rmSync(this.#scratch, { recursive: true, force: true });
  }
}

function runReal(program: 'qemu-img' | 'qemu-io', line: string, cwd: string, uid?: number): Promise<Answer> {
  return new Promise((resolve) => {
    execFile(
      oracleProgram(program),
      words(line),
      { cwd, encoding: 'utf8', ...(uid === undefined ? {} : { uid }) },
      (error, stdout, stderr) => {
        const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
        resolve({ stdout: steady(stdout), stderr: steady(stderr), code });
      },
    );
  });
}
