import { describe, expect, it } from 'vitest';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { FaultDriver, replay } from '../../../../src/storage/fault.ts';
import { MemoryDriver, memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import type { AnyOptionValues } from '../../../../src/options/table.ts';
import { createOn, openOn, services } from './support.ts';

const SIZE = 262144;
const clock = { ...services, now: () => ({ seconds: 1700000000, nanoseconds: 5 }) };

async function amend(file: Storage, options: AnyOptionValues): Promise<void> {
  const node = await openOn(file, { services: clock });
  try {
    await node.amend(options, { force: false });
  } finally {
    await node.close();
  }
}

async function newImage(file: Storage, options: AnyOptionValues = {}): Promise<void> {
  await createOn(file, { size: SIZE, cluster_size: 4096, ...options });
}

async function writeTo(file: Storage, ...ranges: readonly (readonly [at: number, length: number, value: number])[]) {
  const node = await openOn(file, { services: clock });
  for (const [at, length, value] of ranges) {
    if (value === 0) await node.writeZeroes(at, length, {});
    else await node.write(at, new Uint8Array(length).fill(value));
  }
  await node.close();
}

async function contentOf(file: Storage): Promise<Uint8Array> {
  const node = await openOn(file, { readOnly: true, services: clock });
  const bytes = new Uint8Array(node.size());
  await node.read(0, bytes);
  return bytes;
}

async function expectSound(file: Storage, leaksAllowed = false): Promise<void> {
  const node = await openOn(file, { intent: 'check', readOnly: true, services: clock });
  const lines: string[] = [];
  const result = await node.check('none', ({ text }) => lines.push(text));
  expect({ corruptions: result.corruptions, lines: leaksAllowed ? [] : lines }).toEqual({ corruptions: 0, lines: [] });
}

function headerByte(file: Storage, at: number): number | undefined {
  const byte = new Uint8Array(1);
  void file.read(at, byte);
  return byte[0];
}

describe('the refcount width', () => {
  it.each([
    [16, 64],
    [64, 1],
    [8, 16],
    [1, 2],
    [4, 64],
  ])('changes from %d to %d bits', async (from, to) => {
    const file = memoryStorage();
    await newImage(file, { refcount_bits: from, cluster_size: 512 });
    await writeTo(file, [0, 131072, 7]);
    await amend(file, { refcount_bits: to });
    expect(2 ** (headerByte(file, 99) ?? 0)).toBe(to);
    await expectSound(file);
    await writeTo(file, [131072, 65536, 8]);
    await expectSound(file);
    const content = await contentOf(file);
    expect([content[0], content[131071], content[131072], content[196608]]).toEqual([7, 7, 8, 0]);
  });

  it('stays when a refcount does not fit', async () => {
    const file = memoryStorage();
    await newImage(file);
    await writeTo(file, [0, 4096, 1]);
    const node = await openOn(file, { services: clock });
    await node.snapshots?.create('one');
    await node.close();
    await expect(amend(file, { refcount_bits: 1 })).rejects.toThrow(
      /^Cannot decrease refcount entry width to 1 bits: Cluster at offset 0x[0-9a-f]+ has a refcount of 2$/,
    );
    await expectSound(file);
  });

  it('leaves a sound image wherever the change is interrupted', async () => {
    const good = memoryStorage();
    await newImage(good, { cluster_size: 512 });
    await writeTo(good, [0, 65536, 7]);
    const initial = new Uint8Array(good.size());
    await good.read(0, initial);
    const driver = new FaultDriver(new MemoryDriver(initial.slice()));
    await amend(new CheckedStorage(driver, { name: 'recorded', readOnly: false }), { refcount_bits: 64 });
    for (let cut = 0; cut <= driver.log.length; cut++) {
      await expectSound(
        new CheckedStorage(replay(initial, driver.log, { cut }), { name: 'cut', readOnly: false }),
        true,
      );
    }
  });
});

describe('the version', () => {
  it('goes down and up again with zero clusters and snapshots', async () => {
    const file = memoryStorage();
    await newImage(file);
    await writeTo(file, [0, 65536, 7], [8192, 8192, 0]);
    const node = await openOn(file, { services: clock });
    await node.snapshots?.create('one');
    await node.close();
    await writeTo(file, [0, 4096, 9], [12288, 4096, 3]);
    const before = await contentOf(file);
    await amend(file, { compat: '0.10' });
    expect(headerByte(file, 7)).toBe(2);
    await expectSound(file);
    expect(Buffer.compare(await contentOf(file), before)).toBe(0);
    await amend(file, { compat: 'v3', lazy_refcounts: true });
    expect([headerByte(file, 7), headerByte(file, 87)]).toEqual([3, 1]);
    await expectSound(file);
    expect(Buffer.compare(await contentOf(file), before)).toBe(0);
  });

  it('keeps zeroes that hide a backing image', async () => {
    const backing = memoryStorage();
    await newImage(backing);
    await writeTo(backing, [0, SIZE, 5]);
    const file = memoryStorage();
    await newImage(file, { backing_file: 'b' });
    const below = await openOn(backing, { readOnly: true });
    const node = await openOn(file, { backing: below });
    await node.writeZeroes(4096, 8192, {});
    await node.amend({ compat: 'v2' }, { force: false });
    await node.close();
    const again = await openOn(file, { readOnly: true, backing: await openOn(backing, { readOnly: true }) });
    const bytes = new Uint8Array(16384);
    await again.read(0, bytes);
    expect([0, 4096, 12287, 12288].map((at) => bytes[at])).toEqual([5, 0, 0, 5]);
    await expectSound(file);
  });

  it.each<[AnyOptionValues, string]>([
    [{ extended_l2: true, cluster_size: 16384 }, 'Cannot downgrade an image with incompatible features 0x10 set'],
    [{ refcount_bits: 8 }, 'compat=0.10 requires refcount_bits=16'],
  ])('cannot go down with %j', async (options, message) => {
    const file = memoryStorage();
    await newImage(file, options);
    await expect(amend(file, { compat: 'v2' })).rejects.toThrow(message);
    expect(headerByte(file, 7)).toBe(3);
  });
});

it.each<[AnyOptionValues, string]>([
  [{ compat: '3' }, 'Unknown compatibility level 3'],
  [{ refcount_bits: 7 }, 'Refcount width must be a power of two and may not exceed 64 bits'],
  [{ backing_file: 'x' }, 'Cannot amend the backing file'],
  [{ data_file: 'x' }, 'data-file can only be set for images that use an external data file'],
  [{ data_file_raw: true }, 'data-file-raw cannot be set on existing images'],
  [{ 'encrypt.state': 'active' }, "Can't amend encryption options - encryption not present"],
  [{ compat: 'v2', refcount_bits: 8 }, 'Refcount widths other than 16 bits require compatibility level 1.1'],
])('refuses %j', async (options, message) => {
  const file = memoryStorage();
  await newImage(file);
  await expect(amend(file, options)).rejects.toThrow(message);
});

it('changes the size', async () => {
  const file = memoryStorage();
  await newImage(file);
  await writeTo(file, [0, 4096, 1]);
  await amend(file, { size: 2 * SIZE });
  expect((await contentOf(file)).length).toBe(2 * SIZE);
  await expectSound(file);
});
