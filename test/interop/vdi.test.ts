import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

/** Positions and bytes to change in an image with blocks 0 and 2 in use. */
const DAMAGE: readonly (readonly [at: number, bytes: string])[] = [
  [0x40, '00000000'],
  [0x44, '00000100'],
  [0x154, '01020000'],
  [0x158, '01'],
  [0x169, '00'],
  [0x170, 'ffffffffffffffff'],
  [0x170, '0102000000000000'],
  [0x178, '00000000'],
  [0x180, '03000000'],
  [0x180, 'ffffffff'],
  [0x184, '00000000'],
  [0x1a8, '01'],
  [0x1b8, '01'],
  [0x200, 'ffffffff'],
  [0x204, 'feffffff'],
  [0x204, '04000000'],
  [0x204, '01000000'],
];

describeWithOracle('VDI images', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real) => {
      await real('qemu-img', 'create -q -f raw r.raw 4M');
      await real('qemu-io', "-f raw -c 'write -P 1 0 1M' -c 'write -P 2 2M 64k' r.raw");
      await real('qemu-img', 'convert -f raw -O vdi r.raw d.vdi');
      await real('qemu-img', 'create -q -f vdi -o static=on f.vdi 4M');
      await real('qemu-io', "-f vdi -c 'write -P 1 0 1M' -c 'write -P 2 2M 64k' f.vdi");
    });
  });
  afterAll(() => both.end());

  it('are created alike', async () => {
    const lines = ['0', '1', '1048577', '550000000', '562949819203585'].flatMap((size) =>
      ['', '-o static=on', '-o static=maybe', '-o preallocation=metadata', '-b r.raw -F raw'].flatMap((options) =>
        options === '-o static=on' && size.length > 9
          ? []
          : [`create -f vdi ${options} new.vdi ${size}`, 'info -f vdi new.vdi', 'check -f vdi new.vdi'],
      ),
    );
    expect(await both.differences(lines)).toEqual([]);
  });

  it('are read alike, and refuse the same', async () => {
    const lines = ['d.vdi', 'f.vdi'].flatMap((name) => [
      `info ${name}`,
      `info --output=json ${name}`,
      `map ${name}`,
      `map --output=json ${name}`,
      `compare -F raw ${name} r.raw`,
      `check ${name}`,
      `check --output=json ${name}`,
      `check -r all ${name}`,
      `resize ${name} 20M`,
    ]);
    const more = ['measure --size 1M -O vdi', 'convert -c -O vdi r.raw x.vdi'];
    expect(await both.differences([...lines, ...more])).toEqual([]);
  });

  it('are refused or reported alike when they are damaged', async () => {
    const problems: unknown[] = [];
    let missing = 0;
    for (const [at, bytes] of DAMAGE) {
      both.damage('d.vdi', 'bad.vdi', at, bytes);
      const lines = ['info', 'check', 'map --output=json'].map((command) => `${command} -f vdi bad.vdi`);
      const compare = 'compare -f vdi -F raw bad.vdi r.raw';
      // Blocks that are not in the file are zeroes for the real program, and errors here.
      const isMissing = (await both.ourAnswer(compare)).stderr.includes("'bad.vdi' was cut off");
      if (isMissing) missing++;
      problems.push(...(await both.differences([...lines, ...(isMissing ? [] : [compare])])));
    }
    expect(problems).toEqual([]);
    expect(missing).toBe(1);
  });

  it('are read and checked by the real tool when this one wrote them', async () => {
    const ours = both.path('ours');
    for (const options of ['', '-o static=on']) {
      expect(await both.differences([`convert -f raw -O vdi ${options} r.raw out.vdi`])).toEqual([]);
      await SideBySide.real('qemu-img', 'compare -f vdi -F raw out.vdi r.raw', ours);
      await SideBySide.real('qemu-img', 'check -f vdi out.vdi', ours);
      await SideBySide.real('qemu-io', "-f vdi -c 'write -P 9 3M 1k' -c 'read -P 2 2M 64k' out.vdi", ours);
      await SideBySide.real('qemu-img', 'check -f vdi out.vdi', ours);
      await SideBySide.real('qemu-io', "-f raw -c 'write -P 8 1M 1k' r.raw", ours);
      await SideBySide.real('qemu-io', "-f raw -c 'write -P 8 1M 1k' r.raw", both.path('theirs'));
      expect(await both.differences(['convert -n -f raw -O vdi r.raw out.vdi'])).toEqual([]);
      await SideBySide.real('qemu-img', 'compare -f vdi -F raw out.vdi r.raw', ours);
      await SideBySide.real('qemu-img', 'check -f vdi out.vdi', ours);
    }
  });
});
