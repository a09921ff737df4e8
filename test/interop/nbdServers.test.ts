/** The NBD client against servers with several clients, and servers that lack something: what is really asked of them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openImage } from '../../src/node.ts';
import { lackOf } from '../support/needs.ts';
import { describeWithOracle, oracleProgram, oracleStorageDaemon } from '../support/oracle.ts';
import { must, ours, ourProgram, real, run, saidByBoth, words } from '../support/program.ts';
import { serve, stopServers } from '../support/servers.ts';
import { because } from '../support/skip.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-nbds-'));
  writeFileSync(
    join(directory, 'from.raw'),
    new Uint8Array(300 * KiB).map((_, index) => (index * 7) & 0xff),
  );
  truncateSync(join(directory, 'from.raw'), 2 * MiB);
});
afterAll(async () => {
  await stopServers();
  rmSync(directory, { recursive: true, force: true });
});

const sameOf = (line: string): Promise<string> => saidByBoth(line, directory);

describeWithOracle('qemu-storage-daemon', () => {
  it('serves an image with bitmaps to several clients that write', async () => {
    await real('create -q -f qcow2 q.qcow2 16M', directory);
    await real('bitmap --add -g 64k q.qcow2 b0', directory);
    await must(oracleProgram('qemu-io'), ['-c', 'write -P 5 1M 128k', 'q.qcow2'], { cwd: directory });
    await serve(
      oracleStorageDaemon(directory),
      [
        ...words('--blockdev driver=file,filename=q.qcow2,node-name=f --blockdev driver=qcow2,file=f,node-name=q'),
        ...words('--nbd-server addr.type=unix,addr.path=q.sock'),
        ...words('--export type=nbd,id=e,node-name=q,name=disk,writable=on,bitmaps.0=b0,allocation-depth=on'),
      ],
      'q.sock',
      directory,
    );
    const disk = 'nbd+unix:///disk?socket=q.sock';
    for (const context of ['qemu:dirty-bitmap:b0', 'qemu:allocation-depth']) {
      const opened = `driver=nbd,path=q.sock,export=disk,x-dirty-bitmap=${context}`;
      await sameOf(`map --output=json --image-opts ${opened}`);
      await sameOf(`compare --image-opts ${opened} driver=nbd,path=q.sock,export=disk`);
    }
    await sameOf(`info --limits ${disk}`);
    await sameOf('info nbd:unix:q.sock');
    await Promise.all([
      ours(`bench -q -w -f raw -c 64 -s 64k -S 128k --pattern 1 ${disk}`, directory),
      ours(`bench -q -w -f raw -c 64 -s 64k -S 128k -o 64k --pattern 2 ${disk}`, directory),
      ours(`convert -f raw -O qcow2 ${disk} meanwhile.qcow2`, directory),
    ]);
    await ours(`convert -f raw -O raw ${disk} after.raw`, directory);
    const bytes = readFileSync(join(directory, 'after.raw'));
    const fills = Array.from({ length: 127 }, (_, index) => (index % 2) + 1);
    expect(fills.map((_, index) => bytes[index * 64 * KiB])).toEqual(fills);
    await real('check -q meanwhile.qcow2', directory);
  });

  it('is asked over several connections if that is allowed', async () => {
    truncateSync(join(directory, 'from.raw'), 2 * MiB);
    await serve(
      oracleStorageDaemon(directory),
      [
        ...words('--blockdev driver=file,filename=from.raw,node-name=r,read-only=on'),
        ...words('--nbd-server addr.type=unix,addr.path=m.sock --export type=nbd,id=e,node-name=r,name=disk'),
      ],
      'm.sock',
      directory,
    );
    const node = await openImage({ options: { driver: 'nbd', path: join(directory, 'm.sock'), export: 'disk' } });
    const expected = readFileSync(join(directory, 'from.raw'));
    try {
      for (let turn = 0; turn < 40; turn++) {
        const parts = Array.from({ length: 4 }, () => new Uint8Array(MiB / 2));
        await Promise.all(parts.map(async (part, index) => node.read((index * MiB) / 2, part)));
        expect(Buffer.compare(Buffer.concat(parts), expected)).toBe(0);
      }
    } finally {
      await node.close();
    }
  });
});

const noNbdkit = lackOf(['nbdkit'], 'nbdkit');
describe.skipIf(noNbdkit !== undefined)(`nbdkit${because(noNbdkit)}`, () => {
  /** Starts it with a log of what it is asked. */
  const kit = (socket: string, ...args: readonly string[]): Promise<void> =>
    serve('nbdkit', ['-f', '-U', `${directory}/${socket}`, ...args], socket, directory);
  /** What a log says of requests, without times, numbers and answers. */
  const asked = (log: string): string[] =>
    readFileSync(join(directory, log), 'utf8')
      .split('\n')
      .flatMap((line) => / connection=\d+ ((?:Write|Zero|Trim|Flush) .*?) \.\.\.$/.exec(line)?.[1] ?? [])
      .map((line) => line.replace(/ id=\d+/, ''));

  it('is sent writes, zeroes and flushes, at once safe with writethrough', async () => {
    await kit('l.sock', '--filter=log', 'memory', '2M', `logfile=${directory}/through.log`);
    await ours('convert -n -t writethrough -f raw -O raw from.raw nbd:unix:l.sock', directory);
    expect(asked('through.log')).toEqual([
      'Write offset=0x0 count=0x4b000 fua=1',
      'Zero offset=0x4b000 count=0x1b5000 trim=1 fua=1 fast=0',
      'Flush',
    ]);
    expect(await ours('compare -f raw -F raw from.raw nbd:unix:l.sock', directory)).toBe('Images are identical.\n');
  });

  it('is sent writes that a flush makes safe where it cannot do so by itself', async () => {
    const log = `logfile=${directory}/flush.log`;
    await kit('f.sock', '--filter=log', '--filter=fua', 'memory', '2M', log, 'fuamode=discard');
    await ours('convert -n -f raw -O raw from.raw nbd:unix:f.sock', directory);
    expect(asked('flush.log')).toEqual([
      'Write offset=0x0 count=0x4b000 fua=0',
      'Zero offset=0x4b000 count=0x1b5000 trim=1 fua=0 fast=0',
      'Flush',
    ]);
  });

  it('is sent zeroes as data where it cannot write such', async () => {
    const log = `logfile=${directory}/plain.log`;
    await kit('z.sock', '--filter=log', '--filter=nozero', '--filter=noextents', 'memory', '2M', log);
    await ours('convert -n -f raw -O raw from.raw nbd:unix:z.sock', directory);
    expect(asked('plain.log').filter((line) => /^(Zero|Trim)/.test(line))).toEqual([]);
    expect(await ours('compare -f raw -F raw from.raw nbd:unix:z.sock', directory)).toBe('Images are identical.\n');
    expect(JSON.parse(await ours('map --output=json nbd:unix:z.sock', directory))).toMatchObject([
      { start: 0, length: 2 * MiB, data: true, zero: false },
    ]);
  });

  it('is asked to discard', async () => {
    await kit('t.sock', '--filter=log', 'memory', '2M', `logfile=${directory}/trim.log`);
    const options = { driver: 'nbd', path: join(directory, 't.sock'), discard: 'unmap' };
    const node = await openImage({ options }, { writable: true });
    await node.discard(0, 64 * KiB);
    await node.close();
    expect(asked('trim.log')).toContain('Trim offset=0x0 count=0x10000 fua=0');
  });

  it('that protects a part refuses to write there', async () => {
    await kit('p.sock', '--filter=protect', 'memory', '2M', 'protect=0-65535');
    const { code, stderr } = await run(ourProgram(), words('convert -n -f raw -O raw from.raw nbd:unix:p.sock'), {
      cwd: directory,
    });
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^qemu-img: error while writing at byte 0: Operation not permitted\n/),
    ]);
  });

  it('has exports by name, old ways to greet, and extents that are kept', async () => {
    const names = ['exportname-list=explicit', 'exportname=one', 'exportname=two', 'exportname-strict=true'];
    await kit('x.sock', '--filter=exportname', 'memory', '2M', ...names);
    expect(await ours('info nbd:unix:x.sock:exportname=two', directory)).toContain('nbd+unix:///two?socket=x.sock');
    const missing = await run(ourProgram(), words('info nbd:unix:x.sock:exportname=three'), { cwd: directory });
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('Requested export not available')]);
    await kit('o.sock', '-o', 'pattern', '1M');
    expect(await ours('convert -f raw -O raw nbd:unix:o.sock old.raw', directory)).toBe('');
    expect(readFileSync(join(directory, 'old.raw')).readBigUInt64BE(4096)).toBe(4096n);
    const named = await run(ourProgram(), words('info nbd:unix:o.sock:exportname=x'), { cwd: directory });
    expect([named.code, named.stderr]).toEqual([
      1,
      expect.stringContaining('Server does not support non-empty export names'),
    ]);
    await kit('c.sock', '--filter=cacheextents', '--filter=multi-conn', 'file', 'from.raw', 'multi-conn-mode=disable');
    await ours('convert -f raw -O qcow2 nbd:unix:c.sock c.qcow2', directory);
    expect(await ours('compare from.raw c.qcow2', directory)).toBe('Images are identical.\n');
  });

  const noExt = lackOf(['mke2fs'], 'e2fsprogs');
  it.skipIf(noExt !== undefined)(`serves a file inside a file system${because(noExt)}`, async () => {
    mkdirSync(join(directory, 'tree'));
    writeFileSync(join(directory, 'tree/disk.raw'), readFileSync(join(directory, 'from.raw')));
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', 'tree', 'tree.img', '16M'], { cwd: directory, stdio: 'ignore' });
    // Its extents are those of the file system.
    await kit('e.sock', '--filter=noextents', '--filter=ext2', 'file', 'tree.img', 'ext2file=/disk.raw');
    expect(await ours('compare -f raw -F raw from.raw nbd:unix:e.sock', directory)).toBe('Images are identical.\n');
  });
});
