/** Making and removing a snapshot while single requests fail: the image is sound, and the snapshot there or not. */
import { describe, expect, it } from 'vitest';
import { equalBytes } from '../../../../src/base/bytes.ts';
import { BlockError } from '../../../../src/base/error.ts';
import type { ImageNode } from '../../../../src/block/node/node.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { FaultDriver, type FaultOperation } from '../../../../src/storage/fault.ts';
import { MemoryDriver, memoryStorage } from '../../../../src/storage/memory.ts';
import { createOn, openOn, services } from './support.ts';

const SIZE = 65536;
const clock = { ...services, now: () => ({ seconds: 1700000000, nanoseconds: 5 }) };

/** A file that cannot become longer than so many bytes. */
function fullDisk(content: Uint8Array, limit: number): MemoryDriver {
  const disk = new MemoryDriver(content);
  const write = disk.write.bind(disk);
  disk.write = (offset, from) => {
    if (offset + from.length > limit) throw new BlockError('no-space', 'No space left on device');
    write(offset, from);
  };
  return disk;
}

/** An image with two snapshots, which share some clusters with it. */
async function prepared(options: Record<string, unknown> = { cluster_size: 512 }): Promise<Uint8Array> {
  const file = memoryStorage();
  await createOn(file, { size: SIZE, ...options });
  const node = await openOn(file, { services: clock });
  await node.write(0, new Uint8Array(20000).fill(1));
  await node.snapshots?.create('one');
  await node.write(10000, new Uint8Array(20000).fill(2));
  await node.snapshots?.create('two');
  await node.write(15000, new Uint8Array(4000).fill(3));
  await node.close();
  const bytes = new Uint8Array(file.size());
  await file.read(0, bytes);
  return bytes;
}

async function change(node: ImageNode, action: 'create' | 'remove'): Promise<void> {
  if (action === 'create') await node.snapshots?.create('three');
  else await node.snapshots?.remove({ name: 'one' });
}

async function contentOf(node: ImageNode): Promise<Uint8Array> {
  const bytes = new Uint8Array(node.size());
  await node.read(0, bytes);
  return bytes;
}

async function expectSound(driver: MemoryDriver, content: Uint8Array): Promise<readonly string[]> {
  const file = new CheckedStorage(driver, { name: 'image', readOnly: true });
  const checked = await openOn(file, { intent: 'check', readOnly: true });
  const lines: string[] = [];
  await checked.check('none', ({ text }) => lines.push(text));
  expect(lines.filter((line) => !line.startsWith('Leaked'))).toEqual([]);
  const node = await openOn(file, { readOnly: true });
  expect(equalBytes(await contentOf(node), content)).toBe(true);
  return (await node.snapshots?.list())?.map(({ name }) => name) ?? [];
}

describe.each(['create', 'remove'] as const)('%s', (action) => {
  const whole = { create: ['one', 'two', 'three'], remove: ['two'] }[action];

  it.each<FaultOperation>(['read', 'write', 'flush', 'truncate', 'discard'])(
    'that fails at any single %s leaves leaks at worst',
    async (operation) => {
      const image = await prepared();
      const content = await contentOf(await openOn(memoryStorage(image), { readOnly: true }));
      let failures = 0;
      for (let after = 0; ; after++) {
        const memory = new MemoryDriver(image);
        const driver = new FaultDriver(memory);
        const node = await openOn(new CheckedStorage(driver, { name: 'image', readOnly: false }), { services: clock });
        const seen = { count: 0 };
        driver.inject({
          operation,
          after,
          times: 1,
          get error() {
            seen.count++;
            return new BlockError('no-space', 'No space left on device');
          },
        });
        const failed = await change(node, action).then(
          () => false,
          (error: unknown) => error instanceof BlockError,
        );
        driver.heal();
        await node.close().catch(() => undefined);
        const names = await expectSound(memory, content);
        if (failed) failures++;
        else expect(names).toEqual(whole);
        if (seen.count === 0) break;
      }
      if (operation === 'write' || operation === 'flush') expect(failures).toBeGreaterThan(0);
    },
  );

  it('is done step by step where the file has no room', async () => {
    const image = await prepared();
    const roomy = new MemoryDriver(image);
    const tight = fullDisk(image, image.length + 2048);
    for (const driver of [roomy, tight]) {
      const node = await openOn(new CheckedStorage(driver, { name: 'image', readOnly: false }), { services: clock });
      await change(node, action);
      await node.close();
    }
    const content = await contentOf(await openOn(memoryStorage(image), { readOnly: true }));
    expect(await expectSound(tight, content)).toEqual(whole);
    // Nothing is left of the metadata that stood in, and everything is where it would be without.
    const [one, two] = [roomy, tight].map((driver) => {
      const bytes = new Uint8Array(driver.size());
      driver.read(0, bytes);
      return bytes;
    });
    expect(one && two && equalBytes(one, two)).toBe(true);
  });
});

it('leaves the counts as they were where a snapshot has one too many', async () => {
  const image = await prepared({ cluster_size: 512, refcount_bits: 2 });
  const memory = new MemoryDriver(image);
  const node = await openOn(new CheckedStorage(memory, { name: 'image', readOnly: false }), { services: clock });
  await expect(change(node, 'create')).rejects.toThrow('Invalid argument');
  await node.close();
  const bytes = new Uint8Array(memory.size());
  memory.read(0, bytes);
  expect(equalBytes(bytes, image)).toBe(true);
});
