import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

const L1 = 0x10000;
const L2 = 0x70000;

/** Positions and bytes to change in an image with clusters 0, 1 and 16 in use. */
const DAMAGE: readonly (readonly [at: number, bytes: string])[] = [
  [4, '00001000'],
  [4, '00000200'],
  [8, '01'],
  [8, '03'],
  [12, '02'],
  [16, '02'],
  [16, '08'],
  [0x28, '0000080000000000'],
  [0x28, '0000090000000000'],
  [0x30, '0002000000400000'],
  [0x30, '0000000000000000'],
  [L1, '0002'],
  [L1, '0000000000000000'],
  [L1 + 8, '00000700'],
  [L2, '00020500'],
  [L2, '0000f000'],
  [L2, '00000600'],
  [L2, '0100000000000000'],
  [L2, '0200000000000000'],
  [L2 + 0x2000, '00000500'],
];

describeWithOracle('QED images', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real) => {
      await real('qemu-img', 'create -q -f raw base.raw 2M');
      await real('qemu-io', "-f raw -c 'write -P 5 0 2M' base.raw");
      await real('qemu-img', 'create -q -f raw r.raw 64M');
      await real('qemu-io', "-f raw -c 'write -P 1 0 128k' -c 'write -P 2 1M 64k' r.raw");
      await real('qemu-img', 'create -q -f qed good.qed 64M');
      await real('qemu-io', "-f qed -c 'write -P 1 0 128k' -c 'write -P 2 1M 64k' good.qed");
      await real('qemu-img', 'create -q -f qed -b base.raw -F raw top.qed 4M');
      await real('qemu-io', "-f qed -c 'write -P 3 100k 8k' -c 'write -z 1M 128k' top.qed");
    });
  });
  afterAll(() => both.end());

  it('are created alike, byte by byte', async () => {
    const problems: unknown[] = [];
    for (const options of ['', 'cluster_size=4k,table_size=2', 'table_size=16', 'cluster_size=64M', 'table_size=3']) {
      for (const size of ['0', '1', '64M', '65T']) {
        const given = options === '' ? '' : `-o ${options}`;
        const line = `create -f qed ${given} new.qed ${size}`;
        const { theirs, ours } = await both.ask(line);
        if (JSON.stringify(theirs) !== JSON.stringify(ours)) problems.push({ line, theirs, ours });
        if (theirs.code !== 0) continue;
        if (!both.sameBytes('new.qed')) problems.push(line);
      }
    }
    expect(problems).toEqual([]);
  });

  it('are read alike, and refuse the same', async () => {
    const lines = ['good.qed', 'top.qed'].flatMap((name) => [
      `info ${name}`,
      `info --output=json ${name}`,
      `map ${name}`,
      `map --output=json ${name}`,
      `compare -F raw ${name} r.raw`,
      `check ${name}`,
      `check --output=json ${name}`,
      `resize --shrink ${name} 1M`,
      `resize ${name} 65T`,
      `resize --preallocation=full ${name} 80M`,
      `resize ${name} 80M`,
      `info ${name}`,
    ]);
    const more = ['measure --size 1M -O qed', 'convert -c -O qed base.raw x.qed'];
    expect(await both.differences([...lines, ...more])).toEqual([]);
  });

  it('are refused, reported and repaired alike when they are damaged', async () => {
    const problems: unknown[] = [];
    for (const [at, bytes] of DAMAGE) {
      both.damage('good.qed', 'bad.qed', at, bytes);
      const lines = ['info', 'check', 'map --output=json', 'check -r all', 'check --output=json'];
      problems.push(...(await both.differences(lines.map((command) => `${command} -f qed bad.qed`))));
      if (!both.sameBytes('bad.qed')) problems.push({ at, bytes, repaired: 'differently' });
    }
    expect(problems).toEqual([]);
  });

  it('are read and checked by the real tool when this one wrote them', async () => {
    const ours = both.path('ours');
    for (const options of ['', '-o cluster_size=4k,table_size=2', '-S 0']) {
      expect(await both.differences([`convert -f raw -O qed ${options} r.raw out.qed`])).toEqual([]);
      await SideBySide.real('qemu-img', 'compare -f qed -F raw out.qed r.raw', ours);
      await SideBySide.real('qemu-img', 'check -f qed out.qed', ours);
    }
    await SideBySide.real('qemu-io', "-f qed -c 'write -P 9 3M 1k' -c 'read -P 2 1M 64k' out.qed", ours);
    expect(await both.differences(['convert -O qed -B base.raw -F raw top.qed new.qed'])).toEqual([]);
    await SideBySide.real('qemu-img', 'check -f qed new.qed', ours);
  });
});
