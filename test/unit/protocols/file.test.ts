import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProtocolContext } from '../../../src/block/protocol.ts';
import type { Services } from '../../../src/block/services.ts';
import { NodeFiles } from '../../../src/host/node/file.ts';
import type { AnyOptionValues } from '../../../src/options/table.ts';
import { fileDriver, hostDeviceDriver } from '../../../src/protocols/file/driver.ts';
import { MemoryFiles, memoryServices } from '../../../src/testing.ts';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'qimg-protocol-'));
  writeFileSync(join(dir, 'a.raw'), new Uint8Array(1024));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function context(how: Partial<ProtocolContext> = {}): ProtocolContext {
  const services = { files: new NodeFiles() } as unknown as Services;
  return { services, writable: false, access: undefined, cache: undefined, discard: undefined, ...how };
}

async function open(options: AnyOptionValues, how?: Partial<ProtocolContext>) {
  return fileDriver.open(context(how), { filename: join(dir, 'a.raw'), ...options });
}

describe('names', () => {
  it.each([
    ['a.raw', 'a.raw'],
    ['file:a.raw', 'a.raw'],
    ['file://a', '//a'],
    ['file:file:a.raw', './file:a.raw'],
    ['file:', ''],
  ])('%s is %s', (name, filename) => {
    expect(fileDriver.parseFilename(name)).toEqual({ filename });
  });

  it('may have the device prefix only with the device driver', () => {
    expect(hostDeviceDriver.parseFilename('host_device:/dev/x')).toEqual({ filename: '/dev/x' });
    expect(fileDriver.parseFilename('host_device:/dev/x')).toEqual({ filename: 'host_device:/dev/x' });
  });
});

