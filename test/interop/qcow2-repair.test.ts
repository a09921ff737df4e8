/** Repairs of damaged qcow2 images: the lines are the real tool's, and it finds the same in what is left. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RepairMode } from '../../src/block/capabilities.ts';
import type { Report } from '../../src/block/report.ts';
import { programHint } from '../../src/cli/hints.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { openOn, services } from '../unit/formats/qcow2/support.ts';

/** Base image and what is put over it: offset, hexadecimal digits. */
const CASES: readonly (readonly [image: string, ...changes: readonly (readonly [at: number, hex: string])[]])[] = [
  ['plain', [0x2000a, '0000']],
  ['plain', [0x2000a, '0003']],
  ['plain', [0x10000, '0000000000020001']],
  ['plain', [0x10000, '0000000000020200']],
  ['plain', [0x10000, '0000000000000000']],
  ['plain', [0x10008, '0000000002000000']],
  ['plain', [0x10008, '0000000000020200']],
  ['plain', [0x10008, '0000000000020000']],
  ['plain', [0x30000, '0000000000040000']],
  ['plain', [0x30000, '8000000000030000']],
  ['plain', [0x30000, '8000000000040200']],
  ['plain', [0x30000, '8000000004000000']],
  ['plain', [0x40000, '0000000000050000']],
  ['plain', [0x40000, '0000000000000000']],
  ['plain', [0x40000, '8000000000060000']],
  ['plain', [0x40000, '8000000000010000']],
  ['plain', [0x40000, '8000000000050201']],
  ['plain', [0x40000, '8000000004000000'], [0x2000a, '0000']],
  ['plain', [0x40000, '8000000000070000'], [0x2000a, '0000']],
  ['plain', [72, '0000000000000001'], [0x2000a, '0002']],
  ['plain', [72, '0000000000000002']],
  ['plain', [56, '00000000']],
  ['plain', [48, '0000000008000000']],
  ['narrow', [0x40008, '8000000000050000']],
  ['narrow', [0x20000, '00'], [0x40008, '8000000000050000']],
  ['extended', [0x40000, '8000000000050200ffffffff00000000']],
  ['snapshot', [60, '00000003']],
  ['snapshot', [0x2000a, '0000']],
];

let directory = '';

function run(program: 'qemu-img' | 'qemu-io', ...args: string[]): void {
  execFileSync(oracleProgram(program), args, { cwd: directory });
}

function makeImages(): void {
  const create = (name: string, options: string): void => {
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', options, name, '4M');
    run('qemu-io', '-c', 'write -P 1 0 256k', name);
  };
  create('plain', 'compat=1.1');
  create('narrow', 'refcount_bits=1');
  create('extended', 'extended_l2=on');
  create('snapshot', 'compat=1.1');
  run('qemu-img', 'snapshot', '-c', 'one', 'snapshot');
  run('qemu-io', '-c', 'write -P 9 64k 64k', 'snapshot');
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qcow2-repair-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** What the real tool says to an image that is the file `name`. */
function theirs(name: string, ...options: string[]): { lines: string[]; status: number | null; fixed: unknown[] } {
  const args = ['check', '--output=json', ...options, name];
  const { stdout, stderr, status } = spawnSync(oracleProgram('qemu-img'), args, { cwd: directory, encoding: 'utf8' });
  const json = (stdout === '' ? {} : JSON.parse(stdout)) as Record<string, number>;
  const lines = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('qemu-img: Check failed'));
  return { lines, status, fixed: [json['leaks-fixed'] ?? 0, json['corruptions-fixed'] ?? 0] };
}

/** Repairs as the `check` command does: what was repaired is checked again. */
async function ours(
  bytes: Uint8Array,
  repair: RepairMode,
): Promise<{ lines: string[]; fixed: number[]; left: Uint8Array }> {
  const file = memoryStorage(bytes);
  const lines: string[] = [];
  const fixed = [0, 0];
  const node = await openOn(file, {
    intent: 'check',
    services: { ...services, now: () => ({ seconds: 0, nanoseconds: 0 }) },
  });
  const report: Report = ({ severity, text, hint }) => {
    const whole = `${severity === 'error' ? 'qemu-img: ' : ''}${text}${hint ? `\n${programHint(hint)}` : ''}`;
    lines.push(...whole.split('\n'));
  };
  try {
    const first = await node.check(repair, report);
    fixed.splice(0, 2, first.leaksFixed, first.corruptionsFixed);
    if (fixed.some((count) => count > 0)) await node.check('none', report);
  } catch {
    // The lines say why.
  }
  await node.close();
  const left = new Uint8Array(file.size());
  await file.read(0, left);
  return { lines, fixed, left };
}

describeWithOracle('repair of damaged qcow2 images', () => {
  beforeAll(makeImages);

  it.each(CASES.map(([image, ...changes]) => ({ image, changes })))('$image $changes', async ({ image, changes }) => {
    const bytes = new Uint8Array(readFileSync(join(directory, image)));
    for (const [at, hex] of changes) bytes.set(Buffer.from(hex, 'hex'), at);
    for (const repair of ['leaks', 'all'] as const) {
      writeFileSync(join(directory, 'damaged'), bytes);
      const expected = theirs('damaged', '-r', repair);
      const answer = await ours(bytes.slice(), repair);
      expect(answer.lines).toEqual(expected.lines);
      expect(answer.fixed).toEqual(expected.fixed);
      if (expected.status === 1) continue;
      writeFileSync(join(directory, 'mine'), answer.left);
      expect(theirs('mine')).toEqual(theirs('damaged'));
    }
  });
});
