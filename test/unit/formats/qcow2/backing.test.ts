import { describe, expect, it } from 'vitest';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import { createOn, driverOf, openOn } from './support.ts';

async function sound(file: ReturnType<typeof memoryStorage>): Promise<void> {
  const node = await openOn(file, { intent: 'check', readOnly: true });
  const lines: string[] = [];
  const result = await node.check('none', ({ text }) => lines.push(text));
  expect(lines).toEqual([]);
  expect(result).toMatchObject({ corruptions: 0, leaks: 0 });
}

describe('the backing image of an image', () => {
  it('can be recorded, changed and removed without touching the content', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576, backing_file: 'a long name of a base.img', backing_fmt: 'raw' });
    const node = await openOn(file);
    await node.write(0, new Uint8Array(1000).fill(1));
    expect(node.backingReference).toEqual({ file: 'a long name of a base.img', format: 'raw' });
    await node.setBacking({ file: 'b' });
    await node.close();
    const again = await openOn(file);
    expect(again.backingReference).toEqual({ file: 'b' });
    await again.setBacking(undefined);
    await again.close();
    const last = await openOn(file);
    expect(last.backingReference).toBeUndefined();
    expect(await last.map(0, 65536)).toMatchObject({ kind: 'data', length: 65536 });
    await last.close();
    await sound(file);
  });

  it('must fit into the first cluster', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576, cluster_size: 512 });
    const node = await openOn(file);
    await expect(node.setBacking({ file: 'x'.repeat(450) })).rejects.toMatchObject({ kind: 'no-space' });
    await expect(node.setBacking({ file: 'x'.repeat(1024) })).rejects.toMatchObject({
      kind: 'invalid-argument',
    });
    await node.close();
  });

  it('takes over everything when the image is emptied', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 8388608, cluster_size: 512 });
    const empty = file.size();
    const node = await openOn(file);
    await node.write(100000, new Uint8Array(1000000).fill(1));
    await node.flush();
    await node.makeEmpty();
    expect(await node.map(0, 8388608)).toEqual({ kind: 'unallocated', length: 8388608 });
    await node.close();
    await sound(file);
    expect(file.size()).toBeLessThan(empty + 65536);
  });
});

describe('resize', () => {
  it('grows and shrinks tables, and keeps the image sound', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576, cluster_size: 512 });
    const node = await openOn(file);
    await node.write(0, new Uint8Array(1048576).fill(1));
    await node.truncate(20971520);
    await node.write(20000000, new Uint8Array(5000).fill(2));
    expect(node.size()).toBe(20971520);
    await node.truncate(70000 - (70000 % 512));
    await node.close();
    await sound(file);
    expect(file.size()).toBeLessThan(1200000);
    const again = await openOn(file);
    await again.truncate(131072);
    const bytes = new Uint8Array(131072);
    await again.read(0, bytes);
    expect(bytes.lastIndexOf(1)).toBe(69631);
    await again.close();
    await sound(file);
  });

  it.each([
    [1000, 'The new size must be a multiple of 512'],
    [2 ** 60, 'Failed to grow the L1 table: File too large'],
  ])('to %i is refused', async (size, message) => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576 });
    const node = await openOn(file);
    await expect(node.truncate(size)).rejects.toThrow(message);
    await node.close();
  });

  it('brings refcounts up to date that an interrupted program left behind', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576, lazy_refcounts: true });
    const node = await openOn(file);
    await node.write(0, new Uint8Array(200000).fill(1));
    const { state } = driverOf(node);
    expect(state.header.incompatible & 1).toBe(1);
    // Killed when the tables were written, but not the refcounts.
    await state.l2.flush();
    await state.l1.flush();
    const again = await openOn(file);
    expect(driverOf(again).state.header.incompatible & 1).toBe(0);
    await again.close();
    await sound(file);
  });
});