describe('what has a name', () => {
  const status = async (name: string): Promise<string | undefined> => {
    const found = await fileDriver.names?.status(context().services, name);
    return found && `${found.kind} ${found.size}`;
  };

  it('is told with and without the prefix', async () => {
    expect(await status(join(dir, 'a.raw'))).toBe('file 1024');
    expect(await status(`file:${join(dir, 'a.raw')}`)).toBe('file 1024');
    expect(await status(dir)).toBe('directory 0');
    expect(await status(join(dir, 'none'))).toBeUndefined();
    const storage = await open({});
    const found = await fileDriver.names?.status(context().services, join(dir, 'a.raw'));
    expect(found?.identity).toBe(storage.identity);
    await storage.close();
  });

  it('is not free where a link leads nowhere, and where no file can be', async () => {
    symlinkSync('nowhere', join(dir, 'link'));
    await expect(status(join(dir, 'link'))).rejects.toMatchObject({ kind: 'not-found' });
    await expect(status('')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(status(join(dir, 'none/'))).rejects.toMatchObject({ kind: 'not-found' });
    rmSync(join(dir, 'link'));
  });

  it('is removed', async () => {
    writeFileSync(join(dir, 'gone'), '');
    await fileDriver.names?.remove(context().services, `file:${join(dir, 'gone')}`);
    expect(readdirSync(dir)).not.toContain('gone');
  });

  it('may have been a draft, also where the host has none', async () => {
    const files = new MemoryFiles();
    const services = memoryServices(files);
    const draft = await fileDriver.names?.draft(services, 'file:dir/a', false);
    expect(draft?.at).toMatch(/^dir\/\.qimg-[0-9a-f]{16}\.part$/);
    files.put(draft?.at ?? '', 512);
    await draft?.publish();
    expect(files.names()).toEqual(['dir/a']);
  });

  it('is no matter of devices, which are neither made nor removed', () => {
    expect(hostDeviceDriver.names).toBeUndefined();
  });
});

describe('options', () => {
  it.each([
    [{ filename: '' }, "The 'file' block driver requires a file name"],
    [{ filename: undefined }, "The 'file' block driver requires a file name"],
    [{ locking: 'x' }, 'invalid parameter value: x'],
    [{ aio: 'x' }, 'invalid parameter value: x'],
    [{ aio: 'native' }, 'aio=native was specified, but it requires cache.direct=on, which was not specified.'],
    [{ 'pr-manager': 'pr0' }, "No persistent reservation manager with id 'pr0'"],
  ])('%j fails', async (options, message) => {
    await expect(open(options as AnyOptionValues)).rejects.toMatchObject({ message });
  });

  it.each([
    {},
    { locking: 'on' },
    { aio: 'io_uring', 'drop-cache': true, 'aio-max-batch': -1, 'x-check-cache-dropped': true },
  ])('%j works', async (options) => {
    const storage = await open(options);
    expect([storage.size(), storage.readOnly]).toEqual([1024, true]);
    expect(storage.identity).toBe((await new NodeFiles().status(join(dir, 'a.raw'))).identity);
    await storage.close();
  });

  it('locking=off neither takes nor respects locks', async () => {
    const access = { used: 11, shared: 5 };
    const first = await open({}, { writable: true, access });
    await expect(open({}, { access })).rejects.toMatchObject({ kind: 'locked' });
    const second = await open({ locking: 'off' }, { writable: true, access });
    await second.setAccess?.(access);
    await second.close();
    await first.close();
  });
});

describe('kinds of files', () => {
  it('other than regular ones and devices are refused, by name', async () => {
    const fifo = join(dir, 'fifo');
    execFileSync('mkfifo', [fifo]);
    for (const filename of [dir, fifo]) {
      const message = `'file' driver requires '${filename}' to be a regular file`;
      await expect(open({ filename })).rejects.toMatchObject({ message });
    }
  });

  it('host_device takes devices and nothing else', async () => {
    const device = await hostDeviceDriver.open(context(), { filename: '/dev/null' });
    expect([device.size(), device.name]).toEqual([0, '/dev/null']);
    await device.close();
    const filename = join(dir, 'a.raw');
    await expect(hostDeviceDriver.open(context(), { filename })).rejects.toMatchObject({
      message: `'host_device' driver requires '${filename}' to be either a character or block device`,
    });
  });
});

describe('creation', () => {
  it('rounds the size up to whole sectors', async () => {
    const name = join(dir, 'new.raw');
    await fileDriver.create?.(context(), `file:${name}`, { size: 1025 });
    expect(statSync(name).size).toBe(1536);
  });

  it('refuses what it does not know', async () => {
    const name = join(dir, 'bad.raw');
    const create = async (options: AnyOptionValues) => fileDriver.create?.(context(), name, options);
    await expect(create({ preallocation: 'junk' })).rejects.toMatchObject({ message: 'invalid parameter value: junk' });
    await expect(create({ preallocation: 'metadata' })).rejects.toMatchObject({
      message: 'Unsupported preallocation mode: metadata',
    });
    await expect(create({ extent_size_hint: 2 ** 33 })).rejects.toMatchObject({
      message: 'Extent size hint is too large',
    });
  });

  it('never creates a device', async () => {
    const name = join(dir, 'no-device');
    await expect(hostDeviceDriver.create?.(context(), `host_device:${name}`, { size: 512 })).rejects.toMatchObject({
      message: `Protocol driver 'host_device' does not support creating new images, so an existing image must be selected as the target; however, opening the given target as an existing image failed: Could not open '${name}': No such file or directory`,
    });
    await expect(hostDeviceDriver.create?.(context(), '/dev/null', { size: 512 })).rejects.toMatchObject({
      message: 'Cannot grow device files',
    });
    await expect(
      hostDeviceDriver.create?.(context(), '/dev/null', { size: 0, preallocation: 'full' }),
    ).rejects.toMatchObject({ message: "Unsupported preallocation mode 'full'" });
    await hostDeviceDriver.create?.(context(), '/dev/null', { size: 0 });
  });
});
