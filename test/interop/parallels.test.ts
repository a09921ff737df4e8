import { truncateSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

async function poke(path: string, changes: readonly (readonly [at: number, value: number])[]): Promise<void> {
  const file = await open(path, 'r+');
  const word = new Uint8Array(4);
  for (const [at, value] of changes) {
    new DataView(word.buffer).setUint32(0, value, true);
    await file.write(word, 0, 4, at);
  }
  await file.close();
}

describeWithOracle('Parallels images', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real, directory) => {
      await real('qemu-img', 'create -q -f raw r.raw 9M');
      await real('qemu-io', "-f raw -c 'write -P 1 1M 100k' -c 'write -P 2 8700k 64k' r.raw");
      const damages: readonly (readonly [string, readonly (readonly [number, number])[]])[] = [
        ['good', []],
        ['leak', []],
        ['used', [[44, 0x746f6e59]]],
        ['place', [[48, 9999]]],
        ['small', [[32, 3]]],
        ['same', [[64, 1]]],
      ];
      for (const [name, changes] of damages) {
        await real('qemu-img', `create -q -f parallels ${name}.hdd 9M`);
        await real('qemu-io', `-f parallels -c 'write -P 1 1M 100k' -c 'write -P 2 8700k 64k' ${name}.hdd`);
        await poke(`${directory}/${name}.hdd`, changes);
      }
      truncateSync(`${directory}/leak.hdd`, 5000000);
    });
  });
  afterAll(() => both.end());

  it('are created alike', async () => {
    const problems: unknown[] = [];
    for (const size of ['0', '1', '10485761', '1T', '8P']) {
      for (const options of ['', '-o cluster_size=64k', '-o cluster_size=1000', '-o cluster_size=2G']) {
        problems.push(...(await both.differences([`create -f parallels ${options} new.hdd ${size}`])));
      }
    }
    expect(problems).toEqual([]);
  });

  it('are described, checked and repaired alike', async () => {
    const lines = ['good', 'leak', 'used', 'place', 'small', 'same'].flatMap((name) => [
      `info -f parallels ${name}.hdd`,
      `map --output=json ${name}.hdd`,
      `check ${name}.hdd`,
      `compare -f parallels -F raw ${name}.hdd r.raw`,
      `check -r all ${name}.hdd`,
      `check --output=json ${name}.hdd`,
      `resize ${name}.hdd 20M`,
    ]);
    const more = ['measure --size 1M -O parallels', 'convert -c -O parallels r.raw x.hdd', 'amend -o size=1M good.hdd'];
    expect(await both.differences([...lines, ...more])).toEqual([]);
  });

  it('are read by the real tool when this one wrote them', async () => {
    const problems: unknown[] = [];
    for (const options of ['', '-o cluster_size=64k', '-S 0']) {
      problems.push(...(await both.differences([`convert -f raw -O parallels ${options} r.raw out.hdd`])));
      await SideBySide.real('qemu-img', 'compare -f parallels -F raw out.hdd r.raw', both.path('ours'));
      await SideBySide.real('qemu-img', 'check -f parallels out.hdd', both.path('ours'));
      if (!both.sameLength('out.hdd')) problems.push({ options });
    }
    expect(problems).toEqual([]);
  });
});
