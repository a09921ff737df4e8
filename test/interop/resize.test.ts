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
});
