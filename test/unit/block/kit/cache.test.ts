import { describe, expect, it } from 'vitest';
import { isPromise } from '../../../../src/base/async.ts';
import { MetadataCache } from '../../../../src/block/kit/cache.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { MemoryDriver, memoryStorage } from '../../../../src/storage/memory.ts';

/** A memory storage whose transfers take a turn, and that notes what is written. */
class SlowMemory extends MemoryDriver {
  readonly log: string[] = [];
  failNext = false;

  override read(offset: number, into: Uint8Array): void {
    super.read(offset, into);
  }

  override write(offset: number, from: Uint8Array): void {
    if (this.failNext) {
      this.failNext = false;
      throw new Error('disk is gone');
    }
    this.log.push(`write ${offset}+${from.length}`);
    super.write(offset, from);
  }

  override flush(): void {
    this.log.push('flush');
  }
}

function slow(): { driver: SlowMemory; storage: CheckedStorage } {
  const driver = new SlowMemory(0);
  return { driver, storage: new CheckedStorage(driver, { name: 'slow', readOnly: false }) };
}

describe('MetadataCache', () => {
  it('stays synchronous for cached tables and for synchronous storages', () => {
    const cache = new MetadataCache({
      storage: memoryStorage(new Uint8Array(4096).fill(7)),
      tableSize: 512,
      budget: 4096,
    });
    const table = cache.get(512);
    expect(isPromise(table)).toBe(false);
    expect(!isPromise(table) && table.bytes[511]).toBe(7);
    expect(cache.get(512)).toBe(table);
  });

  it('reads zeroes beyond the end of the storage', async () => {
    const cache = new MetadataCache({
      storage: memoryStorage(new Uint8Array(700).fill(1)),
      tableSize: 512,
      budget: 4096,
    });
    const table = await cache.get(512);
    expect(table.bytes.subarray(0, 188).every((byte) => byte === 1)).toBe(true);
    expect(table.bytes.subarray(188).every((byte) => byte === 0)).toBe(true);
  });

  it('writes adjacent tables together, sorted', async () => {
    const { driver, storage } = slow();
    const cache = new MetadataCache({ storage, tableSize: 512, budget: 8192 });
    for (const offset of [1536, 512, 1024, 4096]) await cache.create(offset, new Uint8Array(512).fill(offset / 512));
    await cache.flush();
    expect(driver.log).toEqual(['write 512+1536', 'write 4096+512', 'flush']);
    expect(cache.isDirty).toBe(false);
    await cache.flush();
    expect(driver.log).toHaveLength(3);
  });

  it('flushes what has to come first, once', async () => {
    const { driver, storage } = slow();
    const first = new MetadataCache({ storage, tableSize: 512, budget: 4096 });
    const second = new MetadataCache({ storage, tableSize: 512, budget: 4096 });
    await second.create(512);
    await first.create(4096);
    second.writeAfter(first);
    await second.flush();
    expect(driver.log).toEqual(['write 4096+512', 'flush', 'write 512+512', 'flush']);
    await second.create(1024);
    await second.flush();
    expect(driver.log.slice(4)).toEqual(['write 1024+512', 'flush']);
  });

  it('evicts unchanged tables first and writes changed ones in order before it drops them', async () => {
    const { driver, storage } = slow();
    const first = new MetadataCache({ storage, tableSize: 512, budget: 1024 });
    await first.create(8192);
    const cache = new MetadataCache({ storage, tableSize: 512, budget: 1024 });
    cache.writeAfter(first);
    const changed = await cache.create(0);
    changed.bytes[0] = 9;
    await cache.get(512);
    await cache.get(1024);
    expect(driver.log).toEqual([]);
    await cache.create(512);
    await cache.get(2048);
    expect(driver.log.slice(0, 3)).toEqual(['write 8192+512', 'flush', 'write 0+1024']);
    expect((await cache.get(0)).bytes[0]).toBe(9);
  });

  it('keeps changes that could not be written', async () => {
    const { driver, storage } = slow();
    const cache = new MetadataCache({ storage, tableSize: 512, budget: 4096 });
    (await cache.create(512)).bytes[3] = 5;
    driver.failNext = true;
    await expect((async () => cache.flush())()).rejects.toThrow('disk is gone');
    expect(cache.isDirty).toBe(true);
    await cache.flush();
    const back = new Uint8Array(512);
    await storage.read(512, back);
    expect(back[3]).toBe(5);
  });

  it('loads a table once for several callers', async () => {
    let reads = 0;
    const storage = memoryStorage(new Uint8Array(2048));
    const counting = Object.create(storage) as CheckedStorage;
    Object.defineProperty(counting, 'readPadded', {
      value: async (offset: number, into: Uint8Array) => {
        reads++;
        await new Promise((resolve) => setImmediate(resolve));
        return storage.readPadded(offset, into);
      },
    });
    const cache = new MetadataCache({ storage: counting, tableSize: 512, budget: 4096 });
    const [a, b] = await Promise.all([cache.get(512), cache.get(512)]);
    expect(a).toBe(b);
    expect(reads).toBe(1);
  });

  describe('of a storage that is only read', () => {
    const content = new Uint8Array(512 * 512);
    for (let table = 0; table < 512; table++) content.fill(table % 256, table * 512, table * 512 + 512);

    it('uses the memory of tables again, and keeps more of them when one is asked for again', async () => {
      const small = { tableSize: 65536, budget: 64 * 65536, readOnly: true };
      const cache = new MetadataCache({ storage: memoryStorage(128 * 65536), ...small });
      const memory = new Set<ArrayBufferLike>();
      for (let table = 0; table < 64; table++) memory.add((await cache.get(table * 65536)).bytes.buffer);
      expect(memory.size).toBe(32);
      // Two rounds through twice as many as it keeps: in the second, it learns.
      for (let table = 0; table < 64; table++) await cache.get(table * 65536);
      const before = [...Array(64).keys()].map((table) => cache.get(table * 65536));
      const again = [...Array(64).keys()].map((table) => cache.get(table * 65536));
      expect(again).toEqual(before);
    });

    it('leaves tables alone that somebody waits for', async () => {
      const driver = new MemoryDriver(content);
      const later = new CheckedStorage(
        {
          limits: driver.limits,
          size: () => driver.size(),
          async read(offset, into) {
            await Promise.resolve();
            driver.read(offset, into);
          },
          close: () => undefined,
        },
        { name: 'later', readOnly: true },
      );
      const cache = new MetadataCache({ storage: later, tableSize: 512, budget: 16 * 512, readOnly: true });
      const tables = await Promise.all([...Array(200).keys()].map(async (table) => cache.get(table * 512)));
      expect(tables.map(({ bytes }) => bytes[0])).toEqual([...Array(200).keys()]);
    });

    it('gives what the storage holds, in whatever order tables are asked for', () => {
      const cache = new MetadataCache({
        storage: memoryStorage(content),
        tableSize: 512,
        budget: 20 * 512,
        readOnly: true,
      });
      for (let step = 0, table = 0; step < 3000; step++, table = (table * 5 + 7 * step + 3) % 512) {
        const found = cache.get(table * 512);
        expect(!isPromise(found) && found.bytes[0]).toBe(table % 256);
        expect(!isPromise(found) && found.bytes[511]).toBe(table % 256);
      }
    });
  });
});
