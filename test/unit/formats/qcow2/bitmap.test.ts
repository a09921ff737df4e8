import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BitmapStore } from '../../../../src/block/capabilities.ts';
import type { ImageNode } from '../../../../src/block/node/node.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import { createOn, driverOf, openOn } from './support.ts';

function storeOf(node: ImageNode): BitmapStore {
  const store = node.bitmaps;
  if (!store) throw new Error('no bitmaps');
  return store;
}

/** The dirty runs as `start-end`. */
async function dirty(node: ImageNode, name: string): Promise<string[]> {
  const runs: string[] = [];
  for await (const { offset, length } of storeOf(node).ranges(name)) runs.push(`${offset}-${offset + length}`);
  return runs;
}

async function expectSound(file: Storage): Promise<void> {
  const node = await openOn(file, { intent: 'check', readOnly: true });
  const lines: string[] = [];
  const { corruptions, leaks } = await node.check('none', ({ text }) => lines.push(text));
  expect({ corruptions, leaks, lines }).toEqual({ corruptions: 0, leaks: 0, lines: [] });
}

describe('a bitmap', () => {
  it('records what is written while it is enabled, over many openings', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 8388608 });
    let node = await openOn(file);
    await storeOf(node).add('off', undefined, false);
    await storeOf(node).add('on', 65536, true);
    await node.write(100, new Uint8Array(10).fill(1));
    await node.close();
    node = await openOn(file);
    expect(storeOf(node).list()).toEqual([
      { name: 'on', granularity: 65536, inUse: false, enabled: true },
      { name: 'off', granularity: 65536, inUse: false, enabled: false },
    ]);
    await node.writeZeroes(1048576, 65536);
    await node.discard(2097152, 131072);
    await node.close();
    await expectSound(file);
    node = await openOn(file, { readOnly: true });
    expect(await dirty(node, 'on')).toEqual(['0-65536', '1048576-1114112', '2097152-2228224']);
    expect(await dirty(node, 'off')).toEqual([]);
  });

  it('is in use on the disk from the first change on until the image is closed', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576 });
    let node = await openOn(file);
    await storeOf(node).add('off', undefined, false);
    await storeOf(node).add('on', undefined, true);
    await node.close();
    node = await openOn(file);
    const states = async (): Promise<boolean[]> => {
      const other = await openOn(file, { readOnly: true });
      return [...(await storeOf(other).list())].map(({ inUse }) => inUse);
    };
    expect(await states()).toEqual([false, false]);
    await node.write(0, new Uint8Array(1));
    expect(await states()).toEqual([true, false]);
    await node.close();
    expect(await states()).toEqual([false, false]);
  });

  it('that was left in use can only be removed', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576 });
    let node = await openOn(file);
    await storeOf(node).add('b', undefined, true);
    await node.write(0, new Uint8Array(1));
    await node.close();
    node = await openOn(file);
    await node.write(65536, new Uint8Array(1));
    await node.flush();
    // The first opening is never closed.
    node = await openOn(file);
    const store = storeOf(node);
    const problem = "Bitmap 'b' is inconsistent and cannot be used";
    await expect(store.clear('b')).rejects.toThrow(problem);
    await expect(store.setEnabled('b', false)).rejects.toThrow(problem);
    await expect(store.mark('b', [])).rejects.toThrow(problem);
    await expect(dirty(node, 'b')).rejects.toThrow(problem);
    await expect(node.truncate(2097152)).rejects.toThrow(problem);
    await node.write(0, new Uint8Array(1));
    await store.remove('b');
    await node.close();
    await expectSound(file);
    expect(driverOf(node).state.header.autoclear).toBe(0n);
  });

  it('follows the size of the image', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 8388608, cluster_size: 512 });
    let node = await openOn(file);
    await storeOf(node).add('b', 512, true);
    await node.write(0, new Uint8Array(8388608).fill(1));
    await node.truncate(1000448);
    await node.close();
    await expectSound(file);
    node = await openOn(file);
    expect(await dirty(node, 'b')).toEqual(['0-1000448']);
    await node.truncate(16777216);
    expect(await dirty(node, 'b')).toEqual(['0-1000448']);
    await node.write(16777000, new Uint8Array(1));
    await node.close();
    await expectSound(file);
    node = await openOn(file, { readOnly: true });
    expect(await dirty(node, 'b')).toEqual(['0-1000448', '16776704-16777216']);
  });

  it('has to have a name and a granularity that can be stored', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 2 ** 44 });
    const node = await openOn(file);
    const store = storeOf(node);
    await store.add('a', 0, true);
    for (const [name, granularity, message] of [
      ['b', 256, 'Granularity must be power of 2 and at least 512'],
      ['b', 768, 'Granularity must be power of 2 and at least 512'],
      ['b', 2 ** 32, 'Granularity must be power of 2 and at least 512'],
      ['a', 512, 'Bitmap already exists: a'],
      ['', 65536, 'Bitmap name cannot be empty'],
      ['b', 2048, 'Too much space will be occupied by the bitmap. Use larger granularity'],
      ['x'.repeat(1024), 65536, 'Name length exceeds maximum (1023 characters)'],
    ] as const) {
      await expect(store.add(name, granularity, true)).rejects.toThrow(message);
    }
    await expect(store.remove('c')).rejects.toThrow("Dirty bitmap 'c' not found");
    await store.add('x'.repeat(1023), 4096, true);
    await store.remove('a');
    await store.add('a', 65536, false);
    await node.close();
    await expectSound(file);
    const reader = await openOn(file, { readOnly: true });
    expect((await storeOf(reader).list())[1]?.name).toHaveLength(1023);
    await createOn(file, { size: 65536, compat: '0.10' });
    expect((await openOn(file)).bitmaps).toBeUndefined();
  });

  it('that a program without bitmaps did not keep up to date is forgotten', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576 });
    let node = await openOn(file);
    await storeOf(node).add('b', undefined, true);
    await node.close();
    await file.write(95, Uint8Array.of(0));
    const warnings: string[] = [];
    node = await openOn(file, { warnings });
    expect(storeOf(node).list()).toEqual([]);
    expect(warnings[0]).toMatch('a program lacking bitmap support modified this file');
    await node.close();
    // Said once: the header no longer names the bitmaps.
    await openOn(file, { warnings });
    expect(warnings).toHaveLength(1);
  });

  it('holds exactly the granules that were marked', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(512, 1024, 4096),
        fc.array(fc.tuple(fc.nat(3000000), fc.nat(200000), fc.constantFrom('mark', 'mark', 'mark', 'close', 'clear'))),
        async (granularity, steps) => {
          const size = 3000320;
          const file = memoryStorage();
          await createOn(file, { size, cluster_size: 512 });
          let node = await openOn(file);
          await storeOf(node).add('b', granularity, false);
          const model = new Uint8Array(Math.ceil(size / granularity));
          for (const [offset, length, kind] of steps) {
            if (kind === 'mark') {
              await storeOf(node).mark('b', [{ offset, length }]);
              const end = Math.min(size, offset + length);
              if (end > offset) model.fill(1, Math.floor(offset / granularity), Math.ceil(end / granularity));
            } else if (kind === 'clear') {
              await storeOf(node).clear('b');
              model.fill(0);
            } else {
              await node.close();
              node = await openOn(file);
            }
          }
          await node.close();
          await expectSound(file);
          node = await openOn(file, { readOnly: true });
          const found = new Uint8Array(model.length);
          let last = -1;
          for await (const { offset, length } of storeOf(node).ranges('b')) {
            expect(offset).toBeGreaterThan(last);
            last = offset + length;
            found.fill(1, offset / granularity, Math.ceil(last / granularity));
          }
          expect(found).toEqual(model);
        },
      ),
      { numRuns: 25 },
    );
  });
});
