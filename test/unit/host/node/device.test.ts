import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { deviceNumbers } from '../../../../src/host/node/device.ts';
import { NodeFiles } from '../../../../src/host/node/file.ts';
import { lackOfDevice } from '../../../support/needs.ts';
import { because } from '../../../support/skip.ts';

const MiB = 1 << 20;
const dir = mkdtempSync(join(tmpdir(), 'qimg-device-'));

/** A block device of 1 MiB over a file, where this user may make one. */
function loopDevice(): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    writeFileSync(join(dir, 'disk'), new Uint8Array(MiB).fill(1));
    return execFileSync('losetup', ['-f', '--show', join(dir, 'disk')], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}

const device = loopDevice();
afterAll(() => {
  if (device) execFileSync('losetup', ['-d', device]);
  rmSync(dir, { recursive: true, force: true });
});

it('takes device numbers apart', () => {
  expect(deviceNumbers(0xfe00n)).toEqual({ major: 254n, minor: 0n });
  expect(deviceNumbers(0x1234500056789abcn)).toEqual({ major: 0x1234589an, minor: 0x567bcn });
});

const lack = lackOfDevice(device);
describe.skipIf(lack !== undefined)(`a block device${because(lack)}`, () => {
  const files = new NodeFiles();
  const name = device as string;

  it('is zeroed, discarded and written within its size', async () => {
    const handle = await files.open(name, { writable: true, access: { used: 3, shared: 15 } });
    expect([handle.kind, handle.size(), handle.limits.writeZeroesAlignment]).toEqual(['block-device', MiB, 512]);
    expect(handle.status?.(0, MiB)).toEqual({ kind: 'data', length: MiB });
    await handle.writeZeroes?.(0, 4096, {});
    await handle.writeZeroes?.(4096, 4096, { unmap: true });
    await expect(handle.writeZeroes?.(8192, 100, { unmap: true })).rejects.toMatchObject({ kind: 'unsupported' });
    await handle.discard?.(MiB - 4096, 4096);
    await handle.write?.(512, new Uint8Array(512).fill(2));
    const bytes = new Uint8Array(8193);
    await handle.read(0, bytes);
    expect([bytes[0], bytes[511], bytes[512], bytes[1024], bytes[8191], bytes[8192]]).toEqual([0, 0, 2, 0, 0, 1]);
    await expect(handle.write?.(MiB, bytes)).rejects.toMatchObject({ kind: 'no-space' });
    expect(handle.size()).toBe(MiB);
    await handle.flush?.();
    await handle.close();
  });

  it('keeps its size', async () => {
    const handle = await files.open(name, { writable: true });
    expect(() => handle.truncate?.(2 * MiB, 'off')).toThrow('Cannot grow device files');
    expect(handle.truncate?.(MiB, 'off')).toBeUndefined();
    expect(handle.truncate?.(0, 'off')).toBeUndefined();
    expect(handle.size()).toBe(MiB);
    await handle.close();
    await expect(files.create(name, { size: 2 * MiB, preallocation: 'off' })).rejects.toThrow(
      'Cannot grow device files',
    );
    await files.create(name, { size: MiB / 2, preallocation: 'off' });
  });

  it('is itself by whatever name', async () => {
    const handle = await files.open(name, { writable: false });
    expect((await files.status(name)).identity).toBe(handle.identity);
    await handle.close();
  });
});
