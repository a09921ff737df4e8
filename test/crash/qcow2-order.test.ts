/** Killed at any write: an image may then have leaked clusters, but nothing that is wrong, and keeps what was flushed. */
import { describe, expect, it } from 'vitest';
import { CheckedStorage } from '../../src/storage/checked.ts';
import type { CreateOptions, OpenOptions } from '../../src/formats/qcow2/options.ts';
import { MemoryDriver, memoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { createOn, driverOf, openOn } from '../unit/formats/qcow2/support.ts';

/** One change of a storage. */
type Change = { readonly offset: number; readonly bytes: Uint8Array } | { readonly size: number };

/** A memory storage that remembers every change. */
class RecordingMemory extends MemoryDriver {
  readonly changes: Change[] = [];

  override write(offset: number, from: Uint8Array): void {
    this.changes?.push({ offset, bytes: from.slice() });
    super.write(offset, from);
  }

  override truncate(size: number, preallocation: 'off'): void {
    this.changes.push({ size });
    super.truncate(size, preallocation);
  }

  override discard(offset: number, length: number): void {
    this.changes?.push({ offset, bytes: new Uint8Array(length) });
    super.discard(offset, length);
  }
}

async function apply(storage: Storage, change: Change): Promise<void> {
  if ('size' in change) await storage.truncate(change.size);
  else await storage.write(change.offset, change.bytes);
}

/** Checks the image as it is after each of the changes from `from` on. */
async function expectEveryStep(
  changes: readonly Change[],
  from: number,
  verify: (file: Storage) => Promise<void>,
): Promise<void> {
  const storage = memoryStorage();
  for (const [index, change] of changes.entries()) {
    await apply(storage, change);
    if (index + 1 < from) continue;
    const node = await openOn(storage, { intent: 'check', readOnly: true });
    const lines: string[] = [];
    const result = await node.check('none', ({ text }) => lines.push(text));
    expect({ index, corruptions: result.corruptions, lines: result.corruptions > 0 ? lines : [] }).toEqual({
      index,
      corruptions: 0,
      lines: [],
    });
    await verify(storage);
  }
}

describe('a qcow2 image killed in the middle', () => {
  it.each<[Partial<CreateOptions>, OpenOptions?]>([
    [{ cluster_size: 512 }],
    [{ cluster_size: 512, refcount_bits: 64 }],
    [{ cluster_size: 4096 }],
    [{ cluster_size: 16384, extended_l2: true }],
    [{ cluster_size: 1024, compat: '0.10' }],
    // Tables are written to make room for others, whenever that is.
    [{ cluster_size: 512, refcount_bits: 64 }, { 'cache-size': 0 }],
  ])('has leaks at worst: %j, opened with %j', async (options, how = {}) => {
    const driver = new RecordingMemory(0);
    const file = new CheckedStorage(driver, { name: 'recorded', readOnly: false });
    await createOn(file, { ...options, size: 524288 });
    const created = driver.changes.length;
    const node = await openOn(file, { options: how });
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return Math.floor((seed / 2147483648) * below);
    };
    for (let i = 0; i < 60; i++) {
      const offset = random(524288);
      const length = Math.min(1 + random(60000), 524288 - offset);
      const kind = random(7);
      if (kind < 3) await node.write(offset, new Uint8Array(length).fill(i + 1));
      else if (kind === 3) await node.writeZeroes(offset, length, { unmap: true });
      else if (kind === 4) await node.discard(offset, length);
      else if (kind === 5) await node.flush();
      else {
        const unit = driverOf(node).compressor.unit;
        const [coded] = await driverOf(node).compressor.encode(0, new Uint8Array(unit).fill(i + 1));
        if (coded) await node.storeCompressed(offset - (offset % unit), coded);
      }
    }
    await node.truncate(262144);
    await node.truncate(786432);
    await node.close();
    await expectEveryStep(driver.changes, created, async () => undefined);
  });

  it('keeps what was flushed before', async () => {
    const driver = new RecordingMemory(0);
    const file = new CheckedStorage(driver, { name: 'recorded', readOnly: false });
    await createOn(file, { cluster_size: 4096, size: 524288 });
    const node = await openOn(file);
    await node.write(0, new Uint8Array(100000).fill(7));
    await node.flush();
    const flushed = driver.changes.length;
    for (let i = 0; i < 20; i++) await node.write(100000 + i * 10000, new Uint8Array(5000).fill(i));
    await node.writeZeroes(300000, 100000, { unmap: true });
    await node.close();
    await expectEveryStep(driver.changes, flushed, async (storage) => {
      const reader = await openOn(storage, { readOnly: true });
      const bytes = new Uint8Array(100000);
      await reader.read(0, bytes);
      expect(bytes.every((byte) => byte === 7)).toBe(true);
    });
  });

  it('writes behind what is referred to, and flushes in between only', async () => {
    const file = memoryStorage();
    const [unit, data, l2] = [65536, 5 * 65536, 4 * 65536];
    await createOn(file, { cluster_size: unit, size: 1048576 });
    const log: string[] = [];
    const names = new Map([
      [2 * unit, 'refcounts'],
      [3 * unit, 'L1'],
      [l2, 'L2'],
      [data, 'data'],
    ]);
    const watched = new Proxy(file, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        return (...parameters: readonly unknown[]): unknown => {
          if (key === 'write') log.push(names.get(Number(parameters[0])) ?? String(parameters[0]));
          if (key === 'flush') log.push('flush');
          return Reflect.apply(value, target, parameters);
        };
      },
    });
    const node = await openOn(watched);
    await node.write(0, new Uint8Array(unit).fill(1));
    await node.flush();
    // The last flush is for what was written in place.
    expect(log).toEqual(['data', 'refcounts', 'flush', 'flush', 'L2', 'flush', 'L1', 'flush', 'flush']);
    log.length = 0;
    await node.write(100, new Uint8Array(1000).fill(2));
    await node.flush();
    expect(log).toEqual([String(data + 100), 'flush']);
    await node.close();
  });
});
