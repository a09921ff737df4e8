import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

describeWithOracle('VHD images', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real) => {
      await real('qemu-img', 'create -q -f raw r.raw 9M');
      await real('qemu-io', "-f raw -c 'write -P 1 1M 100k' -c 'write -P 2 8700k 64k' r.raw");
      for (const [name, options] of [
        ['d.vhd', 'force_size=on'],
        ['f.vhd', 'force_size=on,subformat=fixed'],
      ] as const) {
        await real('qemu-img', `create -q -f vpc -o ${options} ${name} 9M`);
        await real('qemu-io', `-f vpc -c 'write -P 1 1M 100k' -c 'write -P 2 8700k 64k' ${name}`);
      }
    });
  });
  afterAll(() => both.end());

  it('are created alike', async () => {
    const problems: unknown[] = [];
    for (const size of ['0', '1', '10485761', '127G', '136899993601', '2041G']) {
      for (const options of ['', '-o force_size=on', '-o subformat=fixed', '-o subformat=x']) {
        problems.push(...(await both.differences([`create -f vpc ${options} new.vhd ${size}`])));
        if (options.endsWith('x') || size === '2041G') continue;
        problems.push(...(await both.differences(['info -f vpc new.vhd'])));
        if (!both.sameLength('new.vhd')) problems.push({ size, options });
      }
    }
    expect(problems).toEqual([]);
  });

  it('are read alike, and refuse the same', async () => {
    const lines = ['d.vhd', 'f.vhd'].flatMap((name) => [
      `info -f vpc ${name}`,
      `map -f vpc ${name}`,
      `map -f vpc --output=json ${name}`,
      `compare -f vpc -F raw ${name} r.raw`,
      `check -f vpc ${name}`,
      `resize -f vpc ${name} 20M`,
      `measure -f vpc -O qcow2 ${name}`,
      `info --image-opts driver=vpc,file.filename=${name},force_size_calc=chs`,
      `info --image-opts driver=vpc,file.filename=${name},force_size_calc=no`,
      `info --image-opts driver=vpc,file.filename=${name},size=1`,
    ]);
    const more = ['measure --size 1M -O vpc', 'create -f vpc -b r.raw -F raw x.vhd', 'convert -c -O vpc r.raw x.vhd'];
    expect(await both.differences([...lines, ...more])).toEqual([]);
  });

  it('are read by the real tool when this one wrote them', async () => {
    const problems: unknown[] = [];
    for (const options of ['', '-o force_size=on', '-o subformat=fixed,force_size=on', '-S 0 -o force_size=on']) {
      problems.push(...(await both.differences([`convert -f raw -O vpc ${options} r.raw out.vhd`])));
      await SideBySide.real('qemu-img', 'compare -f vpc -F raw out.vhd r.raw', both.path('ours'));
      if (!both.sameLength('out.vhd')) problems.push({ options });
    }
    await SideBySide.real('qemu-io', "-f vpc -c 'write -P 9 4M 1k' -c 'read -P 1 1M 100k' out.vhd", both.path('ours'));
    expect(problems).toEqual([]);
  });
});
