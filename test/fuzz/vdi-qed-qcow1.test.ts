/** Damaged VDI, QED and qcow images never end in anything but data or one clear error, and never get written when read-only. */
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { FormatDriver } from '../../src/block/format.ts';
import { qcow } from '../../src/formats/qcow/driver.ts';
import { qed } from '../../src/formats/qed/driver.ts';
import { vdi } from '../../src/formats/vdi/driver.ts';
import { MemoryDriver } from '../../src/storage/memory.ts';
import type { AnyOptionValues } from '../../src/options/table.ts';
import { emptyImage, openOn, tolerate } from '../support/smallFormats.ts';
import { Recording, storageOf } from '../support/vpcVhdx.ts';

const SIZE = 3145728;
/** How much of an image is looked at: damage can claim any size. */
const REACH = 4 * SIZE;
/** No file may grow beyond this from the few bytes that are written. */
const MOST = 64 * 1048576;

async function sample(driver: FormatDriver, options: AnyOptionValues): Promise<Uint8Array> {
  const memory = new MemoryDriver(await emptyImage(driver, { size: SIZE, ...options }));
  const node = await openOn(driver, storageOf(memory));
  await node.write(1000, new Uint8Array(30000).fill(1));
  await node.writeZeroes(200000, 70000);
  const { compressor } = node;
  const [coded] = compressor ? await compressor.encode(0, new Uint8Array(compressor.unit).fill(5)) : [];
  if (coded) await node.storeCompressed(524288, coded);
  await node.close();
  return memory.toBytes();
}

/** Looks at an image without the right to change it. */
async function look(driver: FormatDriver, memory: Recording): Promise<void> {
  const file = storageOf(memory);
  await tolerate(async () => openOn(driver, file, { intent: 'info', readOnly: true }));
  await tolerate(async () => {
    const node = await openOn(driver, file, { intent: 'check', readOnly: true });
    await node.check('none', () => undefined);
  });
  await tolerate(async () => {
    const node = await openOn(driver, file, { readOnly: true });
    const buffer = new Uint8Array(65536);
    for (let at = 0; at < Math.min(node.size(), REACH); at += buffer.length) {
      const part = buffer.subarray(0, Math.min(buffer.length, node.size() - at));
      await tolerate(async () => node.read(at, part));
    }
    await node.close();
  });
}

/** Changes an image, and repairs it. */
async function change(driver: FormatDriver, memory: MemoryDriver): Promise<void> {
  const file = storageOf(memory);
  await tolerate(async () => {
    const node = await openOn(driver, file);
    const size = Math.min(node.size(), SIZE);
    await tolerate(async () => node.write(Math.floor(size / 3), new Uint8Array(Math.floor(size / 4)).fill(9)));
    await tolerate(async () => node.writeZeroes(0, Math.floor(size / 8), { unmap: true }));
    await tolerate(async () => node.truncate(node.size() + 65536));
    await node.close();
  });
  await tolerate(async () => {
    const node = await openOn(driver, file, { intent: 'check' });
    await node.check('all', () => undefined);
    await node.close();
  });
}

describe.each([
  { driver: vdi, options: {}, hot: [0x40, 0x50, 0x154, 0x190, 512, 528] },
  { driver: qed, options: { cluster_size: 4096, table_size: 2 }, hot: [0, 64, 4096, 4112, 45056, 46000] },
  { driver: qcow, options: {}, hot: [0, 64, 4096, 4352, 36864, 37400] },
])('damaged $driver.name images', ({ driver, options, hot }) => {
  let bytes = new Uint8Array(0);
  beforeAll(async () => {
    bytes = new Uint8Array(await sample(driver, options));
  });

  it('end in data or in one clear error', async () => {
    const start = fc.constantFrom(...hot.filter((_, index) => index % 2 === 0));
    const place = start.chain((from) => fc.integer({ min: from, max: (hot[hot.indexOf(from) + 1] ?? from) - 1 }));
    const patch = fc.record({
      at: fc.oneof(place, fc.nat(bytes.length - 1)),
      with: fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 8 }),
        fc.constantFrom(new Uint8Array(8), new Uint8Array(4).fill(255), Uint8Array.of(0, 0, 0, 128)),
      ),
    });
    const patches = fc.array(patch, { minLength: 1, maxLength: 3 });
    const cut = fc.option(fc.nat(bytes.length), { freq: 6 });
    await fc.assert(
      fc.asyncProperty(patches, cut, async (list, length) => {
        const damaged = bytes.slice(0, length ?? bytes.length);
        for (const { at, with: value } of list)
          damaged.set(value.subarray(0, Math.max(0, damaged.length - at)), Math.min(at, damaged.length));
        const memory = new Recording(damaged);
        await look(driver, memory);
        expect(memory.steps).toEqual([]);
        const copy = new MemoryDriver(damaged);
        await change(driver, copy);
        expect(copy.size()).toBeLessThan(MOST);
      }),
      { numRuns: 150 },
    );
  });
});
