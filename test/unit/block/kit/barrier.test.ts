import { describe, expect, it } from 'vitest';
import { Barrier, behind } from '../../../../src/block/kit/barrier.ts';
import { MetadataCache } from '../../../../src/block/kit/cache.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { MemoryDriver } from '../../../../src/storage/memory.ts';

/** A memory storage that notes what is written and flushed. */
class LoggingMemory extends MemoryDriver {
  readonly log: string[] = [];

  override write(offset: number, from: Uint8Array): void {
    this.log.push(`write ${offset}+${from.length}`);
    super.write(offset, from);
  }

  override flush(): void {
    this.log.push('flush');
  }
}

function logging(): { log: string[]; storage: CheckedStorage } {
  const driver = new LoggingMemory(0);
  return { log: driver.log, storage: new CheckedStorage(driver, { name: 'logging', readOnly: false }) };
}

describe('Barrier', () => {
  it('flushes once for all that was written before, and again for what is written meanwhile', async () => {
    let syncs = 0;
    const barrier: Barrier = new Barrier(async () => {
      if (++syncs === 1) barrier.arm();
    });
    await barrier.flush();
    expect(syncs).toBe(0);
    barrier.arm();
    barrier.arm();
    await barrier.flush();
    expect([syncs, barrier.isPending]).toEqual([1, true]);
    await barrier.flush();
    expect([syncs, barrier.isPending]).toEqual([2, false]);
  });

  it('stays where it is if it cannot be flushed', async () => {
    let broken = true;
    const barrier = new Barrier(async () => {
      if (broken) throw new Error('disk is gone');
    });
    barrier.arm();
    await expect(
      behind(
        () => [barrier],
        () => 0,
      ),
    ).rejects.toThrow('disk is gone');
    broken = false;
    expect(
      await behind(
        () => [barrier],
        () => barrier.isPending,
      ),
    ).toBe(false);
  });
});

describe('MetadataCache', () => {
  it('always writes behind what it is set up to follow, also what changes while it waits', async () => {
    const { log, storage } = logging();
    const first = new MetadataCache({ storage, tableSize: 512, budget: 4096 });
    const data = new Barrier(async () => {
      log.push('data');
      // Somebody changes a table meanwhile.
      if (log.length === 1) await first.create(4096);
    });
    const second = new MetadataCache({ storage, tableSize: 512, budget: 4096, after: () => [first, data] });
    data.arm();
    await second.create(512);
    await second.flush();
    expect(log).toEqual(['data', 'write 4096+512', 'flush', 'write 512+512', 'flush']);
    await first.create(1024);
    await second.flush();
    expect(log).toHaveLength(5);
    await second.create(1024);
    await second.flush();
    expect(log.slice(5)).toEqual(['write 1024+512', 'flush', 'write 1024+512', 'flush']);
  });

  it('makes durable what was written to make room, though nothing is changed any more', async () => {
    const { log, storage } = logging();
    const cache = new MetadataCache({ storage, tableSize: 512, budget: 1024 });
    await cache.create(0);
    await cache.create(512);
    await cache.get(1024);
    expect(log).toEqual(['write 0+1024']);
    expect([cache.isDirty, cache.isPending]).toEqual([false, true]);
    await cache.flush();
    expect(log).toEqual(['write 0+1024', 'flush']);
    expect(cache.isPending).toBe(false);
    await cache.flush();
    expect(log).toHaveLength(2);
  });
});
