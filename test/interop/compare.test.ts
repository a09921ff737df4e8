/** compare beside the real program. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

const NAMES = ['zero.raw', 'data.raw', 'late.raw', 'odd.raw', 'short.raw', 'empty', 'zeroes', 'kept', 'over', 'packed'];

describeWithOracle('compare', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real, directory) => {
      const image = (line: string): Promise<void> => real('qemu-img', line);
      const write = (line: string): Promise<void> => real('qemu-io', line);
      await image('create -q -f raw zero.raw 1M');
      await image('create -q -f raw data.raw 1M');
      await write("-f raw -c 'write -P 1 256k 64k' data.raw");
      await image('create -q -f raw late.raw 3M');
      await write("-f raw -c 'write -P 1 256k 64k' -c 'write -P 2 2500k 100' late.raw");
      writeFileSync(join(directory, 'odd.raw'), Buffer.alloc(100_001, 3));
      writeFileSync(join(directory, 'short.raw'), Buffer.alloc(99_000, 3));
      await image('create -q -f qcow2 empty 1M');
      await image('create -q -f qcow2 zeroes 1M');
      await write("-c 'write -z 64k 64k' zeroes");
      await image('create -q -f qcow2 kept 1M');
      await write("-c 'write -P 1 64k 64k' -c 'write -z 64k 64k' -c 'write -P 1 256k 64k' kept");
      await image('create -q -f qcow2 -b kept -F qcow2 over');
      await write("-c 'write -P 1 256k 64k' over");
      await image('convert -c -O qcow2 kept packed');
    });
  });
  afterAll(() => both.end());

  const pairs = NAMES.flatMap((first) => NAMES.map((second) => `${first} ${second}`));

  it('finds the same differences', async () => {
    expect(await both.differences(pairs.map((pair) => `compare ${pair}`))).toEqual([]);
  });

  it('finds the same differences in strict mode', async () => {
    const chosen = pairs.filter((pair) => !/short|odd/.test(pair));
    expect(await both.differences(chosen.map((pair) => `compare -s ${pair}`))).toEqual([]);
  });

  it('fails alike', async () => {
    const lines = [
      'missing zero.raw',
      'zero.raw missing',
      '-f qcow2 zero.raw zero.raw',
      '-F x zero.raw zero.raw',
      '-q empty kept',
    ];
    expect(await both.differences(lines.map((line) => `compare ${line}`))).toEqual([]);
  });
});
