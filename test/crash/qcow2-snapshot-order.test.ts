/**
 * Killed at any write of a snapshot or bitmap operation: the image and all its snapshots keep what they hold, and
 * a bitmap either says what was changed or that it cannot be trusted.
 */
import { describe, expect, it } from 'vitest';
import { equalBytes } from '../../src/base/bytes.ts';
import type { ImageNode } from '../../src/block/node/node.ts';
import { CheckedStorage } from '../../src/storage/checked.ts';
import { MemoryDriver, memoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { createOn, openOn, services } from '../unit/formats/qcow2/support.ts';

const SIZE = 262144;
const clock = { ...services, now: () => ({ seconds: 1700000000, nanoseconds: 5 }) };

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

/** The storage after each change from `from` on. */
async function* steps(driver: RecordingMemory, from: number): AsyncGenerator<Storage, void, undefined> {
  const storage = memoryStorage();
  for (const [index, change] of driver.changes.entries()) {
    if (index >= from) yield storage;
    if ('size' in change) await storage.truncate(change.size);
    else await storage.write(change.offset, change.bytes);
  }
  yield storage;
}

async function copyOf(storage: Storage): Promise<Storage> {
  const bytes = new Uint8Array(storage.size());
  await storage.read(0, bytes);
  return memoryStorage(bytes);
}

async function contentOf(node: ImageNode): Promise<Uint8Array> {
  const bytes = new Uint8Array(node.size());
  await node.read(0, bytes);
  return bytes;
}

/** Content of the image and of its snapshots, by name. */
async function contents(node: ImageNode): Promise<Map<string, Uint8Array>> {
  const found = new Map([['', await contentOf(node)]]);
  const store = node.snapshots;
  for (const { name, id } of (await store?.list()) ?? []) {
    const view = await store?.view({ id });
    if (view) found.set(name, await contentOf(view));
  }
  return found;
}

/** Damage that a check finds, except for leaks. */
async function damage(storage: Storage): Promise<string[]> {
  const node = await openOn(storage, { intent: 'check', readOnly: true });
  const lines: string[] = [];
  await node.check('none', ({ text }) => lines.push(text));
  return lines.filter((line) => !line.startsWith('Leaked'));
}

describe.each([
  { cluster_size: 512 },
  { cluster_size: 4096, compat: '0.10' },
  { cluster_size: 16384, extended_l2: true },
])('a qcow2 image with snapshots, killed in the middle: %j', (options) => {
  it.each(['create', 'apply', 'remove'] as const)('of %s', async (action) => {
    const driver = new RecordingMemory(0);
    const file = new CheckedStorage(driver, { name: 'recorded', readOnly: false });
    await createOn(file, { size: SIZE, ...options });
    const node = await openOn(file, { services: clock });
    const store = node.snapshots;
    await node.write(0, new Uint8Array(100000).fill(1));
    await store?.create('one');
    await node.write(50000, new Uint8Array(100000).fill(2));
    await store?.create('two');
    await node.write(70000, new Uint8Array(20000).fill(3));
    await node.flush();
    const before = await contents(node);
    const start = driver.changes.length;
    if (action === 'create') await store?.create('three');
    else if (action === 'apply') await store?.apply('one');
    else await store?.remove({ name: 'one' });
    const after = await contents(node);
    await node.close();
    for await (const state of steps(driver, start)) {
      expect(await damage(state)).toEqual([]);
      // Whoever goes on with the image must not change what snapshots hold.
      const survivor = await copyOf(state);
      const writer = await openOn(survivor, { services: clock });
      const found = await contents(writer);
      const now = found.get('') ?? new Uint8Array(0);
      expect([before, after].some((known) => equalBytes(known.get('') ?? now, now))).toBe(true);
      await writer.write(0, new Uint8Array(SIZE).fill(9));
      await writer.close();
      const reader = await openOn(survivor, { readOnly: true });
      for (const [name, bytes] of await contents(reader)) {
        const wanted = name === '' ? new Uint8Array(SIZE).fill(9) : (before.get(name) ?? after.get(name));
        expect(equalBytes(bytes, wanted ?? new Uint8Array(0))).toBe(true);
      }
    }
  });
});

describe('a qcow2 image with bitmaps, killed in the middle', () => {
  it('has no bitmap that misses a change', async () => {
    const driver = new RecordingMemory(0);
    const file = new CheckedStorage(driver, { name: 'recorded', readOnly: false });
    await createOn(file, { size: SIZE, cluster_size: 512 });
    let node = await openOn(file);
    await node.bitmaps?.add('b', 512, true);
    await node.close();
    const start = driver.changes.length;
    node = await openOn(file);
    await node.write(1000, new Uint8Array(5000).fill(1));
    await node.truncate(SIZE * 2);
    await node.write(SIZE, new Uint8Array(100).fill(2));
    await node.bitmaps?.add('c', 512, true);
    await node.close();
    for await (const state of steps(driver, start)) {
      expect(await damage(state)).toEqual([]);
      const reader = await openOn(state, { readOnly: true });
      const store = reader.bitmaps;
      const bitmap = (await store?.list())?.find(({ name }) => name === 'b');
      if (!store || !bitmap || bitmap.inUse) continue;
      const content = await contentOf(reader);
      for await (const { offset, length } of store.ranges('b')) content.fill(0, offset, offset + length);
      expect(content.every((byte) => byte === 0)).toBe(true);
    }
  });
});
