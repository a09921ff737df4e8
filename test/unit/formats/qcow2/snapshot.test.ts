import { describe, expect, it } from 'vitest';
import type { ImageNode } from '../../../../src/block/node/node.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import { createOn, driverOf, type OpenChoice, openOn, services } from './support.ts';

const clock = { ...services, now: () => ({ seconds: 1700000000, nanoseconds: 5 }) };

function open(file: Storage, choice: OpenChoice = {}): Promise<ImageNode> {
  return openOn(file, { services: clock, ...choice });
}

function storeOf(node: ImageNode): NonNullable<ImageNode['snapshots']> {
  const store = node.snapshots;
  if (!store) throw new Error('no snapshots');
  return store;
}

async function findings(file: Storage): Promise<{ corruptions: number; leaks: number; lines: string[] }> {
  const node = await open(file, { intent: 'check', readOnly: true });
  const lines: string[] = [];
  const { corruptions, leaks } = await node.check('none', ({ text }) => lines.push(text));
  return { corruptions, leaks, lines };
}

async function expectSound(file: Storage): Promise<void> {
  expect(await findings(file)).toEqual({ corruptions: 0, leaks: 0, lines: [] });
}

async function byteAt(node: ImageNode, offset: number): Promise<number | undefined> {
  const byte = new Uint8Array(1);
  await node.read(offset, byte);
  return byte[0];
}

const fill = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

describe.each([
  { cluster_size: 65536 },
  { cluster_size: 512 },
  { cluster_size: 4096, compat: '0.10' },
  { cluster_size: 16384, extended_l2: true },
  { cluster_size: 4096, refcount_bits: 64, lazy_refcounts: true },
])('snapshots with %j', (options) => {
  it('keep what they hold while the image changes, and give it back', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576, ...options });
    let node = await open(file);
    await node.write(0, fill(300000, 1));
    await storeOf(node).create('one');
    await node.write(100000, fill(300000, 2));
    await node.writeZeroes(0, 65536, { unmap: true });
    await storeOf(node).create('two');
    await node.write(0, fill(1048576, 3));
    await node.close();
    await expectSound(file);
    node = await open(file);
    await storeOf(node).apply('one');
    expect([await byteAt(node, 0), await byteAt(node, 299999), await byteAt(node, 300000)]).toEqual([1, 1, 0]);
    await node.write(0, fill(10, 9));
    await storeOf(node).apply('two');
    expect([await byteAt(node, 0), await byteAt(node, 99999), await byteAt(node, 100000)]).toEqual([0, 1, 2]);
    await node.close();
    await expectSound(file);
    node = await open(file);
    await storeOf(node).remove({ name: 'one' });
    await node.write(100000, fill(10, 4));
    await storeOf(node).remove({ id: '2' });
    expect([await byteAt(node, 100000), await byteAt(node, 100010)]).toEqual([4, 2]);
    await node.close();
    await expectSound(file);
  });

  it('can be read beside the image', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576, ...options });
    const node = await open(file);
    await node.write(5000, fill(100000, 1));
    await storeOf(node).create('one');
    await node.write(0, fill(1048576, 2));
    await node.flush();
    const view = await storeOf(node).view({ name: 'one' });
    expect([await byteAt(view, 4999), await byteAt(view, 5000), await byteAt(view, 105000)]).toEqual([0, 1, 0]);
    await view.close();
    await node.close();
  });
});

