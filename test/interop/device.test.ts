/** Images on block devices, which keep their size and whatever was on them before. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lackOfDevice } from '../support/needs.ts';
import { because } from '../support/skip.ts';
import { describeWithOracle } from '../support/oracle.ts';
import { ours, real } from '../support/program.ts';
import { SideBySide } from '../support/sideBySide.ts';

const MiB = 1048576;
const SIZE = 16 * MiB;
const folder = mkdtempSync(join(tmpdir(), 'qimg-devices-'));

/** A block device over a file, where this user may make one. */
function loopDevice(): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    writeFileSync(join(folder, 'disk'), new Uint8Array(SIZE));
    return execFileSync('losetup', ['-f', '--show', join(folder, 'disk')], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}

const device = loopDevice();
afterAll(() => {
  if (device !== undefined) execFileSync('losetup', ['-d', device]);
  rmSync(folder, { recursive: true, force: true });
});

describeWithOracle('block devices', () => {
  const lack = lackOfDevice(device);
  describe.skipIf(lack !== undefined)(`of this machine${because(lack)}`, () => {
    let both: SideBySide;
    beforeAll(async () => {
      both = new SideBySide();
      await both.prepare(async (make) => {
        await make('qemu-img', 'create -q -f raw source.raw 3M');
        await make('qemu-io', "-f raw -c 'write -P 5 0 64k' -c 'write -P 6 2M 300k' source.raw");
        await make('qemu-img', 'create -q -f raw large.raw 20M');
      });
    });
    afterAll(() => both.end());
    // What was on the device before.
    beforeEach(() => writeFileSync(String(device), Buffer.alloc(SIZE, 0xff)));

    it.each([
      { format: 'qcow2', options: '' },
      { format: 'qcow2', options: '-o cluster_size=512' },
      { format: 'qcow2', options: '-o preallocation=metadata' },
      { format: 'qcow2', options: '-c' },
      { format: 'qcow2', options: '-o extended_l2=on' },
      { format: 'vdi', options: '' },
    ])('take $format images: $options', async ({ format, options }) => {
      const directory = both.path('ours');
      await ours(`convert ${options} -f raw -O ${format} source.raw ${device}`, directory);
      await real(`compare -f raw -F ${format} source.raw ${device}`, directory);
      await real(`check -f ${format} ${device}`, directory);
      await ours(`create -q -f ${format} ${options === '-c' ? '' : options} ${device} 3M`, directory);
      await SideBySide.real('qemu-io', `-r -f ${format} -c 'read -P 0 0 3M' ${device}`, directory);
      await real(`info -f ${format} ${device}`, directory);
    });

    it('take raw images, and the zeroes in them', async () => {
      const directory = both.path('ours');
      await ours(`convert -f raw -O raw source.raw ${device}`, directory);
      await SideBySide.real('qemu-io', `-r -f raw -c 'read -P 5 0 64k' -c 'read -P 0 64k 1984k' ${device}`, directory);
      await SideBySide.real('qemu-io', `-r -f raw -c 'read -P 6 2M 300k' -c 'read -P 255 3M 1M' ${device}`, directory);
    });

    it('are described, resized and refused alike', async () => {
      const lines = [
        `create -f raw ${device} 1M`,
        `create -f raw ${device} 20M`,
        `convert -f raw -O raw large.raw ${device}`,
        `convert -f raw -O qcow2 large.raw ${device}`,
        `convert -n -f raw -O raw large.raw ${device}`,
        `convert -n -f raw -O raw source.raw ${device}`,
        `dd -f raw -O raw if=source.raw of=${device} bs=1M`,
        `info -f raw ${device}`,
        `info -f raw --output=json ${device}`,
        `map -f raw --output=json ${device}`,
        `measure -O qcow2 -f raw ${device}`,
        ...['1M', '16M', '20M', '--shrink 1M'].map((size) => `resize -f raw ${device} ${size}`),
        `create -f qcow2 ${device} 10M`,
        `resize -f qcow2 ${device} 20M`,
        `info ${device}`,
        `check ${device}`,
        `resize -f qcow2 --shrink ${device} 2M`,
        `check ${device}`,
      ];
      expect(await both.differences(lines)).toEqual([]);
    });
  });
});
