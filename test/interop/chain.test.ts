import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

/** Commands that prepare a chain with small and large clusters, zeroes and layers of different sizes. */
const PREPARED: readonly (readonly ['qemu-img' | 'qemu-io', string])[] = [
  ['qemu-img', 'create -q -f raw r.raw 1M'],
  ['qemu-io', "-f raw -c 'write -P 1 0 700k' r.raw"],
  ['qemu-img', 'create -q -f qcow2 a.qcow2 2M'],
  ['qemu-io', "-c 'write -P 1 0 1M' -c 'write -P 2 1500k 100k' a.qcow2"],
  ['qemu-img', 'create -q -f qcow2 -o cluster_size=4k -b a.qcow2 -F qcow2 b.qcow2 3M'],
  ['qemu-io', "-c 'write -P 3 100k 4k' -c 'write -z 512k 128k' -c 'write -P 4 2500k 64k' b.qcow2"],
  ['qemu-img', 'create -q -f qcow2 -b b.qcow2 -F qcow2 c.qcow2'],
  ['qemu-io', "-c 'write -P 5 1M 128k' -c 'write -P 0 0 64k' c.qcow2"],
  ['qemu-img', 'create -q -f qed -b a.qcow2 -F qcow2 e.qed'],
  ['qemu-img', 'create -q -f vdi v.vdi 1M'],
  ['qemu-img', 'create -q -f qcow2 -b v.vdi -F vdi w.qcow2 2M'],
];

describeWithOracle('commit and rebase', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real) => {
      for (const [program, line] of PREPARED) await real(program, line);
    });
  });
  afterAll(() => both.end());

  /** Where each layer of an image has what, for both sides. */
  function layers(name: string): string[] {
    return (['theirs', 'ours'] as const).map((side) => {
      const args = ['map', '--output=json', both.path(side, name)];
      const runs = JSON.parse(execFileSync(oracleProgram('qemu-img'), args, { encoding: 'utf8' })) as {
        start: number;
        depth: number;
        present: boolean;
        zero: boolean;
        compressed: boolean;
      }[];
      let last = '';
      const changes = runs.flatMap(({ start, depth, present, zero, compressed }) => {
        const nature = [depth, present, zero, compressed].join();
        if (nature === last) return [];
        last = nature;
        return [`${start}: ${nature}`];
      });
      return changes.join('; ');
    });
  }

  it('answer alike, and leave the same in every layer', async () => {
    const lines = [
      'rebase -b r.raw w.qcow2',
      'rebase -b r.raw -F nonsense c.qcow2',
      'rebase -b gone -F raw c.qcow2',
      'rebase -b c.qcow2 -F qcow2 c.qcow2',
      'rebase -c -b a.qcow2 -F qcow2 e.qed',
      'rebase -f vdi -b r.raw -F raw v.vdi',
      'rebase -b a.qcow2 -F qcow2 c.qcow2',
      'rebase -b b.qcow2 -F qcow2 c.qcow2',
      'rebase -c -b r.raw -F raw c.qcow2',
      'rebase -u -b b.qcow2 -F qcow2 c.qcow2',
      'rebase -f qed -b r.raw -F raw e.qed',
      'commit -b gone c.qcow2',
      'commit -b c.qcow2 c.qcow2',
      'commit w.qcow2',
      'commit a.qcow2',
      'commit -q -b ./a.qcow2 c.qcow2',
      'commit -d b.qcow2',
      'commit b.qcow2',
      'commit -f qed e.qed',
      'bench -c 3 -o 3M c.qcow2',
      'bench -f raw -U -w r.raw',
      'bench -f raw -i native r.raw',
      'compare c.qcow2 a.qcow2',
      'compare b.qcow2 a.qcow2',
    ];
    expect(await both.differences(lines)).toEqual([]);
    for (const name of ['a.qcow2', 'b.qcow2', 'c.qcow2', 'e.qed']) {
      const [theirs, ours] = layers(name);
      expect({ name, found: ours }).toEqual({ name, found: theirs });
    }
  });

  it('bench writes to the same places', async () => {
    for (const more of ['', '-S 4097', '-o 1040000 -d 1', '-S 600k', '--flush-interval 64 --no-drain']) {
      const line = `bench -f raw -w --pattern 7 -c 70 ${more} r.raw`;
      const { theirs, ours } = await both.ask(line);
      expect({ code: ours.code, first: ours.stdout.split('\n')[0] }).toEqual({
        code: theirs.code,
        first: theirs.stdout.split('\n')[0],
      });
      const [one, other] = (['theirs', 'ours'] as const).map((side) => readFileSync(both.path(side, 'r.raw')));
      expect({ line, same: one && other?.equals(one) }).toEqual({ line, same: true });
    }
  });
});
