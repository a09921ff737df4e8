import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

/** Overwrites bytes of a file, given in hexadecimal. */
function poke(file: string, offset: number, hex: string): void {
  const bytes = readFileSync(file);
  bytes.set(Buffer.from(hex, 'hex'), offset);
  writeFileSync(file, bytes);
}

describeWithOracle('check', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real, directory) => {
      await real('qemu-img', 'create -q -f qcow2 good.qcow2 16M');
      await real('qemu-io', "-c 'write -P 1 0 256k' good.qcow2");
      await real('qemu-img', 'create -q -f qcow2 empty.qcow2 16M');
      await real('qemu-img', 'create -q -f qcow2 none.qcow2 0');
      await real('qemu-img', 'create -q -f raw disk.raw 1M');
      const copy = (name: string): string => {
        const path = join(directory, name);
        cpSync(join(directory, 'good.qcow2'), path);
        return path;
      };
      // The L2 table of these images is at 0x40000, the refcount block at 0x20000.
      poke(copy('leak.qcow2'), 0x40000, '0000000000000000');
      poke(copy('beyond.qcow2'), 0x40008, '8000000040000000');
      poke(copy('copied.qcow2'), 0x40000, '00');
      poke(copy('mixed.qcow2'), 0x40000, '00000000000000008000000040000000');
      poke(copy('lost.qcow2'), 0x2000a, '0000');
    });
  });
  afterAll(() => both.end());

  const DAMAGED = ['leak', 'beyond', 'copied', 'mixed', 'lost'];

  it('reports alike, for people and for programs', async () => {
    const names = [
      'good.qcow2',
      'empty.qcow2',
      'none.qcow2',
      'disk.raw',
      'gone',
      '.',
      ...DAMAGED.map((n) => `${n}.qcow2`),
    ];
    const lines = names.flatMap((name) => [`check ${name}`, `check --output=json ${name}`, `check -q ${name}`]);
    expect(await both.differences(lines)).toEqual([]);
  });

  it.each([
    ['vpc', 'create -q -f vpc deep 9M', "-f vpc -c 'write -P 1 3M 5k' -c 'write -P 1 0 1M'"],
    ['vpc', 'create -q -f vpc -o subformat=fixed deep 1M', '-f vpc -c quit'],
    ['qcow', 'create -q -f qcow deep 16M', "-f qcow -c 'write -c -P 1 0 4k' -c 'write -P 1 9M 64k'"],
    ['qcow', 'create -q -f qcow -b good.qcow2 -F qcow2 deep', "-f qcow -c 'write -P 1 100k 64k'"],
  ])('finds nothing wrong deep in a %s image of the real tool: %s', async (format, make, write) => {
    const directory = both.path('ours', '.');
    await SideBySide.real('qemu-img', make, directory);
    await SideBySide.real('qemu-io', `${write} deep`, directory);
    const lines = [`check -f ${format} deep`, `check --deep -f ${format} deep`];
    const [plain, deep] = await Promise.all(lines.map((line) => both.ourAnswer(line)));
    expect(plain?.code).toBe(63);
    expect(deep).toMatchObject({ code: 0, stderr: '' });
  });

  it('answers alike where there is nothing to repair', async () => {
    const lines = ['check -r all disk.raw', 'check -q -r leaks good.qcow2', 'check --output=json -r all empty.qcow2'];
    expect(await both.differences(lines)).toEqual([]);
  });
});
