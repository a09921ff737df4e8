import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { littleEndian } from '../../../../src/base/bytes.ts';
import { MiB } from '../../../../src/base/offset.ts';
import { vdi } from '../../../../src/formats/vdi/driver.ts';
import { MemoryDriver, memoryStorage } from '../../../../src/storage/memory.ts';
import { changesOf, checkOn, createOn, emptyImage, Mirror, openOn } from '../../../support/smallFormats.ts';
import { Recording, storageOf } from '../../../support/vpcVhdx.ts';

const SIZE = 5 * MiB + 1536;

describe('VDI images', () => {
  it.each([false, true])('hold what was written (static: %s)', async (fixed) => {
    await fc.assert(
      fc.asyncProperty(changesOf(SIZE, 3000), async (changes) => {
        const memory = new MemoryDriver(0);
        const file = storageOf(memory);
        await createOn(vdi, file, { size: SIZE, static: fixed });
        const mirror = await Mirror.start(() => openOn(vdi, file));
        for (const change of changes) await mirror.apply(change);
        expect(await mirror.holds()).toBe(true);
        expect(await checkOn(vdi, file)).toMatchObject({ corruptions: 0, lines: [] });
      }),
      { numRuns: 25 },
    );
  });

  it('have the layout that other programs expect', async () => {
    const bytes = await emptyImage(vdi, { size: 3 * MiB, static: true });
    expect(bytes.length).toBe(1024 + 3 * MiB);
    const fields = littleEndian(bytes);
    expect([0, 1, 2, 3].map((block) => fields.u32(512 + block * 4))).toEqual([0, 1, 2, 0]);
    // Version 4, variant 1, in the mixed byte order of the format.
    expect([fields.u8(0x18f) >>> 4, fields.u8(0x190) >>> 6]).toEqual([4, 2]);
    const dynamic = littleEndian(await emptyImage(vdi, { size: 3 * MiB, static: false }));
    expect([0, 2, 3].map((block) => dynamic.u32(512 + block * 4))).toEqual([0xffffffff, 0xffffffff, 0]);
  });

  it('ask the storage for holes only when they are static', async () => {
    for (const fixed of [false, true]) {
      const file = memoryStorage(await emptyImage(vdi, { size: MiB, static: fixed }));
      const node = await openOn(vdi, file);
      await node.write(0, new Uint8Array(512).fill(1));
      expect(await node.map(0, MiB)).toMatchObject(fixed ? { kind: 'data', sparse: true } : { kind: 'data' });
      expect('sparse' in (await node.map(0, MiB))).toBe(fixed);
    }
  });

  it('put new blocks behind all others, whatever the header counts', async () => {
    const file = memoryStorage(await emptyImage(vdi, { size: 4 * MiB }));
    const first = await openOn(vdi, file);
    await first.write(0, new Uint8Array(MiB).fill(1));
    await first.write(MiB, new Uint8Array(MiB).fill(2));
    await first.close();
    await file.write(0x184, new Uint8Array(4));
    expect((await checkOn(vdi, file)).lines).toEqual(['ERROR: allocated blocks mismatch, is 2, should be 0']);
    const second = await openOn(vdi, file);
    await second.write(3 * MiB, new Uint8Array(512).fill(3));
    await second.close();
    expect(await checkOn(vdi, file)).toMatchObject({ corruptions: 0 });
    expect(file.size()).toBe(1024 + 3 * MiB);
  });

  it('are checked', async () => {
    const bytes = await emptyImage(vdi, { size: 4 * MiB });
    const fields = littleEndian(bytes);
    [1, 1, 9, 0xfffffffe].forEach((index, block) => fields.setU32(512 + block * 4, index));
    const found = await checkOn(vdi, memoryStorage(bytes));
    expect(found.lines).toEqual([
      'ERROR: block index 0 is not in the file, which was cut off',
      'ERROR: block index 1 also used by 1',
      'ERROR: block index 2 too large, is 9',
      'ERROR: allocated blocks mismatch, is 2, should be 0',
    ]);
    expect(found.corruptions).toBe(4);
    await expect(checkOn(vdi, memoryStorage(bytes), 'all')).rejects.toMatchObject({ kind: 'unsupported' });
  });

  it('are not written where the block map is damaged', async () => {
    const bytes = await emptyImage(vdi, { size: 4 * MiB });
    littleEndian(bytes).setU32(512, 1000000);
    const file = memoryStorage(bytes);
    const node = await openOn(vdi, file);
    await expect(Promise.resolve(node.write(0, new Uint8Array(512)))).rejects.toMatchObject({ kind: 'io' });
    expect(file.size()).toBe(1024);
  });

  it('are checked quickly even if the block map is missing', async () => {
    const bytes = await emptyImage(vdi, { size: 4 * MiB });
    littleEndian(bytes).setU32(0x180, 0x1fffff80);
    littleEndian(bytes).setU32(0x154, 0x10000000);
    const found = await checkOn(vdi, memoryStorage(bytes));
    expect(found.corruptions).toBe(0x1fffff80 + 1);
    expect(found.lines.length).toBeLessThan(10100);
  });

  it('lose nothing that was flushed when the power goes', async () => {
    const memory = new Recording(await emptyImage(vdi, { size: 8 * MiB }));
    const node = await openOn(vdi, storageOf(memory));
    await node.write(MiB, new Uint8Array(MiB).fill(1));
    await node.flush();
    const safe = memory.steps.length;
    await node.write(0, new Uint8Array(3000).fill(2));
    await node.write(4 * MiB, new Uint8Array(3000).fill(3));
    await node.close();
    let count = 0;
    for (const { name, file } of memory.cuts()) {
      const found = await checkOn(vdi, file);
      const serious = found.lines.filter((line) => !line.includes('mismatch'));
      expect({ name, serious }).toEqual({ name, serious: [] });
      // Programs that trust the count must not put new blocks over others.
      for (const line of found.lines) {
        const [, is, should] = /is (\d+), should be (\d+)/.exec(line) ?? [];
        expect(Number(should)).toBeGreaterThan(Number(is));
      }
      if (Number(/\d+/.exec(name)?.[0]) <= safe) continue;
      const again = await openOn(vdi, file, { readOnly: true });
      const bytes = new Uint8Array(MiB);
      await again.read(MiB, bytes);
      expect(bytes.every((byte) => byte === 1)).toBe(true);
      count++;
    }
    expect(count).toBeGreaterThan(3);
  });
});
