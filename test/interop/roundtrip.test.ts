/**
 * A disk with a real file system goes through the formats that most people use, and comes back as it was.
 * QIMG_TEST_DISK_MIB sets the size of the disk in MiB.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digest, lackOfFileSystems, makeFileSystem, soundFileSystem } from '../support/fileSystem.ts';
import { because } from '../support/skip.ts';
import { describeWithOracle } from '../support/oracle.ts';
import { approve, ours, real } from '../support/program.ts';

const MIB = Number(process.env['QIMG_TEST_DISK_MIB'] ?? 192);
/** Milliseconds for one step; both programs, and this many MiB. */
const PATIENCE = 60_000 + MIB * 1000;
const REPORT = process.env['QIMG_TEST_DISK_MIB'] !== undefined;

describeWithOracle(`a disk of ${MIB} MiB`, () => {
  const lack = lackOfFileSystems();
  describe.skipIf(lack !== undefined)(`with a file system${because(lack)}`, () => {
    let directory = '';
    let original = '';

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'qimg-roundtrip-'));
      await makeFileSystem(join(directory, 'disk.raw'), MIB);
      original = await digest(join(directory, 'disk.raw'));
    }, PATIENCE);
    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    /** Runs one conversion; says how long it took when somebody asked for a certain size. */
    async function convert(program: typeof ours, line: string): Promise<void> {
      const start = performance.now();
      await program(`convert ${line}`, directory);
      const seconds = ((performance.now() - start) / 1000).toFixed(2);
      if (REPORT) process.stderr.write(`${program === ours ? 'qimg' : 'qemu-img'} convert ${line}: ${seconds} s\n`);
    }

    async function approved(image: string): Promise<void> {
      await approve(image, 'qcow2', directory);
      const said = await real(`compare -f raw -F qcow2 disk.raw ${image}`, directory);
      expect(said).toBe('Images are identical.\n');
    }

    async function backAgain(image: string): Promise<void> {
      await convert(ours, `-f qcow2 -O raw ${image} back.raw`);
      expect(await digest(join(directory, 'back.raw'))).toBe(original);
      await soundFileSystem(join(directory, 'back.raw'));
      rmSync(join(directory, 'back.raw'));
    }

    const STEPS = [
      { name: 'plain.qcow2', options: '' },
      { name: 'zlib.qcow2', options: '-c' },
      { name: 'zstd.qcow2', options: '-c -o compression_type=zstd' },
      { name: 'wide.qcow2', options: '-o cluster_size=2M,extended_l2=on' },
      { name: 'old.qcow2', options: '-o compat=0.10,cluster_size=4k' },
    ];

    it.each([
      { first: 'this program', start: ours, steps: STEPS },
      { first: 'the real one', start: real, steps: STEPS.filter(({ name }) => name.startsWith('z')) },
    ])('comes back unchanged when $first made the first image', { timeout: PATIENCE }, async ({ start, steps }) => {
      await convert(start, '-f raw -O qcow2 disk.raw start.qcow2');
      let last = 'start.qcow2';
      for (const { name, options } of steps) {
        await convert(ours, `-f qcow2 -O qcow2 ${options} ${last} ${name}`);
        await approved(name);
        if (name.startsWith('z')) await backAgain(name);
        rmSync(join(directory, last));
        last = name;
      }
      await backAgain(last);
      rmSync(join(directory, last));
    });

    it('is read alike when the real program compressed it', { timeout: PATIENCE }, async () => {
      for (const type of ['zlib', 'zstd']) {
        await convert(real, `-c -f raw -O qcow2 -o compression_type=${type} disk.raw theirs.qcow2`);
        await backAgain('theirs.qcow2');
        expect(await ours('compare -f raw -F qcow2 disk.raw theirs.qcow2', directory)).toBe('Images are identical.\n');
      }
      expect(await digest(join(directory, 'disk.raw'))).toBe(original);
    });
  });
});
