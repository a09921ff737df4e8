import { expect, it } from 'vitest';
import { BlockError } from '../../../../src/base/error.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { FaultDriver } from '../../../../src/storage/fault.ts';
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
      await checked.check('none', (line) => lines.push(line));
      expect({ after, damage: lines.filter((line) => !line.startsWith('Leaked')) }).toEqual({ after, damage: [] });
      const content = new Uint8Array(5000);
      await checked.read(0, content);
      expect(content.every((byte) => byte === 7)).toBe(true);
    }
    expect(failures).toBeGreaterThan(2);
  },
);
