/** convert and dd beside the real program. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

/** One MiB of ones with zeroes in places that matter to `-S`. */
function patchy(): Buffer {
  const bytes = Buffer.alloc(1 << 20, 1);
  for (const [start, length] of [
    [1024, 8192],
    [66048, 4096],
    [131584, 7680],
    [205312, 71680],
    [400000, 24576],
    [(1 << 20) - 3000, 3000],
  ] as const) {
    bytes.fill(0, start, start + length);
  }
  return bytes;
}

/** A map without places: runs of one nature. */
function layout(json: string): string[] {
  const runs: string[] = [];
  for (const { start, length, offset: _, ...nature } of JSON.parse(json) as {
    start: number;
    length: number;
    offset?: number;
  }[]) {
    const text = JSON.stringify(nature);
    if (runs.at(-1)?.endsWith(text)) runs.pop();
    runs.push(`${start + length} ${text}`);
  }
  return runs;
}

describeWithOracle('convert and dd', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real, directory) => {
      const image = (line: string): Promise<void> => real('qemu-img', line);
      const write = (line: string): Promise<void> => real('qemu-io', line);
      writeFileSync(join(directory, 'patchy.raw'), patchy());
      writeFileSync(join(directory, 'odd.raw'), Buffer.alloc(100_000, 5));
      truncateSync(join(directory, 'odd.raw'), 150_001);
      writeFileSync(
        join(directory, 'blocks.raw'),
        Buffer.from(Array.from({ length: 65536 }, (_, i) => (i >> 8) % 251)),
      );
      await image('create -q -f qcow2 base.qcow2 1M');
      await write("-c 'write -P 1 0 512k' base.qcow2");
      await image('create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2');
      await write(
        "-c 'write -P 3 0 64k' -c 'write -z 64k 64k' -c 'write -P 1 384k 64k' -c 'write -z 700k 4k' top.qcow2",
      );
      await image('create -q -f qcow2 small.qcow2 64k');
      await image('convert -c -O qcow2 patchy.raw packed.qcow2');
    });
  });
  afterAll(() => both.end());

  /** Runs a conversion on both sides, lets the real program look at both results, and says what differs. */
  async function problems(line: string, result: string, format: string): Promise<unknown[]> {
    const found: unknown[] = await both.differences([line]).then((list) => [...list]);
    const [theirs, ours] = [both.path('theirs', result), both.path('ours', result)];
    if (format === 'raw' && !readFileSync(theirs).equals(readFileSync(ours))) found.push('other bytes');
    const maps = await Promise.all(
      [theirs, ours].map((path) => both.theirAnswer(`map --output=json -f ${format} ${path}`)),
    );
    const [wanted, got] = maps.map(({ stdout }) => layout(stdout));
    if (JSON.stringify(wanted) !== JSON.stringify(got)) found.push({ wanted, got });
    const checks = [`compare -f ${format} -F ${format} ${theirs} ${ours}`, `check -f qcow2 -q ${ours}`];
    for (const check of format === 'qcow2' ? checks : checks.slice(0, 1)) {
      const answer = await both.theirAnswer(check);
      if (answer.code !== 0) found.push(answer);
    }
    return found;
  }

  it.each([
    ['patchy.raw', 'raw', ''],
    ['patchy.raw', 'raw', '-S 512'],
    ['patchy.raw', 'raw', '-S 6k'],
    ['patchy.raw', 'raw', '-S 8k'],
    ['patchy.raw', 'raw', '-S 12k'],
    ['patchy.raw', 'raw', '-S 64k'],
    ['patchy.raw', 'raw', '-S 0'],
    ['patchy.raw', 'raw', '-C'],
    ['patchy.raw', 'raw', '-W -m 4 -T none'],
    ['patchy.raw', 'qcow2', ''],
    ['patchy.raw', 'qcow2', '-o cluster_size=4k'],
    ['patchy.raw', 'qcow2', '-o cluster_size=512,compat=0.10'],
    ['patchy.raw', 'qcow2', '-o extended_l2=on'],
    ['patchy.raw', 'qcow2', '-o preallocation=metadata'],
    ['patchy.raw', 'qcow2', '-c'],
    ['patchy.raw', 'qcow2', '-c -S 0'],
    ['patchy.raw', 'qcow2', '-S 0'],
    ['odd.raw', 'raw', ''],
    ['odd.raw', 'qcow2', ''],
    ['odd.raw', 'qcow2', '-c'],
    ['odd.raw patchy.raw odd.raw', 'raw', ''],
    ['odd.raw top.qcow2', 'qcow2', ''],
    ['packed.qcow2', 'raw', ''],
    ['top.qcow2', 'raw', ''],
    ['top.qcow2', 'qcow2', ''],
    ['top.qcow2', 'qcow2', '-B base.qcow2 -F qcow2'],
    ['top.qcow2', 'qcow2', '-c -B base.qcow2 -F qcow2'],
    ['top.qcow2', 'qcow2', '-o backing_file=base.qcow2,backing_fmt=qcow2'],
    ['patchy.raw', 'qcow2', '-B small.qcow2 -F qcow2'],
  ])('converts %s to %s %s', async (source, format, options) => {
    const result = `out.${format}`;
    expect(await problems(`convert ${options} -O ${format} ${source} ${result}`, result, format)).toEqual([]);
  });

  it('writes into what exists', async () => {
    const used = both.path('ours', 'used.qcow2');
    for (const options of ['', '--target-is-zero']) {
      for (const side of ['theirs', 'ours'] as const) {
        await SideBySide.real('qemu-img', 'create -q -f qcow2 used.qcow2 2M', both.path(side));
        await SideBySide.real('qemu-io', "-c 'write -P 9 0 1536k' used.qcow2", both.path(side));
      }
      expect(existsSync(used)).toBe(true);
      expect(await problems(`convert -n ${options} -O qcow2 top.qcow2 used.qcow2`, 'used.qcow2', 'qcow2')).toEqual([]);
    }
  });

  it('refuses alike', async () => {
    const mistakes = [
      '-O nonsense missing.raw x',
      '-O nonsense -o foo=bar patchy.raw x',
      '-O qcow2 -o foo=bar patchy.raw x',
      '-O raw -c patchy.raw x',
      '-O raw -c -o foo=bar patchy.raw x',
      '-O raw -c -B base.qcow2 patchy.raw x',
      '-O qcow2 -c -o preallocation=full patchy.raw x',
      '-O qcow2 -B base.qcow2 patchy.raw x',
      '-O qcow2 -F raw patchy.raw x',
      '-O qcow2 -B missing -F raw patchy.raw x',
      '-O qcow2 -B base.qcow2 -F qcow2 patchy.raw patchy.raw x',
      '-O qcow2 -l a patchy.raw patchy.raw x',
      '-O qcow2 -l a patchy.raw x',
      '-O qcow2 --bitmaps patchy.raw x',
      '-O qcow2 --bitmaps patchy.raw patchy.raw x',
      '-O raw patchy.raw /nonexistent/x',
      '-O raw patchy.raw .',
      '-O raw patchy.raw foo:x',
      '-O raw -o preallocation=metadata patchy.raw x',
      '-O raw patchy.raw patchy.raw',
      '-O qcow2 -n base.qcow2 base.qcow2',
      '-O qcow2 -n patchy.raw small.qcow2',
      '-O qcow2 -n patchy.raw missing.qcow2',
      '-O raw -n -c patchy.raw odd.raw',
    ];
    expect(await both.differences(mistakes.map((line) => `convert ${line}`))).toEqual([]);
    expect(readdirSync(both.path('ours')).filter((name) => name.endsWith('.part') || name === 'x')).toEqual([]);
  });

  it.each([
    ['blocks.raw', ''],
    ['blocks.raw', 'bs=4k count=3'],
    ['blocks.raw', 'bs=4k skip=2 count=3'],
    ['blocks.raw', 'bs=10k skip=6'],
    ['blocks.raw', 'bs=300 count=7 skip=3'],
    ['blocks.raw', 'bs=1M skip=1'],
    ['blocks.raw', 'skip=200'],
    ['odd.raw', 'bs=70k'],
  ])('copies blocks of %s: %s', async (source, operands) => {
    expect(await problems(`dd -f raw ${operands} if=${source} of=dd.raw`, 'dd.raw', 'raw')).toEqual([]);
  });

  it('keeps what other names of a file lead to', async () => {
    for (const side of ['theirs', 'ours'] as const) writeFileSync(both.path(side, 'present.raw'), 'old');
    const before = statSync(both.path('ours', 'present.raw')).ino;
    expect(await problems('convert -O raw patchy.raw present.raw', 'present.raw', 'raw')).toEqual([]);
    expect(statSync(both.path('ours', 'present.raw')).ino).toBe(before);
  });
});

describe('a conversion that is stopped', () => {
  it('leaves no file', async () => {
    const both = new SideBySide();
    try {
      const directory = both.path('ours');
      writeFileSync(join(directory, 'a.raw'), Buffer.alloc(8 << 20, 1));
      const program = join(dirname(fileURLToPath(import.meta.url)), '../../qimg');
      const child = spawn(program, ['convert', '-r', '1M', '-O', 'raw', 'a.raw', 'b.raw'], { cwd: directory });
      // The copy takes seven seconds; where the file has no name yet, nothing shows that it has begun.
      await new Promise((resolve) => setTimeout(resolve, 2500));
      expect(readdirSync(directory)).not.toContain('b.raw');
      const ended = new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal)));
      child.kill('SIGINT');
      expect(await ended).toBe('SIGINT');
      expect(readdirSync(directory)).toEqual(['a.raw']);
    } finally {
      both.end();
    }
  });
});
