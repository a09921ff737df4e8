/** What has to be true of the standalone executable, where the launcher `qimg` sees to it for Node. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digest } from '../support/fileSystem.ts';
import { type Copy, copyIgnoring } from '../support/ignoringSignals.ts';
import { must, ourProgram, preload, type RunChoice, run, words } from '../support/program.ts';

const MiB = 1048576;
const nodeProgram = join(dirname(fileURLToPath(import.meta.url)), '../../qimg');

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-standalone-'));
  const bytes = Buffer.alloc(8 * MiB);
  for (let at = 0; at < bytes.length; at += 4) if (at % MiB < 600_000) bytes.writeUInt32LE((at * 2654435761) >>> 0, at);
  writeFileSync(join(directory, 'source'), bytes);
  execFileSync(nodeProgram, words('create -q -f qcow2 image 1M'), { cwd: directory });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function start(line: string, choice: RunChoice = {}): ReturnType<typeof run> {
  return run(ourProgram(), words(line), { cwd: directory, ...choice });
}

describe('settings for other programs', () => {
  it.each([
    { BUN_BE_BUN: '1' },
    { BUN_OPTIONS: '--no-such-flag' },
    { BUN_OPTIONS: '--preload=/nonexistent.js --cpu-prof' },
    { BUN_INSPECT: 'ws://127.0.0.1:0/', BUN_INSPECT_PRELOAD: '/nonexistent.js' },
    { BUN_GARBAGE_COLLECTOR_LEVEL: '2', BUN_CONFIG_VERBOSE_FETCH: '1', BUN_DESTRUCT_VM_ON_EXIT: '1' },
    { NODE_OPTIONS: '--no-such-flag', NODE_CHANNEL_FD: '77', NODE_EXTRA_CA_CERTS: '/nonexistent/certificates.pem' },
  ])('%o changes nothing', async (env) => {
    const plain = await start('info image');
    expect(plain).toMatchObject({ code: 0, stderr: '' });
    expect(await start('info image', { env })).toEqual(plain);
  });

  it('in files of the working directory change nothing', async () => {
    const place = join(directory, 'place');
    mkdirSync(place);
    writeFileSync(join(place, '.env'), 'BUN_BE_BUN=1\nQIMGBE_BUN=1\n');
    writeFileSync(join(place, 'bunfig.toml'), 'preload = ["./nonexistent.js"]\n');
    writeFileSync(join(place, 'package.json'), '{ "type": 1 ');
    writeFileSync(join(place, 'tsconfig.json'), '{ "extends": "./nonexistent.json" }');
    const before = readdirSync(place);
    expect(await start('info ../image', { cwd: place })).toMatchObject({ code: 0, stderr: '' });
    expect(readdirSync(place)).toEqual(before);
  });
});

describe('signals that the caller ignores', () => {
  const copy = (ignored: string): Promise<Copy> => {
    rmSync(join(directory, 'out'), { force: true });
    return copyIgnoring(ourProgram(), ignored, directory);
  };

  it('stay ignored', async () => {
    const { child, end } = await copy('HUP INT QUIT TERM TSTP TTOU USR2');
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
    const bits = [1, 2, 3, 12, 15, 20, 22].reduce((sum, number) => sum + 2 ** (number - 1), 0);
    expect(Number.parseInt(mask ?? '', 16) & bits).toBe(bits);
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGTSTP', 'SIGUSR2'] as const) child.kill(signal);
    expect(await end).toEqual([0, null]);
    expect(existsSync(join(directory, 'out'))).toBe(true);
  });

  it('do not keep others from ending it', async () => {
    const { child, end } = await copy('HUP INT');
    child.kill('SIGHUP');
    child.kill('SIGTERM');
    expect(await end).toEqual([null, 'SIGTERM']);
    expect(existsSync(join(directory, 'out'))).toBe(false);
  });
});

describe('the file', () => {
  it('tells in a line of its own what was built', async () => {
    const lines = (await must(ourProgram(), ['--version'])).split('\n');
    expect(lines.slice(0, 3)).toEqual((await must(nodeProgram, ['--version'])).split('\n').slice(0, 3));
    expect(lines[3]).toMatch(/^Standalone executable for [a-z]+-(x64|arm64)(-musl)?, made with Bun \d+\.\d+\.\d+$/);
  });

  it('is all that is needed, under any name', async () => {
    const alone = mkdtempSync(join(directory, 'alone-'));
    copyFileSync(ourProgram(), join(alone, 'qemu-img'));
    symlinkSync('qemu-img', join(alone, 'link'));
    const environment = ['-i', 'PATH=/nonexistent', 'HOME=/nonexistent'];
    for (const name of ['qemu-img', 'link']) {
      const program = join(alone, name);
      await must('env', [...environment, program, 'convert', '-c', '-O', 'qcow2', 'source', 'copy'], {
        cwd: directory,
      });
      expect(await must('env', [...environment, program, 'compare', 'source', 'copy'], { cwd: directory })).toBe(
        'Images are identical.\n',
      );
    }
    expect(readdirSync(alone).sort()).toEqual(['link', 'qemu-img']);
  });
});

describe('the end', () => {
  it('is one line for what nobody expects', async () => {
    const script = join(directory, 'breaks.cjs');
    writeFileSync(script, "if (require('worker_threads').isMainThread) setTimeout(() => null.x, 5);\n");
    for (const [line, failed] of [
      ['convert -r 1M -O qcow2 source never', 1],
      ['compare source /dev/zero', 2],
    ] as const) {
      const { code, stderr } = await start(line, { env: preload(script) });
      expect(stderr).toMatch(/^qemu-img: [^\n]*null[^\n]*\n$/);
      expect(code).toBe(failed);
    }
  });

  it('is the same as with Node where output cannot be written', async () => {
    for (const how of ['>&-', '>/dev/full', '2>&- >&-', '</dev/null | true', '<&-']) {
      const codes = [ourProgram(), nodeProgram].map((program) => {
        const script = `"$0" info --output=json image ${how}; echo $?`;
        return execFileSync('/bin/sh', ['-c', script, program], { cwd: directory, encoding: 'utf8' });
      });
      expect(codes[0]).toBe(codes[1]);
    }
  });
});

/**
 * What both programs make of one input; NAME is the output. Not among them: what has identifiers or salts drawn by lot, and
 * qcow, whose tables lie where the first of two writes puts them.
 */
const ALIKE = [
  'convert -f raw -O raw source NAME',
  'convert -f raw -O qcow2 source NAME',
  'convert -f raw -O qcow2 -o cluster_size=4k,extended_l2=off,lazy_refcounts=on source NAME',
  'convert -f raw -O qcow2 -o extended_l2=on,cluster_size=128k source NAME',
  'convert -f raw -O qed source NAME',
  'convert -f raw -O parallels source NAME',
  'convert -c -f raw -O qcow2 source NAME',
  'convert -c -f raw -O qcow2 -o compression_type=zstd source NAME',
  'create -q -f qcow2 -o preallocation=metadata NAME 64M',
  'create -q -f raw -o preallocation=full NAME 1M',
];

describe('the same input', () => {
  it.each(ALIKE)('gives the same bytes as with Node: %s', async (line) => {
    for (const [name, program] of [
      ['by-executable', ourProgram()],
      ['by-node', nodeProgram],
    ] as const) {
      await must(program, words(line.replace('NAME', name)), { cwd: directory });
    }
    expect(await digest(join(directory, 'by-executable'))).toBe(await digest(join(directory, 'by-node')));
    for (const name of ['by-executable', 'by-node']) rmSync(join(directory, name));
  });
});
