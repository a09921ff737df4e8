import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { littleEndian } from '../../../../src/base/bytes.ts';
import { KiB } from '../../../../src/base/offset.ts';
import { parallels } from '../../../../src/formats/parallels/driver.ts';
import { MemoryDriver, memoryStorage } from '../../../../src/storage/memory.ts';
import { changesOf, checkOn, createOn, emptyImage, Mirror, openOn, tolerate } from '../../../support/smallFormats.ts';
import { Recording, storageOf } from '../../../support/vpcVhdx.ts';

const CLUSTER = 4 * KiB;
const SIZE = 40 * KiB;

/** An image of 40 KiB with 4 KiB clusters; entries of the BAT as given, the file as long as they need, or longer. */
async function imageOf(bat: readonly number[], fileClusters?: number): Promise<MemoryDriver> {
  const bytes = await emptyImage(parallels, { size: SIZE, cluster_size: CLUSTER });
  bat.forEach((entry, index) => littleEndian(bytes).setU32(64 + index * 4, entry));
  const memory = new MemoryDriver(bytes);
  const used = fileClusters ?? Math.max(0, ...bat) + 1;
  memory.truncate(used * CLUSTER, 'off');
  for (let unit = 1; unit < used; unit++) memory.write(unit * CLUSTER, new Uint8Array(CLUSTER).fill(unit));
  return memory;
}

/** Makes an image of the older format from an empty one of the newer, with another cluster size. */
function older(bytes: Uint8Array, sectors: number): Uint8Array {
  const fields = littleEndian(bytes);
  fields.set(0, new TextEncoder().encode('WithoutFreeSpace'));
  fields.setU32(28, sectors);
  fields.setU32(32, Math.ceil(SIZE / 512 / sectors));
  fields.setU32(48, 0);
  return bytes.subarray(0, 512);
}

