import { expect, it } from 'vitest';
import { BlockError } from '../../../../src/base/error.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { FaultDriver, replay } from '../../../../src/storage/fault.ts';
import { MemoryDriver, memoryStorage } from '../../../../src/storage/memory.ts';
import { createOn, openOn } from './support.ts';

const SIZE = 131072;

/** Storage in memory cannot reserve space: growth by `full` fails at each attempt to. */
it.each(['metadata', 'full'] as const)(
  'growth with preallocation=%s on a disk that is full leaves a sound image',
  async (preallocation) => {
    const first = memoryStorage();
    await createOn(first, { size: SIZE, cluster_size: 512 });
    const node = await openOn(first);
    await node.write(0, new Uint8Array(5000).fill(7));
    await node.close();
    const good = new Uint8Array(first.size());
    await first.read(0, good);
    let failures = 0;
    for (let after = 0; failures === after && after < 20; after++) {
      const memory = new MemoryDriver(good.slice());
      const driver = new FaultDriver(memory);
      const file = new CheckedStorage(driver, { name: 'full', readOnly: false });
      const grown = await openOn(file);
      const error = new BlockError('no-space', 'No space left on device');
      for (const operation of ['write', 'truncate'] as const) driver.inject({ operation, after, error });
      const outcome = await grown.truncate(SIZE * 2, preallocation)?.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (outcome) failures++;
      // What is left to be written is not, either.
      await Promise.resolve(grown.close()).catch(() => undefined);
      const checked = await openOn(memoryStorage(memory.toBytes()), { intent: 'check', readOnly: true });
      const lines: string[] = [];
      await checked.check('none', ({ text }) => lines.push(text));
      expect({ after, damage: lines.filter((line) => !line.startsWith('Leaked')) }).toEqual({ after, damage: [] });
      const content = new Uint8Array(5000);
      await checked.read(0, content);
      expect(content.every((byte) => byte === 7)).toBe(true);
    }
    expect(failures).toBeGreaterThan(2);
  },
);

/** Storage in memory for which space is never short. */
class RoomyMemory extends MemoryDriver {
  override truncate(size: number): void {
    super.truncate(size, 'off');
  }
}

it.each([
  ['refcount blocks are missing', { cluster_size: 512, refcount_bits: 64 }, SIZE * 2],
  ['the old end is within a cluster', { cluster_size: 4096 }, SIZE + 1536],
  ['it has subclusters', { cluster_size: 16384, extended_l2: true }, SIZE + 20480],
])('growth by reserved space keeps what was there wherever it is interrupted: %s', async (_what, options, size) => {
  const old = SIZE + 512;
  const good = new RoomyMemory();
  const file = new CheckedStorage(good, { name: 'good', readOnly: false });
  await createOn(file, { size: old, ...options });
  const node = await openOn(file);
  await node.write(0, new Uint8Array(5000).fill(7));
  await node.write(SIZE, new Uint8Array(512).fill(9));
  await node.close();
  const before = new Uint8Array(file.size());
  await file.read(0, before);
  const driver = new FaultDriver(new RoomyMemory(before.slice()));
  const grown = await openOn(new CheckedStorage(driver, { name: 'grown', readOnly: false }));
  await grown.truncate(size, 'falloc');
  await grown.close();
  for (let cut = 0; cut <= driver.log.length; cut++) {
    const left = new CheckedStorage(replay(before, driver.log, { cut }), { name: 'cut', readOnly: false });
    const checked = await openOn(left, { intent: 'check', readOnly: true });
    const lines: string[] = [];
    await checked.check('none', ({ text }) => lines.push(text));
    expect({ cut, damage: lines.filter((line) => !line.startsWith('Leaked')) }).toEqual({ cut, damage: [] });
    const content = new Uint8Array(checked.size());
    await checked.read(0, content);
    const expected = new Uint8Array(content.length).fill(7, 0, 5000).fill(9, SIZE, old);
    expect({ cut, same: Buffer.compare(content, expected) }).toEqual({ cut, same: 0 });
    if (cut < driver.log.length) continue;
    // All of it is there, and nothing is left over.
    expect({ size: checked.size(), lines }).toEqual({ size, lines: [] });
  }
});
