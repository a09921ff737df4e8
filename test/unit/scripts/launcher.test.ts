import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unburied } from '../../support/unburied.ts';

const project = resolve(import.meta.dirname, '../../..');
let home = '';
let root = '';

const program = `
import { readFileSync } from 'node:fs';
import('./word.ts').then(({ word }) => {
  process.stdout.write(JSON.stringify([word, process.argv.slice(2), readFileSync(0, 'utf8')]));
  process.exitCode = 3;
});
`;

function say(word: string): void {
  const path = join(root, 'src/cli/word.ts');
  writeFileSync(path, `export const word = '${word}';\n`);
  const later = new Date(Date.now() + 1000);
  utimesSync(path, later, later);
}

function launch(path: string, ...args: string[]): { status: number | null; stderr: string; answer: unknown } {
  const { status, stdout, stderr } = spawnSync(path, args, { cwd: home, input: 'input', encoding: 'utf8' });
  return { status, stderr, answer: stdout === '' ? undefined : JSON.parse(stdout) };
}

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'qimg-launcher-'));
  root = join(home, 'a checkout');
  mkdirSync(join(root, 'src/cli'), { recursive: true });
  for (const name of ['qimg', 'scripts', 'package.json', 'package-lock.json']) {
    cpSync(join(project, name), join(root, name), { recursive: true });
  }
  symlinkSync(join(project, 'node_modules'), join(root, 'node_modules'));
  writeFileSync(join(root, 'src/cli/bin.ts'), program);
  say('one');
});

afterAll(() => rmSync(home, { recursive: true }));

// Each start may build.
describe('the launcher', { timeout: 180_000 }, () => {
  it('builds on first use, several at a time, and says so in one line', async () => {
    const runs = await Promise.all(
      [1, 2, 3].map(
        () =>
          new Promise<string[]>((done) => {
            const child = spawn(join(root, 'qimg'), [], { stdio: ['ignore', 'pipe', 'pipe'] });
            const texts = ['', ''];
            child.stdout.on('data', (text) => (texts[0] += String(text)));
            child.stderr.on('data', (text) => (texts[1] += String(text)));
            child.on('close', () => done(texts));
          }),
      ),
    );
    for (const [stdout, stderr] of runs) {
      expect(stdout).toBe('["one",[],""]');
      expect(stderr).toMatch(/^(qimg: first use: building \.\.\.\n)?(qimg: still .*\.\.\.\n)*$/);
    }
    expect(runs.some(([, stderr]) => stderr !== '')).toBe(true);
    expect(existsSync(join(root, '.cache/lock'))).toBe(false);
  });

  it('passes arguments, input and the exit code on, through symbolic links', () => {
    symlinkSync('a checkout/qimg', join(home, 'link'));
    symlinkSync(join(home, 'link'), join(home, 'qemu-img'));
    const args = ['', 'a b', '*', '--', "it's", '$x'];
    const built = statSync(join(root, 'dist/bin/qimg.cjs')).mtimeMs;
    utimesSync(join(root, 'dist/.stamp'), new Date(Date.now() + 5000), new Date(Date.now() + 5000));
    expect(launch(join(home, 'qemu-img'), ...args)).toEqual({ status: 3, stderr: '', answer: ['one', args, 'input'] });
    expect(statSync(join(root, 'dist/bin/qimg.cjs')).mtimeMs).toBe(built);
  });

  it('rebuilds silently when a source is newer', () => {
    utimesSync(join(root, 'dist/.stamp'), new Date(0), new Date(0));
    say('two');
    expect(launch(join(root, 'qimg'))).toEqual({ status: 3, stderr: '', answer: ['two', [], 'input'] });
  });

  it('takes over the lock of a process that died', () => {
    const { pid } = spawnSync('true');
    writeFileSync(join(root, '.cache/lock'), JSON.stringify({ pid, space: 'elsewhere', id: 'x' }));
    utimesSync(join(root, '.cache/lock'), new Date(0), new Date(0));
    say('three');
    expect(launch(join(root, 'qimg'))).toMatchObject({ stderr: '', answer: ['three', [], 'input'] });
  });

  it.skipIf(!existsSync('/proc/self/ns/pid'))('takes over the lock of a process that nobody buried', async () => {
    const { pid, bury } = await unburied();
    try {
      const space = `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
      writeFileSync(join(root, '.cache/lock'), JSON.stringify({ pid, space, id: 'x' }));
      say('buried');
      expect(launch(join(root, 'qimg'))).toMatchObject({ stderr: '', answer: ['buried', [], 'input'] });
    } finally {
      bury();
    }
  });

  it('says in one line what is wrong with a build', () => {
    say("four'; import './none.ts'; //");
    const { status, stderr, answer } = launch(join(root, 'qimg'));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^qimg: cannot build: .*none\.ts.*\n$/);
    expect(answer).toBeUndefined();
  });
});