describe('Parallels images', () => {
  it.each([CLUSTER, 3 * 512, 64 * KiB])('hold what was written (clusters of %i bytes)', async (cluster) => {
    await fc.assert(
      fc.asyncProperty(changesOf(SIZE - 700, 9000), async (changes) => {
        const file = storageOf(new MemoryDriver(0));
        await createOn(parallels, file, { size: SIZE - 700, cluster_size: cluster });
        const mirror = await Mirror.start(() => openOn(parallels, file));
        for (const change of changes) await mirror.apply(change);
        expect(await mirror.holds()).toBe(true);
        expect(await checkOn(parallels, file)).toMatchObject({ corruptions: 0, leaks: 0, lines: [] });
      }),
      { numRuns: 25 },
    );
  });

  it('of the older format hold what was written', async () => {
    await fc.assert(
      fc.asyncProperty(changesOf(SIZE, 9000), async (changes) => {
        const empty = await emptyImage(parallels, { size: SIZE, cluster_size: CLUSTER });
        const file = memoryStorage(older(empty, 7));
        const mirror = await Mirror.start(() => openOn(parallels, file));
        for (const change of changes) await mirror.apply(change);
        expect(await mirror.holds()).toBe(true);
        expect(await checkOn(parallels, file)).toMatchObject({ corruptions: 0, leaks: 0, lines: [] });
      }),
      { numRuns: 15 },
    );
  });

  it('take the first free clusters and cut off the rest of the file', async () => {
    const memory = await imageOf([3], 7);
    const node = await openOn(parallels, storageOf(memory));
    await node.write(5 * CLUSTER, new Uint8Array(3 * CLUSTER).fill(9));
    await node.close();
    const fields = littleEndian(memory.toBytes());
    expect([0, 5, 6, 7].map((index) => fields.u32(64 + index * 4))).toEqual([3, 1, 2, 4]);
    expect(memory.size()).toBe(5 * CLUSTER);
  });

  it('say that they are in use from the first change until they are closed', async () => {
    const memory = await imageOf([1]);
    const inUse = () => littleEndian(memory.toBytes()).u32(44);
    const node = await openOn(parallels, storageOf(memory));
    expect(inUse()).toBe(0);
    await node.write(0, new Uint8Array(1));
    expect(inUse()).toBe(0x746f6e59);
    await node.close();
    expect(inUse()).toBe(0);
  });

  it('are checked', async () => {
    const memory = await imageOf([1, 1, 90, 2], 5);
    memory.write(44, Uint8Array.of(0x59, 0x6e, 0x6f, 0x74));
    expect(await checkOn(parallels, storageOf(memory))).toMatchObject({
      corruptions: 3,
      leaks: 2,
      imageEndOffset: 3 * CLUSTER,
      clusters: { total: 10, allocated: 3, fragmented: 1 },
      lines: [
        'ERROR image was not closed correctly',
        'ERROR cluster 2 is outside image',
        `ERROR space leaked at the end of the image ${2 * CLUSTER}`,
        'ERROR duplicate offset in BAT entry 1',
      ],
    });
  });

  it('are repaired, and keep the content of clusters that were used twice', async () => {
    const memory = await imageOf([1, 1, 90, 2], 5);
    memory.write(48, Uint8Array.of(1, 0, 0, 0));
    const found = await checkOn(parallels, storageOf(memory), 'all');
    expect(found).toMatchObject({ corruptions: 0, corruptionsFixed: 3, leaksFixed: 2 });
    expect(await checkOn(parallels, storageOf(memory))).toMatchObject({ corruptions: 0, leaks: 0, lines: [] });
    const node = await openOn(parallels, storageOf(memory));
    const bytes = new Uint8Array(4 * CLUSTER);
    await node.read(0, bytes);
    expect([0, 1, 2, 3].map((cluster) => bytes[cluster * CLUSTER])).toEqual([1, 1, 0, 2]);
  });

  it('are repaired before they are written', async () => {
    const memory = await imageOf([1, 1]);
    const node = await openOn(parallels, storageOf(memory));
    await node.write(0, new Uint8Array(CLUSTER).fill(7));
    const bytes = new Uint8Array(2 * CLUSTER);
    await node.read(0, bytes);
    expect([bytes[0], bytes[CLUSTER]]).toEqual([7, 1]);
    await node.close();
  });

  it('are never changed by a read-only opening, whatever is in them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ at: fc.nat(120), value: fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff) }), { maxLength: 6 }),
        async (changes) => {
          const bytes = (await imageOf([1, 2, 0, 3])).toBytes();
          for (const { at, value } of changes) bytes[at] = value;
          const memory = new MemoryDriver(bytes);
          await tolerate(async () => {
            const node = await openOn(parallels, storageOf(memory, true), { readOnly: true });
            if (node.size() > 1e9) return;
            await node.read(0, new Uint8Array(Math.min(node.size(), 65536)));
            await node.close();
          });
          await tolerate(() => checkOn(parallels, storageOf(memory, true)));
          expect(Buffer.compare(memory.toBytes(), bytes)).toBe(0);
          await tolerate(() => checkOn(parallels, storageOf(memory), 'all'));
        },
      ),
      { numRuns: 150 },
    );
  });

  it('lose nothing that was flushed when the power goes', async () => {
    const memory = new Recording((await imageOf([1, 2])).toBytes());
    const node = await openOn(parallels, storageOf(memory));
    await node.write(4 * CLUSTER, new Uint8Array(CLUSTER).fill(1));
    await node.flush();
    const safe = memory.steps.length;
    await node.writeZeroes(0, CLUSTER);
    await node.write(6 * CLUSTER, new Uint8Array(300).fill(3));
    await node.flush();
    await node.write(8 * CLUSTER, new Uint8Array(300).fill(4));
    await node.close();
    for (const { name, file } of memory.cuts()) {
      const found = await checkOn(parallels, file);
      const serious = found.lines.filter((line) => !/not closed|leaked/.test(line));
      expect({ name, serious }).toEqual({ name, serious: [] });
      if (Number(/\d+/.exec(name)?.[0]) <= safe) continue;
      const again = await openOn(parallels, file, { readOnly: true });
      const bytes = new Uint8Array(CLUSTER);
      await again.read(4 * CLUSTER, bytes);
      expect(bytes.every((byte) => byte === 1)).toBe(true);
    }
  });

  it('are checked quickly even if the BAT is missing', async () => {
    const bytes = (await imageOf([])).toBytes();
    littleEndian(bytes).setU32(32, 0x1fffffff);
    expect(await checkOn(parallels, memoryStorage(bytes))).toMatchObject({ corruptions: 1 });
  });
});
