/** Compressed files and archives as the programs make them, read by the program; judged by the real one. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lackOf } from '../support/needs.ts';
import { describeWithOracle } from '../support/oracle.ts';
import { packedBy } from '../support/packed.ts';
import { ours, ourProgram, peakMemory, real, run, words } from '../support/program.ts';
import { because } from '../support/skip.ts';

const MiB = 1048576;
/** The full matrix has all formats, and an image of 256 MiB. */
const IS_FULL = process.env['QIMG_FULL_MATRIX'] !== undefined;
const SIZE = (IS_FULL ? 256 : 4) * MiB;
const ALL = ['raw', 'qcow2', 'vmdk', 'vdi', 'vpc', 'vhdx', 'parallels', 'qed', 'qcow'];
const FORMATS = IS_FULL ? ALL : ['raw', 'qcow2', 'vhdx'];
const PROGRAMS = ['gzip', 'xz', 'zstd', 'bzip2'] as const;
const LACK = lackOf(['xz', 'zstd', 'bzip2', 'gzip', 'tar', 'zip'], 'xz-utils zstd bzip2 gzip tar zip');

describeWithOracle('what is in other files', () => {
  describe.skipIf(LACK !== undefined)(`made by the programs${because(LACK)}`, () => {
    const cwd = mkdtempSync(join(tmpdir(), 'qimg-packed-'));
    const into = (name: string, bytes: Uint8Array): void => writeFileSync(join(cwd, name), bytes);
    const from = (name: string): Buffer => readFileSync(join(cwd, name));
    const tar = (...args: readonly string[]): unknown => execFileSync('tar', args, { cwd });

    beforeAll(async () => {
      // Programs have all that real disks have: code, text, and zeroes between.
      const content = Buffer.alloc(SIZE);
      const program = readFileSync(process.execPath);
      for (let at = 0; at < SIZE; at += 2 * MiB)
        program.copy(content, at, (at * 3) % (program.length - MiB), ((at * 3) % (program.length - MiB)) + MiB);
      into('disk.raw', content);
      for (const format of new Set([...FORMATS.slice(1), 'vdi']))
        await real(`convert -O ${format} disk.raw disk.${format}`, cwd);
      await real('convert -O vmdk -o subformat=streamOptimized disk.raw stream.vmdk', cwd);
    });

    afterAll(() => rmSync(cwd, { recursive: true, force: true }));

    /** The content of a file of that name is the disk. */
    async function same(name: string, options = ''): Promise<void> {
      await ours(`convert ${options} ${name} out.raw`, cwd);
      expect(await real('compare -f raw -F raw disk.raw out.raw', cwd)).toContain('identical');
      rmSync(join(cwd, 'out.raw'));
    }

    describe.each(PROGRAMS)('%s', (program) => {
      it.each(FORMATS)('has images of the format %s in it', async (format) => {
        into('packed', packedBy(program, from(`disk.${format}`)));
        await same('packed');
        if (format === 'qcow2') await same('packed', `-f ${format}`);
      });

      it('is looked at whole before a conversion succeeds', async () => {
        const file = packedBy(program, from('disk.qcow2'));
        for (const cut of [file.length - 1, Math.floor(file.length / 2)]) {
          into('cut', file.subarray(0, cut));
          const { stderr, code } = await run(ourProgram(), words('convert cut out.raw'), { cwd });
          expect({ code, lines: stderr.split('\n').length - 1 }).toEqual({ code: 1, lines: 1 });
          expect(() => from('out.raw')).toThrow('ENOENT');
        }
      });
    });

    it('is read in the middle where there are blocks', async () => {
      into('blocks.xz', packedBy('xz', from('disk.qcow2'), ['--block-size=1MiB']));
      into('two.xz', Buffer.concat([from('blocks.xz'), Buffer.alloc(8), packedBy('xz', Buffer.alloc(1000))]));
      for (const name of ['blocks.xz', 'two.xz']) await same(name);
    });

    it('is a member of an archive', async () => {
      tar('cf', 'one.tar', 'disk.vdi');
      tar('czf', 'one.tar.gz', 'disk.qcow2');
      execFileSync('zip', ['-q', 'deflated.zip', 'disk.qcow2'], { cwd });
      execFileSync('zip', ['-q', '-0', 'stored.zip', 'disk.vhdx'], { cwd });
      execFileSync('zip', ['-q', '-fz', 'large.zip', 'disk.raw'], { cwd });
      for (const name of ['one.tar', 'one.tar.gz', 'deflated.zip', 'stored.zip', 'large.zip']) await same(name);
    });

    it('is a sparse member, in all the ways of GNU tar', async () => {
      into('sparse.raw', from('disk.raw').subarray(0, 3 * MiB));
      truncateSync(join(cwd, 'sparse.raw'), 40 * MiB);
      for (const format of [['gnu'], ['posix'], ['posix', '--sparse-version=0.0'], ['posix', '--sparse-version=0.1']]) {
        tar('cSf', 'sparse.tar', `--format=${format[0]}`, ...format.slice(1), 'sparse.raw');
        await ours('convert -O qcow2 sparse.tar sparse.qcow2', cwd);
        expect(await real('compare -f raw -F qcow2 sparse.raw sparse.qcow2', cwd)).toContain('identical');
      }
    });

    it('is the disk of an OVA package', async () => {
      into('notes.txt', Buffer.from('notes'));
      into(
        'x.ovf',
        Buffer.from(
          '<Envelope xmlns:ovf="o"><References><File ovf:id="f" ovf:href="stream.vmdk"/></References>' +
            '<DiskSection><Disk ovf:diskId="d" ovf:fileRef="f"/></DiskSection></Envelope>',
        ),
      );
      tar('cf', 'x.ova', 'x.ovf', 'stream.vmdk', 'notes.txt', 'disk.vdi');
      await same('x.ova');
      tar('cf', 'several.tar', 'stream.vmdk', 'disk.vdi');
      const { stderr, code } = await run(ourProgram(), words('info several.tar'), { cwd });
      expect(code).toBe(1);
      expect(stderr).toContain("'stream.vmdk', 'disk.vdi'");
      await ours(
        'convert --image-opts file.driver=tar,file.member=disk.vdi,file.file.filename=several.tar out.raw',
        cwd,
      );
      expect(await real('compare -f raw -F raw disk.raw out.raw', cwd)).toContain('identical');
    });

    it('takes little memory, whatever it says', async () => {
      into('bomb.zst', packedBy('zstd', Buffer.alloc(600 * MiB)));
      into('bomb.gz', packedBy('gzip', Buffer.alloc(600 * MiB)));
      for (const name of ['bomb.zst', 'bomb.gz']) {
        expect(await peakMemory(`convert -O qcow2 ${name} bomb.qcow2`, cwd)).toBeLessThan(300 * MiB);
      }
    });

    it('is a raw disk under the name of the real program', async () => {
      into('packed.gz', packedBy('gzip', from('disk.raw')));
      execFileSync('ln', ['-s', ourProgram(), join(cwd, 'qemu-img')]);
      const { stdout, stderr } = await run(join(cwd, 'qemu-img'), words('info packed.gz'), { cwd });
      expect(stdout).toBe(await real('info packed.gz', cwd));
      expect(stderr).toContain('it is taken for a raw disk as it is');
    });
  });
});
