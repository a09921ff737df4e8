/**
 * Limits that services set on the process: address space (OpenStack's Nova and Glance give `info` 1 GiB, Ironic gives
 * `convert` 2 GiB), the number of processes, no `/proc`. A limit that is too small ends in one line.
 */
import { randomFillSync } from 'node:crypto';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { must, ourProgram, ours, run, words } from '../support/program.ts';

const MiB = 1048576;
const GiB = 1024 * MiB;
const SIZE = 96 * MiB;
const SECRET = '--object secret,id=k,data=x';
const LUKS = 'driver=luks,key-secret=k,file.filename=disk.luks';

/** Node 24 alone needs more than 1 GiB. */
const HEAVY = Number.parseInt(process.versions.node, 10) >= 24;
const root = process.getuid?.() === 0;

describe('limited to', () => {
  let directory = '';
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'qimg-limits-'));
    const bytes = Buffer.alloc(SIZE);
    for (let at = 0; at < SIZE; at += 8192) randomFillSync(bytes, at, 4096);
    writeFileSync(join(directory, 'disk.raw'), bytes);
    // The unit in which zeroes are looked for is larger: this one is data everywhere.
    writeFileSync(join(directory, 'base.raw'), bytes.subarray(0, 32 * MiB));
    for (const line of [
      'convert -f raw -O qcow2 disk.raw disk.qcow2',
      'convert -c -f raw -O qcow2 disk.raw zlib.qcow2',
      'convert -c -f raw -O qcow2 -o compression_type=zstd,cluster_size=2M disk.raw zstd.qcow2',
      'convert -f raw -O vmdk -o subformat=streamOptimized disk.raw stream.vmdk',
      `convert ${SECRET} -f raw -O luks -o key-secret=k,iter-time=10 disk.raw disk.luks`,
      'create -q -f qcow2 -b base.raw -F raw over.qcow2 96M',
      'convert -n -f qcow2 -O qcow2 disk.qcow2 over.qcow2',
      'create -q -f qcow2 -b over.qcow2 -F qcow2 top.qcow2',
      'create -q -f qcow2 -o preallocation=metadata wide.qcow2 64G',
    ]) {
      await ours(line, directory);
    }
    for (const name of readdirSync(directory)) chmodSync(join(directory, name), 0o666);
    chmodSync(directory, 0o777);
  }, 120_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const limited = (bytes: number, line: string) =>
    run('prlimit', [`--as=${bytes}`, '--', ourProgram(), ...words(line)], { cwd: directory });

  it
    .skipIf(HEAVY)
    .each([
      '--version',
      'info zlib.qcow2',
      'info --backing-chain --output=json top.qcow2',
      `info ${SECRET} --image-opts ${LUKS}`,
      'check zlib.qcow2',
      'check wide.qcow2',
      'check stream.vmdk',
      'map top.qcow2',
      'map --output=json wide.qcow2',
      'measure -O qcow2 top.qcow2',
      'snapshot -c one disk.qcow2',
      'snapshot -l disk.qcow2',
      'snapshot -d one disk.qcow2',
      'create -f qcow2 new 10G',
      'create -f qcow2 -o preallocation=falloc new 64M',
      'create -f raw -o preallocation=full new 64M',
      `create ${SECRET} -f luks -o key-secret=k,iter-time=10 new 64M`,
      'resize wide.qcow2 +64M',
      'bitmap --add disk.qcow2 b0',
      'bitmap --remove disk.qcow2 b0',
      'amend -f qcow2 -o lazy_refcounts=on disk.qcow2',
      'bench -c 100 disk.qcow2',
    ])('1 GiB of address space: %s', { timeout: 120_000 }, async (line) => {
    const { code, stderr } = await limited(GiB, line);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it.each([
    'convert -f raw -O raw disk.raw out',
    'convert -f raw -O qcow2 disk.raw out',
    'convert -t none -T none -f raw -O qcow2 disk.raw out',
    'convert -W -m 16 -f raw -O raw -S 0 disk.raw out',
    'convert -c -m 16 -f raw -O qcow2 disk.raw out',
    'convert -c -m 16 -f raw -O qcow2 -o compression_type=zstd,cluster_size=2M disk.raw out',
    'convert -f raw -O vmdk -o subformat=streamOptimized disk.raw out',
    'convert -f raw -O vhdx disk.raw out',
    `convert ${SECRET} -f raw -O luks -o key-secret=k,iter-time=10 disk.raw out`,
    `convert ${SECRET} -O qcow2 --image-opts ${LUKS} out`,
    'convert -m 16 -f qcow2 -O raw zlib.qcow2 out',
    'convert -m 16 -f qcow2 -O raw zstd.qcow2 out',
    'convert -f vmdk -O raw stream.vmdk out',
    'compare -f raw -F qcow2 disk.raw zlib.qcow2',
    `compare ${SECRET} --image-opts driver=raw,file.filename=disk.raw ${LUKS}`,
    'dd if=zlib.qcow2 of=out bs=1M',
    'rebase -b base.raw -F raw top.qcow2',
    'commit -d over.qcow2',
    'check -r all over.qcow2',
  ])('2 GiB of address space: %s', { timeout: 120_000 }, async (line) => {
    const { code, stderr } = await limited(2 * GiB, line);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    rmSync(join(directory, 'out'), { force: true });
  });

  it.skipIf(HEAVY)('less than a command needs says so in one line', { timeout: 120_000 }, async () => {
    const { code, stderr } = await limited(800 * MiB, 'convert -m 16 -f qcow2 -O raw zstd.qcow2 out');
    if (code !== 0) expect({ code, stderr }).toEqual({ code: 1, stderr: 'qemu-img: Cannot allocate memory\n' });
    expect(readdirSync(directory)).not.toContain(code === 0 ? '' : 'out');
    rmSync(join(directory, 'out'), { force: true });
  });

  it.runIf(root).each([8, 12, 24])('%s processes of a user', { timeout: 120_000 }, async (count) => {
    // A build that this user may read, wherever the checkout is.
    const program = join(directory, `program-${count}`);
    const checkout = dirname(ourProgram());
    mkdirSync(join(program, 'node_modules'), { recursive: true });
    cpSync(join(checkout, 'dist/bin'), join(program, 'dist/bin'), { recursive: true });
    cpSync(join(checkout, 'node_modules/@koromix'), join(program, 'node_modules/@koromix'), { recursive: true });
    const user = 54321 + count;
    const limits = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups', 'prlimit', `--nproc=${count}`, '--'];
    const entry = join(program, 'dist/bin/qimg.cjs');
    for (const line of [
      'info zlib.qcow2',
      `convert -c -m 16 -f raw -O qcow2 disk.raw few-${count}`,
      `compare -f raw -F qcow2 disk.raw few-${count}`,
      `convert ${SECRET} -f raw -O luks -o key-secret=k,iter-time=10 disk.raw luks-${count}`,
      `check few-${count}`,
    ]) {
      const { code, stderr } = await run('setpriv', [...limits, process.execPath, entry, ...words(line)], {
        cwd: directory,
      });
      expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
    }
  });

  it.runIf(root)('no /proc, also with direct I/O', { timeout: 120_000 }, async () => {
    writeFileSync(join(directory, 'odd.raw'), Buffer.alloc(100_001, 'odd'));
    const script = 'mount -t tmpfs none /proc && exec "$@"';
    for (const line of [
      'convert -t none -T none -f raw -O qcow2 odd.raw odd.qcow2',
      'compare -T none -f raw -F qcow2 odd.raw odd.qcow2',
      'convert -t directsync -f qcow2 -O vdi odd.qcow2 odd.vdi',
      'convert -c -f qcow2 -O qcow2 odd.qcow2 small.qcow2',
    ]) {
      await must('unshare', ['-m', 'sh', '-c', script, 'sh', ourProgram(), ...words(line)], { cwd: directory });
    }
    expect(readdirSync(directory).filter((name) => name.endsWith('.part'))).toEqual([]);
  });
});
