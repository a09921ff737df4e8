/** Damaged qcow2 images: the report is the real tool's, line by line. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { programHint } from '../../src/cli/hints.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { openOn } from '../unit/formats/qcow2/support.ts';

/** Base image and what is put over it: offset, hexadecimal digits. */
const CASES: readonly (readonly [image: string, change: readonly [at: number, hex: string]])[] = [
  ['plain', [0x40000, '8000000000050200']],
  ['plain', [0x40000, '0000000000050200']],
  ['plain', [0x40028, '8000000000090201']],
  ['plain', [0x30000, '8000000000040200']],
  ['plain', [0x30000, '0000000000040000']],
  ['plain', [0x30000, '8f00000000040001']],
  ['plain', [0x40000, '4000000000050000']],
  ['plain', [0x40000, 'c000000000050000']],
  ['plain', [0x40000, '4000000001050000']],
  ['plain', [0x40000, '7fffffffffffffff']],
  ['plain', [0x40000, '8000000000050002']],
  ['plain', [0x40000, '8000000100000000']],
  ['plain', [0x40200, '8000000000010000']],
  ['plain', [0x40200, '8000000000000000']],
  ['plain', [0x10000, '0000000000020001']],
  ['plain', [0x10000, '0000000000040000']],
  ['plain', [0x10000, '0000000000100000']],
  ['plain', [0x10008, '0000000000020000']],
  ['plain', [0x10008, '0000000000050200']],
  ['plain', [0x20000, '0000']],
  ['plain', [0x20004, '0002']],
  ['plain', [0x20008, '0000']],
  ['plain', [0x2000a, 'ffff']],
  ['plain', [48, '0000000000100000']],
  ['plain', [40, '0000000000100000']],
  ['plain', [56, '00000000']],
  ['extended', [0x40008, 'ffffffffffffffff']],
  ['extended', [0x40000, '0000000000000000']],
  ['extended', [0x40000, 'c000000000050000']],
  ['extended', [0x40000, '8000000000050200']],
  ['snapshot', [64, '0000000000000000']],
  ['snapshot', [60, '00000002']],
  ['snapshot', [60, '00000000']],
  ['snapshot', [0x20008, '0003']],
  ['bitmap', [0x20014, '0000']],
  ['bitmap', [95, '00']],
];

let directory = '';

function run(program: 'qemu-img' | 'qemu-io', ...args: string[]): void {
  execFileSync(oracleProgram(program), args, { cwd: directory });
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qcow2-check-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Makes the images that are damaged later. */
function makeImages(): void {
  run('qemu-img', 'create', '-q', '-f', 'qcow2', 'plain', '4M');
  run(
    'qemu-io',
    '-c',
    'write -P 3 0 256k',
    '-c',
    'write -z 256k 64k',
    '-c',
    'write -P 1 320k 64k',
    '-c',
    'write -z 320k 64k',
    'plain',
  );
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'extended_l2=on', 'extended', '4M');
  run('qemu-io', '-c', 'write -P 3 0 130k', '-c', 'write -z 160k 8k', 'extended');
  for (const name of ['snapshot', 'bitmap'])
    writeFileSync(join(directory, name), readFileSync(join(directory, 'plain')));
  run('qemu-img', 'snapshot', '-c', 'one', 'snapshot');
  run('qemu-img', 'bitmap', '--add', 'bitmap', 'b');
  for (const name of ['snapshot', 'bitmap']) run('qemu-io', '-c', 'write -P 9 0 64k', name);
}

interface Answer {
  readonly lines: string[];
  readonly corruptions: number;
  readonly leaks: number;
  readonly checkErrors: number;
  readonly imageEndOffset: number | undefined;
  readonly allocated: number;
  readonly fragmented: number;
  readonly compressed: number;
}

function theirs(): Answer {
  const { stdout, stderr } = spawnSync(oracleProgram('qemu-img'), ['check', '--output=json', 'damaged'], {
    cwd: directory,
    encoding: 'utf8',
    maxBuffer: 67108864,
  });
  const json = JSON.parse(stdout) as Record<string, number>;
  return {
    lines: stderr
      .replace('to fix.', 'to fix.\n')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('qemu-img: ')),
    corruptions: json['corruptions'] ?? 0,
    leaks: json['leaks'] ?? 0,
    checkErrors: json['check-errors'] ?? 0,
    imageEndOffset: json['image-end-offset'],
    allocated: json['allocated-clusters'] ?? 0,
    fragmented: json['fragmented-clusters'] ?? 0,
    compressed: json['compressed-clusters'] ?? 0,
  };
}

async function ours(bytes: Uint8Array): Promise<Answer> {
  const warnings: string[] = [];
  const node = await openOn(memoryStorage(bytes), { intent: 'check', readOnly: true, warnings });
  const lines = warnings.flatMap((text) => text.split('\n').slice(1));
  const result = await node.check('none', ({ text, hint }) => {
    lines.push(...(hint ? [text, programHint(hint)] : [text]));
  });
  return {
    lines,
    corruptions: result.corruptions,
    leaks: result.leaks,
    checkErrors: result.checkErrors,
    imageEndOffset: result.imageEndOffset,
    allocated: result.clusters?.allocated ?? 0,
    fragmented: result.clusters?.fragmented ?? 0,
    compressed: result.clusters?.compressed ?? 0,
  };
}

describeWithOracle('check of damaged qcow2 images', () => {
  beforeAll(makeImages);

  it.each(CASES)('reports the same: %s %j', async (image, [at, hex]) => {
    const bytes = new Uint8Array(readFileSync(join(directory, image)));
    bytes.set(
      Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)),
      at,
    );
    writeFileSync(join(directory, 'damaged'), bytes);
    expect(await ours(bytes)).toEqual(theirs());
  });
});
