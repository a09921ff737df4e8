/** Images that share their blocks with what they were made of, on file systems that can do that. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lackOf, lackOfMounts } from '../support/needs.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { systemPath } from '../support/otherPrograms.ts';
import { must, ourProgram, ours, real, run } from '../support/program.ts';
import { because } from '../support/skip.ts';

const MiB = 1048576;
/** Data in the source. */
const DATA = 24 * MiB;
/** What the metadata of images and of file systems may take. */
const LITTLE = 8 * MiB;

const FILE_SYSTEMS = [
  { name: 'xfs', debian: 'xfsprogs' },
  { name: 'btrfs', debian: 'btrfs-progs' },
];

/** Bytes that are the same in every run, and nowhere zero. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0, state = 1; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = (state >>> 24) | 1;
  }
  return bytes;
}

describeWithOracle('images on file systems that share blocks', () => {
  describe.each(FILE_SYSTEMS)('$name', ({ name, debian }) => {
    const lack = lackOf([`mkfs.${name}`], debian) ?? lackOfMounts();
    describe.skipIf(lack !== undefined)(`mounted for this test${because(lack)}`, () => {
      const outside = mkdtempSync(join(tmpdir(), `qimg-reflink-${name}-`));
      const cwd = join(outside, 'mounted');
      const device = join(outside, 'device');
      const env = { ...process.env, ...systemPath };

      beforeAll(async () => {
        mkdirSync(cwd);
        writeFileSync(device, '');
        truncateSync(device, 1024 * MiB);
        execFileSync(`mkfs.${name}`, ['-q', device], { env, stdio: 'pipe' });
        execFileSync('mount', ['-o', 'loop', device, cwd], { env, stdio: 'pipe' });
        const disk = Buffer.alloc(DATA + 8 * MiB + 3 * 512);
        const data = noise(DATA);
        data.copy(disk, 0, 0, DATA / 2);
        data.copy(disk, DATA / 2 + 8 * MiB, DATA / 2);
        disk.fill(7, disk.length - 700);
        writeFileSync(join(outside, 'disk.raw'), disk);
        await real(`convert -f raw -O raw ${join(outside, 'disk.raw')} disk.raw`, cwd);
        await real('convert -f raw -O qcow2 disk.raw disk.qcow2', cwd);
        await real('convert -f raw -O qcow2 -c disk.raw coded.qcow2', cwd);
        await real('create -q -f qcow2 -b disk.qcow2 -F qcow2 top.qcow2', cwd);
        await run(oracleProgram('qemu-io'), ['-c', 'write -P 9 1M 1M', '-c', 'write -P 8 20M 5k', 'top.qcow2'], {
          cwd,
        });
      }, 60_000);
      afterAll(() => {
        execFileSync('umount', [cwd], { stdio: 'pipe' });
        rmSync(outside, { recursive: true, force: true });
      });

      /** Bytes in use of the file system. */
      function used(): number {
        execFileSync('sync', ['-f', cwd], { stdio: 'pipe' });
        const { blocks, bfree, bsize } = statfsSync(cwd);
        return (blocks - bfree) * bsize;
      }

      /** The last new image. Names are not used twice: space of removed files is free only after a while. */
      let out = '';
      let made = 0;

      /** Converts to `out`; gives the bytes that this took. */
      async function spent(line: string, program = ourProgram()): Promise<number> {
        out = `out${made++}`;
        const before = used();
        await must(program, ['convert', ...line.split(' '), out], { cwd });
        return used() - before;
      }

      it.each([
        { from: 'raw disk.raw', to: 'raw' },
        { from: 'raw disk.raw', to: 'qcow2' },
        { from: 'qcow2 disk.qcow2', to: 'raw' },
        { from: 'qcow2 disk.qcow2', to: 'qcow2' },
        { from: 'qcow2 disk.qcow2', to: 'qcow2 -o cluster_size=256k' },
        { from: 'qcow2 disk.qcow2', to: 'qcow2 -o extended_l2=on' },
        { from: 'qcow2 top.qcow2', to: 'qcow2' },
        { from: 'raw disk.raw', to: 'vhdx' },
        { from: 'raw disk.raw', to: 'vmdk' },
      ])('$from to $to takes no space for data', async ({ from, to }) => {
        expect(await spent(`-f ${from.split(' ')[0]} -O ${to} ${from.split(' ')[1]}`)).toBeLessThan(LITTLE);
        const [format = ''] = to.split(' ');
        await real(`compare -f ${from.split(' ')[0]} -F ${format} ${from.split(' ')[1]} ${out}`, cwd);
        if (format !== 'raw') await real(`check -f ${format} ${out}`, cwd);
      });

      it.each([
        // Blocks of the file system are not in one piece there.
        { line: '-f raw -O qcow2 -o cluster_size=512 disk.raw', format: 'qcow2' },
        { line: '-f raw -O vdi disk.raw', format: 'vdi' },
        { line: '-f raw -O vpc -o force_size=on disk.raw', format: 'vpc' },
        { line: '-f qcow2 -O raw coded.qcow2', format: 'raw' },
        { line: '-f raw -O raw -S 4k disk.raw', format: 'raw' },
        { line: '-f raw -O qcow2 -o preallocation=full disk.raw', format: 'qcow2' },
        { line: '-f raw -O raw --reflink=never disk.raw', format: 'raw' },
        { line: '-f raw -O raw --reflink=auto ../disk.raw', format: 'raw' },
      ])('$line is copied', async ({ line, format }) => {
        expect(await spent(line)).toBeGreaterThan(DATA - LITTLE);
        if (format === 'vdi') await real(`check -f vdi ${out}`, cwd);
        await real(`compare -f raw -F ${format} disk.raw ${out}`, cwd);
      });

      it('what is written later belongs to one image only', async () => {
        await spent('-f raw -O qcow2 disk.raw');
        await ours('convert -f raw -O raw disk.raw changed.raw', cwd);
        await run(oracleProgram('qemu-io'), ['-f', 'raw', '-c', 'write -P 1 0 10M', 'changed.raw'], { cwd });
        await real(`compare -f raw -F qcow2 disk.raw ${out}`, cwd);
        await real(`compare -f raw -F raw disk.raw ${join(outside, 'disk.raw')}`, cwd);
      });

      it('shares into an image that is there', async () => {
        await ours('create -q -f qcow2 there.qcow2 40M', cwd);
        const before = used();
        await ours('convert -n -f raw -O qcow2 disk.raw there.qcow2', cwd);
        expect(used() - before).toBeLessThan(LITTLE);
        await real('check -f qcow2 there.qcow2', cwd);
        await real('compare -f raw -F qcow2 disk.raw there.qcow2', cwd);
      });

      it('says so when all has to be shared and cannot be', async () => {
        const source = join(outside, 'disk.raw');
        const answer = await run(ourProgram(), ['convert', '--reflink=always', '-f', 'raw', source, 'never.raw'], {
          cwd,
        });
        expect(answer).toEqual({
          code: 1,
          stdout: '',
          stderr: `qemu-img: Blocks of '${source}' cannot be shared with 'never.raw'\n`,
        });
        expect(existsSync(join(cwd, 'never.raw'))).toBe(false);
        expect(await spent('--reflink=always -f raw -O raw disk.raw')).toBeLessThan(LITTLE);
      });

      it('does under the name of the real program what that does', async () => {
        const renamed = join(outside, 'qemu-img');
        if (!existsSync(renamed)) symlinkSync(ourProgram(), renamed);
        expect(await spent('-f raw -O raw disk.raw', renamed)).toBeGreaterThan(DATA - LITTLE);
        expect(await spent('--reflink=auto -f raw -O raw disk.raw', renamed)).toBeLessThan(LITTLE);
        expect(await spent('-C -f raw -O raw disk.raw', renamed)).toBeLessThan(LITTLE);
      });
    });
  });
});