describe('snapshots', () => {
  it('are chosen by id before name when they are applied, and numbered on from the highest', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 65536 });
    const node = await open(file);
    const store = storeOf(node);
    for (const [index, name] of ['2', 'b', '1'].entries()) {
      await node.write(0, fill(10, index + 1));
      expect(await store.create(name)).toMatchObject({ id: String(index + 1), name, dateSeconds: 1700000000 });
    }
    await store.apply('2');
    expect(await byteAt(node, 0)).toBe(2);
    await store.remove({ name: '1' });
    expect((await store.create('next')).id).toBe('3');
    expect((await store.list()).map(({ id, name }) => `${id}:${name}`)).toEqual(['1:2', '2:b', '3:next']);
    await expect(store.apply('9')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(store.remove({ name: '9' })).rejects.toMatchObject({ kind: 'not-found' });
    await expect(store.view({ id: '9' })).rejects.toMatchObject({ kind: 'not-found' });
    await node.close();
  });

  it('bring back the size of the image', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 65536, cluster_size: 512 });
    const node = await open(file);
    await node.write(0, fill(65536, 1));
    await storeOf(node).create('small');
    await node.truncate(10485760);
    await node.write(10485000, fill(760, 2));
    await storeOf(node).create('large');
    await storeOf(node).apply('small');
    expect(node.size()).toBe(65536);
    await storeOf(node).apply('large');
    expect(node.size()).toBe(10485760);
    expect([await byteAt(node, 10485000), await byteAt(node, 65536)]).toEqual([2, 0]);
    await storeOf(node).apply('small');
    await storeOf(node).remove({ name: 'large' });
    await node.close();
    await expectSound(file);
  });

  it('that cannot be counted leave nothing behind', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576, refcount_bits: 2 });
    const node = await open(file);
    await node.write(0, fill(300000, 1));
    await storeOf(node).create('one');
    await storeOf(node).create('two');
    await expect(storeOf(node).create('three')).rejects.toMatchObject({ strerror: 'Invalid argument' });
    expect(storeOf(node).list()).toHaveLength(2);
    await node.close();
    await expectSound(file);
  });

  it('keep entries of other programs: names that are no text, data that is not understood', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 65536 });
    let node = await open(file);
    await storeOf(node).create('one');
    await node.close();
    const { snapshotsOffset } = driverOf(node).state.header;
    // Extra data of 32 bytes, id "7", name of the bytes ff 00 61.
    await file.write(snapshotsOffset + 12, Uint8Array.of(0, 1, 0, 3));
    await file.write(snapshotsOffset + 39, Uint8Array.of(32));
    await file.write(snapshotsOffset + 64, new TextEncoder().encode('UNKNOWN!'));
    await file.write(snapshotsOffset + 72, Uint8Array.of(0x37, 0xff, 0, 0x61));
    node = await open(file);
    const entry = new Uint8Array(76);
    await file.read(snapshotsOffset, entry);
    expect((await storeOf(node).create('two')).id).toBe('8');
    await node.close();
    const copy = new Uint8Array(76);
    await file.read(driverOf(node).state.header.snapshotsOffset, copy);
    expect(copy).toEqual(entry);
    await expectSound(file);
  });

  it('do not show saved machine state to who reads them', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 32768, cluster_size: 512 });
    const node = await open(file);
    await node.truncate(65536);
    await node.write(40000, fill(1000, 7));
    await storeOf(node).create('state');
    const { header } = driverOf(node).state;
    // The snapshot was taken at 32 KiB: what lies behind is machine state.
    await file.write(header.snapshotsOffset + 48, Uint8Array.of(0, 0, 0, 0, 0, 0, 0x80, 0));
    await node.close();
    const reader = await open(file, { readOnly: true });
    const driver = await storeOf(reader).view({ name: 'state' });
    expect(await driver.map(32768, 32768)).toEqual({ kind: 'unallocated', length: 32768 });
  });

  it('refuse places that cannot be, and external data', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 65536 });
    let node = await open(file);
    await storeOf(node).create('one');
    await node.close();
    const { snapshotsOffset } = driverOf(node).state.header;
    await file.write(snapshotsOffset + 6, Uint8Array.of(2));
    node = await open(file);
    for (const attempt of [
      () => storeOf(node).apply('one'),
      () => storeOf(node).remove({ name: 'one' }),
      () => storeOf(node).view({ name: 'one' }),
    ]) {
      await expect(attempt()).rejects.toThrow('Snapshot L1 table offset invalid');
    }
    await node.close();
    await file.write(snapshotsOffset + 36, Uint8Array.of(0, 0, 4, 1));
    await expect(open(file)).rejects.toThrow('Too much extra metadata in snapshot table entry 0');
    const other = memoryStorage();
    const data = memoryStorage();
    await createOn(other, { size: 65536, data_file: 'd' }, () => data);
    node = await open(other, { data });
    await expect(storeOf(node).create('one')).rejects.toMatchObject({ kind: 'unsupported' });
  });

  it('of 65536 empty entries are listed at once', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 65536 });
    await file.write(60, Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 1));
    const node = await open(file, { readOnly: true });
    expect(storeOf(node).list()).toHaveLength(65536);
  });
});
