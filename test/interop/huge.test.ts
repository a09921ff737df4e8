/** Sparse images as large as their formats allow: at once, and exact to the byte. */
import { truncateSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

/** Milliseconds that a command may take here, with room for a busy machine. */
const AT_ONCE = 30_000;

describeWithOracle('huge images', () => {
  let both: SideBySide;
  beforeAll(() => {
    both = new SideBySide();
  });
  afterAll(() => both.end());

  // What is copied is small where the real program walks through all of a disk.
  it.each([
    { format: 'qcow2', size: '16T', options: '', copies: true },
    { format: 'qcow2', size: '64T', options: '-o cluster_size=2M,extended_l2=on', copies: true },
    { format: 'qcow', size: '2G', options: '', copies: true },
    { format: 'qed', size: '1T', options: '', copies: true },
    { format: 'vdi', size: '256G', options: '', copies: true },
    { format: 'vhdx', size: '64T', options: '', copies: false },
    { format: 'vpc', size: '2040G', options: '', copies: false },
    { format: 'vpc', size: '2040G', options: '-o force_size=on', copies: false },
    { format: 'vmdk', size: '16G', options: '', copies: true },
    { format: 'vmdk', size: '2T', options: '-o subformat=monolithicFlat', copies: true },
    { format: 'raw', size: '8T', options: '', copies: true },
  ])(
    '$format of $size with $options are as the real ones',
    { timeout: 300_000 },
    async ({ format, size, options, copies }) => {
      const name = `${format}-${size}${options.length}`;
      const found = await both.differences([
        `create -f ${format} ${options} ${name} ${size}`,
        `info -f ${format} ${name}`,
        `info -f ${format} --output=json ${name}`,
        `map -f ${format} ${name}`,
        `map -f ${format} --output=json ${name}`,
        `measure -O qcow2 -f ${format} ${name}`,
        `measure -O raw -f ${format} ${name}`,
        `check -f ${format} ${name}`,
      ]);
      expect(found).toEqual([]);
      const start = performance.now();
      const copy = `${name}.copy`;
      const answers = [
        await both.ourAnswer(`convert -f ${format} -O qcow2 -o cluster_size=2M ${name} ${copy}`),
        await both.ourAnswer(`compare -f ${format} -F qcow2 ${name} ${copy}`),
      ];
      expect(answers.map(({ code, stderr }) => `${code}${stderr}`)).toEqual(['0', '0']);
      expect(performance.now() - start).toBeLessThan(AT_ONCE);
      if (copies) await SideBySide.real('qemu-img', `compare -f ${format} -F qcow2 ${name} ${copy}`, both.path('ours'));
    },
  );

  it('are without leaks when they are new, however small their clusters', async () => {
    expect(await both.ourAnswer('create -q -f qcow2 -o cluster_size=512 fine.qcow2 64G')).toMatchObject({ code: 0 });
    await SideBySide.real('qemu-img', 'check -q fine.qcow2', both.path('ours'));
  });

  // The real program walks such maps for minutes.
  it.each([
    ['2P', ''],
    ['2E', '-o cluster_size=2M'],
  ])('qcow2 of %s are mapped at once', { timeout: 300_000 }, async (size, options) => {
    expect(await both.differences([`create -f qcow2 ${options} wide.qcow2 ${size}`, 'info wide.qcow2'])).toEqual([]);
    const length = size === '2P' ? '2251799813685248' : '2305843009213693952';
    const start = performance.now();
    const map = await both.ourAnswer('map --output=json wide.qcow2');
    expect(map.stdout).toContain(`[{ "start": 0, "length": ${length}, "depth": 0, "present": false, "zero": true`);
    expect(map).toMatchObject({ stderr: '', code: 0 });
    expect(await both.ourAnswer('check wide.qcow2')).toMatchObject({ stderr: '', code: 0 });
    expect(performance.now() - start).toBeLessThan(AT_ONCE);
  });

  it('that only their options make are told alike', async () => {
    const nothing = (size: string): string => `--image-opts driver=null-co,read-zeroes=on,size=${size}`;
    const sizes = ['8070450532247928832', '9223372035781033984', '1152921504606846976'];
    const lines = sizes.flatMap((size) => [
      `map --output=json ${nothing(size)}`,
      `map ${nothing(size)}`,
      `measure -O qcow2 -o cluster_size=2M ${nothing(size)}`,
      `measure -O raw ${nothing(size)}`,
    ]);
    expect(await both.differences(lines)).toEqual([]);
  });

  it('are measured and refused alike', { timeout: 300_000 }, async () => {
    const lines: string[] = [];
    for (const size of ['1P', '2P', '3P', '2E', '7E', '8E', '9223372036854774784', '16E', '99999999999999999999']) {
      for (const format of ['qcow2', 'qcow2 -o cluster_size=2M', 'qcow2 -o cluster_size=2M,extended_l2=on', 'raw']) {
        lines.push(`measure --size ${size} -O ${format}`);
      }
    }
    // Lost a sector when they became doubles, or showed 2^63 as 2^63 - 1.
    for (const size of ['9223372036854775807', '2305843009213693953', '9007199254740993']) {
      for (const format of ['raw', 'raw --output=json', 'qcow2 -o cluster_size=2M', 'luks']) {
        lines.push(`measure --size ${size} -O ${format}`);
      }
    }
    for (const [format, size] of [
      ['qcow2', '3P'],
      ['qcow2 -o cluster_size=4k', '64T'],
      ['qcow', '8E'],
      ['qed', '65T'],
      ['vdi', '4P'],
      ['vhdx', '65T'],
      ['vpc', '2041G'],
      ['raw', '8E'],
    ]) {
      lines.push(`create -f ${format} refused ${size}`);
    }
    expect(await both.differences(lines)).toEqual([]);
  });

  it('keep what is at their end', async () => {
    for (const side of ['theirs', 'ours'] as const) {
      const directory = both.path(side);
      writeFileSync(`${directory}/end.raw`, '');
      truncateSync(`${directory}/end.raw`, 8 * 2 ** 40);
      await SideBySide.real('qemu-io', "-f raw -c 'write -P 7 8796093018112 4k' end.raw", directory);
    }
    expect(
      await both.differences([
        'convert -f raw -O qcow2 end.raw end.qcow2',
        'map --output=json end.raw',
        'compare -f raw -F qcow2 end.raw end.qcow2',
        'convert -f qcow2 -O vhdx end.qcow2 end.vhdx',
        'measure -O qcow2 end.raw',
        'resize -f raw end.raw 9T',
        'compare -f raw -F qcow2 end.raw end.qcow2',
      ]),
    ).toEqual([]);
    expect(await both.ourAnswer('compare -f qcow2 -F vhdx end.qcow2 end.vhdx')).toMatchObject({ code: 0 });
    expect(await both.differences(['resize -q -f qcow2 end.qcow2 64T', 'info end.qcow2'])).toEqual([]);
    await SideBySide.real('qemu-img', 'check -q end.qcow2', both.path('ours'));
    await SideBySide.real('qemu-io', "-r -f vhdx -c 'read -P 7 8796093018112 4k' end.vhdx", both.path('ours'));
  });
});
