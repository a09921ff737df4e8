import { closeSync, openSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodeEntry } from '../../src/formats/vhdx/logEntry.ts';
import { encodeHeader } from '../../src/formats/vhdx/header.ts';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

const MiB = 1048576;

/** Overwrites bytes of a file. */
function poke(path: string, offset: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

/** Leaves a log that moves block 0 to 8 MiB. */
function leaveLog(path: string): void {
  const logGuid = new Uint8Array(16).fill(7);
  const sector = new Uint8Array(4096);
  new DataView(sector.buffer).setUint32(0, 8 * MiB + 6, true);
  const changes = [{ offset: 2 * MiB, bytes: sector }];
  truncateSync(path, 16 * MiB);
  poke(path, 8 * MiB, new Uint8Array(4096).fill(5));
  poke(path, MiB, encodeEntry({ logGuid, sequence: 3n, fileSize: 16 * MiB }, changes));
  const parts = { fileWriteGuid: logGuid, dataWriteGuid: logGuid, logVersion: 0, logLength: MiB, logOffset: MiB };
  poke(path, 65536, encodeHeader({ ...parts, sequence: 2n ** 62n, logGuid }));
}

describeWithOracle('VHDX images', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real, directory) => {
      await real('qemu-img', 'create -q -f raw r.raw 20M');
      await real('qemu-io', "-f raw -c 'write -P 1 1M 100k' -c 'write -P 2 18000k 64k' r.raw");
      for (const [name, options] of [
        ['d.vhdx', 'block_size=1M'],
        ['f.vhdx', 'subformat=fixed'],
      ] as const) {
        await real('qemu-img', `create -q -f vhdx -o ${options} ${name} 20M`);
        await real('qemu-io', `-f vhdx -c 'write -P 1 1M 100k' -c 'write -P 2 18000k 64k' ${name}`);
      }
      await real('qemu-img', 'create -q -f vhdx log.vhdx 20M');
      leaveLog(join(directory, 'log.vhdx'));
      await real('qemu-img', 'create -q -f vhdx bad.vhdx 20M');
      poke(join(directory, 'bad.vhdx'), 2 * MiB, new Uint8Array([6, 0, 0x20, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0]));
    });
  });
  afterAll(() => both.end());

  it('are created alike', async () => {
    const problems: unknown[] = [];
    const sizes = ['0', '1', '5M', '1025M', '33T', '65T'].map((size) => ['', size] as const);
    const options = ['fixed', 'x'].map((kind) => `subformat=${kind}`);
    options.push('block_size=3M', 'block_size=257M', 'log_size=0', 'log_size=1500k,block_size=1', 'log_size=4G');
    options.push('block_state_zero=off', 'subformat=fixed,block_state_zero=off', 'block_state_zero=2');
    for (const [option, size] of [...sizes, ...options.map((text) => [`-o ${text}`, '5M'] as const)]) {
      const [failed] = await both.differences([`create -f vhdx ${option} new.vhdx ${size}`]);
      if (failed) problems.push(failed);
      problems.push(...(await both.differences(['info -f vhdx new.vhdx', 'check -f vhdx new.vhdx'])));
    }
    expect(problems.filter((problem) => !isMissingFile(problem))).toEqual([]);
  });

  it('are read alike, and refuse the same', async () => {
    const lines = ['d.vhdx', 'f.vhdx'].flatMap((name) => [
      `info ${name}`,
      `info --output=json ${name}`,
      `map ${name}`,
      `map --output=json ${name}`,
      `compare -F raw ${name} r.raw`,
      `check ${name}`,
      `check --output=json ${name}`,
      `resize ${name} 30M`,
      `measure -O qcow2 ${name}`,
      `info --image-opts driver=vhdx,file.filename=${name},block_size=1M`,
    ]);
    const more = ['measure --size 1M -O vhdx', 'create -f vhdx -b r.raw -F raw x', 'convert -c -O vhdx r.raw x'];
    const damaged = ['info bad.vhdx', 'check bad.vhdx', 'check --output=json bad.vhdx', 'check -r all bad.vhdx'];
    expect(await both.differences([...lines, ...more, ...damaged])).toEqual([]);
  });

  it('have their log replayed alike', async () => {
    const lines = ['info log.vhdx', 'check log.vhdx', 'convert -O raw log.vhdx x.raw', 'check -r all log.vhdx'];
    expect(await both.differences([...lines, 'check log.vhdx', 'info log.vhdx'])).toEqual([]);
    await SideBySide.real('qemu-io', "-f vhdx -c 'read -P 5 0 4k' log.vhdx", both.path('ours'));
  });

  it('are read by the real tool when this one wrote them', async () => {
    const problems: unknown[] = [];
    for (const options of ['', '-o block_size=1M', '-o subformat=fixed', '-S 0', '-o block_state_zero=off']) {
      problems.push(...(await both.differences([`convert -f raw -O vhdx ${options} r.raw out.vhdx`])));
      const directory = both.path('ours');
      await SideBySide.real('qemu-img', 'compare -f vhdx -F raw out.vhdx r.raw', directory);
      await SideBySide.real('qemu-img', 'check out.vhdx', directory);
      await SideBySide.real('qemu-io', "-f vhdx -c 'write -P 9 12M 1k' -c 'read -P 1 1M 100k' out.vhdx", directory);
      await SideBySide.real('qemu-io', "-f vhdx -c 'write -P 9 12M 1k' out.vhdx", both.path('theirs'));
      if (!both.sameLength('out.vhdx')) problems.push({ options });
    }
    expect(problems).toEqual([]);
  });
});

/** After a refused creation the real tool leaves an empty file, this one none. */
function isMissingFile(problem: unknown): boolean {
  return JSON.stringify(problem).includes("new.vhdx': No such file or directory");
}
