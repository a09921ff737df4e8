/**
 * Who may use an image that somebody has open: every command, on images of every writable format, is refused or let
 * through as the real one is, whichever of the two programs has the image open.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { machineIo } from '../../src/cli/host.ts';
import { main } from '../../src/cli/main.ts';
import type { OutputStream } from '../../src/cli/streams.ts';
import { openImage } from '../../src/node.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';

const FORMATS = ['qcow2', 'raw', 'qcow', 'qed', 'vmdk', 'vdi', 'vhdx', 'vpc', 'parallels'] as const;

/** Commands; `IMG` is the image that is in use, `FMT` its format. What makes it anew comes last. */
const COMMANDS = [
  'info -f FMT IMG',
  'info -U -f FMT IMG',
  'check -f FMT IMG',
  'check -U -f FMT IMG',
  'check -r all -f FMT IMG',
  'map -f FMT IMG',
  'measure -O raw -f FMT IMG',
  'compare -f FMT -F FMT IMG other',
  'compare -U -f FMT -F FMT IMG other',
  'convert -f FMT -O raw IMG out',
  'convert -U -f FMT -O raw IMG out',
  'convert -n -f FMT -O FMT other IMG',
  'dd -f FMT if=IMG of=out2',
  'snapshot -l IMG',
  'snapshot -c s IMG',
  'snapshot -d s IMG',
  'bitmap --add -f FMT IMG b',
  'amend -f FMT -o size=4194304 IMG',
  'rebase -u -f FMT -b other -F FMT IMG',
  'commit -f FMT IMG',
  'resize -f FMT IMG 4M',
  'bench -q -c 1 -w -f FMT IMG',
  'create -q -f FMT IMG 4M',
  'convert -f FMT -O FMT other IMG',
];

/** Enough for formats that lock as qcow2 does. All of it is asked of all with `QIMG_LOCK_MATRIX=full`. */
const SOME = [/^info/, /^check -[fr]/, /^convert -n/, /^dd/, /^resize/, /^create/];

function commandsFor(format: string): readonly string[] {
  const isWhole = process.env['QIMG_LOCK_MATRIX'] === 'full' || format === 'qcow2' || format === 'raw';
  // The real program marks images of this format as open when it opens them, this one before the first change.
  if (isWhole) return format === 'parallels' ? COMMANDS.filter((line) => !line.startsWith('check -U')) : COMMANDS;
  return COMMANDS.filter((line) => SOME.some((some) => some.test(line)));
}

interface Answer {
  readonly code: number;
  readonly stderr: string;
}

/** Numbers that the real program draws. */
function steady(text: string): string {
  return text.replace(/#block\d+/g, '#block');
}

describeWithOracle('images that somebody has open', () => {
  const home = process.cwd();
  let directory = '';

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'qimg-matrix-'));
    process.chdir(directory);
  });
  afterAll(() => {
    process.chdir(home);
    rmSync(directory, { recursive: true, force: true });
  });

  function theirs(args: readonly string[]): Promise<Answer> {
    return new Promise((resolve) => {
      execFile(oracleProgram('qemu-img'), args, (error, _, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stderr: steady(stderr) });
      });
    });
  }

  async function ours(args: readonly string[]): Promise<Answer> {
    let stderr = '';
    const stream = (write: (text: string) => void): OutputStream =>
      ({ write, flush: () => {}, closed: false }) as unknown as OutputStream;
    const io = machineIo(
      stream(() => {}),
      stream((text) => {
        stderr += text;
      }),
    );
    const code = await main(args, io);
    return { code, stderr: steady(stderr) };
  }

  /** Has the image open in the real program; the result closes it. */
  async function heldByTheirs(format: string, writable: boolean): Promise<() => Promise<void>> {
    const args = ['-f', format, ...(writable ? [] : ['-r']), 'image'];
    const child: ChildProcess = spawn(oracleProgram('qemu-io'), args, { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      child.stdout?.on('data', (text: Buffer) => text.includes('qemu-io>') && resolve());
      child.once('exit', () => reject(new Error('qemu-io could not open the image')));
    });
    return async () => {
      child.stdin?.end('quit\n');
      await new Promise((resolve) => child.once('exit', resolve));
    };
  }

  async function heldByOurs(format: string, writable: boolean): Promise<() => Promise<void>> {
    const node = await openImage({ filename: 'image', format }, { writable });
    return async () => node.close();
  }

  it.each(FORMATS.flatMap((format) => [true, false].map((writable) => [format, writable] as const)))(
    '%s, for writing: %s',
    async (format, writable) => {
      const table = new Map<string, Answer[]>();
      for (const hold of [heldByTheirs, heldByOurs]) {
        for (const name of ['image', 'other'])
          execFileSync(oracleProgram('qemu-img'), ['create', '-q', '-f', format, name, '4M']);
        const close = await hold(format, writable);
        try {
          for (const line of commandsFor(format)) {
            const args = line.split(' ').map((word) => word.replace('IMG', 'image').replace('FMT', format));
            const answers = table.get(line) ?? [];
            table.set(line, answers);
            answers.push(await theirs(args), await ours(args));
          }
        } finally {
          await close();
        }
      }
      for (const [line, [first, ...others]] of table) {
        for (const other of others) expect({ line, ...other }).toEqual({ line, ...first });
      }
    },
  );
});
