import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

describeWithOracle('resize', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real, directory) => {
      await real('qemu-img', 'create -q -f raw r.raw 1M');
      await real('qemu-img', 'create -q -f qcow2 q.qcow2 1M');
      writeFileSync(join(directory, 'odd'), 'abc');
    });
  });
  afterAll(() => both.end());

  it('answers alike, and leaves raw files of the same size', async () => {
    const lines = [
      '-f raw --shrink r.raw 700',
      '-f raw r.raw 1000',
      '-f raw r.raw +1',
      '-f raw --preallocation=falloc r.raw +100k',
      '-f raw --preallocation=metadata r.raw +100k',
      '-f raw r.raw -17M',
      '-f raw r.raw 0',
      '-f raw r.raw +9E',
      '-f raw r.raw 8E',
      '-f raw r.raw 7E',
      'r.raw 3M',
      '-q r.raw 4M',
      '-f raw odd 3',
      '-f raw odd 600',
      '-f raw odd +0',
      'q.qcow2 1049000',
      'q.qcow2 1E',
      '--shrink q.qcow2 512',
      '--preallocation=metadata q.qcow2 512',
      '--preallocation=full q.qcow2 --shrink 100',
      'q.qcow2 2M',
      '--preallocation=metadata q.qcow2 3M',
      '--image-opts driver=raw,file.filename=r.raw,size=1k 10M',
      '--image-opts driver=raw,file.filename=r.raw,offset=512 10M',
      '--image-opts file.filename=r.raw 11M',
      '-f raw /dev/null 10M',
      'null-co:// 10M',
      'gone 1M',
      '. 1M',
    ];
    const problems: unknown[] = [];
    for (const line of lines) {
      problems.push(...(await both.differences([`resize ${line}`])));
      for (const name of ['r.raw', 'odd']) {
        if (!both.sameLength(name)) problems.push({ line, name });
      }
    }
    expect(problems).toEqual([]);
  });

  /** Options, old size, what is written before, new size. */
  const growths = [
    ['cluster_size=4096', 1049088, 'write 1M 512', '+512'],
    ['cluster_size=4096', 1049088, 'write 1M 512', '+3M'],
    ['cluster_size=4096', 1048576, 'write 1044480 4k', '+4M'],
    ['cluster_size=512', 1048576, 'write 0 4k', '+75k'],
    ['cluster_size=4096,refcount_bits=64', 1048576, 'write 0 1M', '+3M'],
    ['cluster_size=4096,refcount_bits=1', 1049088, 'write 64k 64k', '+1M'],
    ['cluster_size=16384,extended_l2=on', 1049088, 'write 1M 512', '+7680'],
    ['cluster_size=16384,extended_l2=on', 1048576, 'write 0 64k', '+66048'],
    ['cluster_size=65536,extended_l2=on', 1048576, 'write 0 64k', '+512'],
    ['cluster_size=65536,compat=0.10', 1049088, 'write 1M 512', '+512'],
    ['cluster_size=65536', 1049088, 'write -z 0 1M', '+1M'],
    ['cluster_size=65536', 1048576, 'discard 64k 128k', '+64k'],
  ] as const;

  it.each(growths)('by preallocated space: %s %i %s %s', async (options, size, write, more) => {
    await both.prepare(async (real) => {
      await real('qemu-img', `create -q -f qcow2 -o ${options} old ${size}`);
      await real('qemu-io', `-f qcow2 -c '${write}' old`);
    });
    for (const mode of ['metadata', 'falloc', 'full']) {
      both.damage('old', mode, 0, '514649fb');
      const lines = [`resize -q --preallocation=${mode} ${mode} ${more}`, `check --output=json ${mode}`];
      const differing = await both.differences(lines);
      expect({ mode, differing, sameLength: both.sameLength(mode) }).toEqual({ mode, differing: [], sameLength: true });
      await SideBySide.real('qemu-img', `compare -q ${mode} ${both.path('theirs', mode)}`, both.path('ours'));
    }
  });
});
