import { describe, expect, it } from 'vitest';
import type { FormatDriver } from '../../../src/block/format.ts';
import { bochs } from '../../../src/formats/bochs/driver.ts';
import { parallels } from '../../../src/formats/parallels/driver.ts';
import { qcow } from '../../../src/formats/qcow/driver.ts';
import { qcow2 } from '../../../src/formats/qcow2/driver.ts';
import { vdi } from '../../../src/formats/vdi/driver.ts';
import { vmdk } from '../../../src/formats/vmdk/driver.ts';
import { memoryStorage } from '../../../src/storage/memory.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { bochsImage } from '../../fixtures/bochs.ts';
import { checkOn, createOn, openOn } from '../../support/smallFormats.ts';
import { readAll } from '../../support/vpcVhdx.ts';

const MiB = 1048576;
const SIZE = 4 * MiB;

/** An image that is full of ones, with its data behind its tables. */
async function full(driver: FormatDriver, size: number = SIZE): Promise<Storage> {
  const file = memoryStorage(0, 'disk');
  await createOn(driver, file, { size });
  const node = await openOn(driver, file);
  const ones = new Uint8Array(size).fill(1);
  for (let at = 0; at < size; at += 2 * MiB) await node.write(at, new Uint8Array(512));
  await node.write(0, ones);
  await node.close();
  return file;
}

/** Reads an image for reading only; returns the number of ones, or the kind of the error, and the warnings. */
async function read(driver: FormatDriver, file: Storage): Promise<{ found: unknown; warnings: string[] }> {
  const warnings: string[] = [];
  const node = await openOn(driver, file, { readOnly: true, tellMissing: (text) => warnings.push(text) });
  let found: unknown;
  try {
    found = (await readAll(node)).reduce((sum, byte) => sum + byte, 0);
  } catch (error) {
    found = (error as { kind: string }).kind;
  }
  await node.close();
  return { found, warnings };
}

describe('an image that was cut off', () => {
  it('cannot be read where data of a VDI is missing', async () => {
    for (const cut of [1, 700, MiB - 512]) {
      const file = await full(vdi);
      expect(await read(vdi, file)).toEqual({ found: SIZE, warnings: [] });
      await file.truncate(file.size() - cut);
      const { found, warnings } = await read(vdi, file);
      expect(found).toBe('io');
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain("'disk' was cut off");
      // What is there can be read, and the map tells the same place.
      const node = await openOn(vdi, file, { readOnly: true, tellMissing: () => {} });
      const bytes = new Uint8Array(3 * MiB);
      await node.read(0, bytes);
      expect(bytes.every((byte) => byte === 1)).toBe(true);
      const run = await node.map(3 * MiB, MiB);
      expect(run.kind).toBe('data');
      expect(run.length).toBe(cut < 512 ? MiB - 512 : MiB - Math.ceil(cut / 512) * 512);
    }
  });

  it('is silent about a wild entry of qcow2, as the real tool is', async () => {
    const file = await full(qcow2);
    // The first entry of the L2 table that the first L1 entry names.
    const l1 = new Uint8Array(8);
    await file.read(40, l1);
    const table = Number(new DataView(l1.buffer).getBigUint64(0));
    await file.read(table, l1);
    const l2 = Number(new DataView(l1.buffer).getBigUint64(0) & 0x00fffffffffffe00n);
    const entry = new DataView(new ArrayBuffer(8));
    entry.setBigUint64(0, 0x8000000040000000n);
    await file.write(l2, new Uint8Array(entry.buffer));
    const { warnings } = await read(qcow2, file);
    expect(warnings).toEqual([]);
  });

  it.each<[string, FormatDriver, number]>([
    ['qcow2', qcow2, 2 * MiB],
    ['qcow2 without its last cluster', qcow2, 65536],
    ['qcow', qcow, 2 * MiB],
    ['qcow without its last cluster', qcow, 4096],
    ['Parallels', parallels, 2 * MiB],
    ['VMDK', vmdk, 2 * MiB],
    ['VMDK without its last grain', vmdk, 65536],
  ])('reads as in the real tool, but says once what is missing: %s', async (_, driver, cut) => {
    const file = await full(driver);
    expect(await read(driver, file)).toEqual({ found: SIZE, warnings: [] });
    await file.truncate(file.size() - cut);
    const { found, warnings } = await read(driver, file);
    expect(found).toBe(SIZE - cut);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^'disk' (was cut off: it ends before|does not have the data)/);
  });

  it.each<[string, FormatDriver]>([
    ['qcow2', qcow2],
    ['qcow', qcow],
    ['VMDK', vmdk],
  ])('is not told from one whose last unit is short: %s', async (_, driver) => {
    const file = await full(driver);
    await file.truncate(file.size() - 700);
    expect(await read(driver, file)).toEqual({ found: SIZE - 700, warnings: [] });
  });

  it('says so where a table is missing', async () => {
    const file = await full(qcow);
    const start = new Uint8Array(8);
    await file.read(40, start);
    await file.read(Number(new DataView(start.buffer).getBigUint64(0)), start);
    await file.truncate(Number(new DataView(start.buffer).getBigUint64(0)));
    expect(await read(qcow, file)).toEqual({
      found: 0,
      warnings: [expect.stringContaining('it ends before the table for the disk at 0')],
    });
    const whole = bochsImage({
      extent: 4096,
      size: 8192,
      catalog: [0, 1],
      extents: [0, 1].map(() => ({ bitmap: Uint8Array.of(0xff), data: new Uint8Array(4096).fill(1) })),
    });
    expect(await read(bochs, memoryStorage(whole, 'disk'))).toEqual({ found: 8192, warnings: [] });
    const cut = await read(bochs, memoryStorage(whole.subarray(0, whole.length - 4608), 'disk'));
    expect(cut.found).toBe(4096);
    expect(cut.warnings).toEqual([expect.stringContaining('the table for the disk at 4096')]);
  });

  it('is not looked at while it is written: room may be recorded before the file has it', async () => {
    const file = await full(vdi);
    const node = await openOn(vdi, file);
    await file.truncate(file.size() - MiB);
    await node.read(3 * MiB, new Uint8Array(512));
    expect(await node.map(3 * MiB, MiB)).toMatchObject({ kind: 'data', length: MiB });
  });
});

describe('the checks of an image that was cut off', () => {
  it('name the blocks of a VDI that are not in the file', async () => {
    const file = await full(vdi, SIZE - 512 * 1024);
    expect(await checkOn(vdi, file)).toMatchObject({ corruptions: 0 });
    // The rest of the last block is behind the end of the disk.
    await file.truncate(file.size() - 512 * 1024);
    expect(await checkOn(vdi, file)).toMatchObject({ corruptions: 0 });
    expect((await read(vdi, file)).warnings).toEqual([]);
    await file.truncate(file.size() - 1);
    expect(await checkOn(vdi, file)).toMatchObject({
      corruptions: 1,
      lines: ['ERROR: block index 3 is not in the file, which was cut off'],
    });
  });

  it('find missing bytes when they go deep, where the real tool looks at the beginning of a grain only', async () => {
    const file = await full(vmdk);
    const look = async (): Promise<{ corruptions: number | undefined; lines: string[] }> => {
      const node = await openOn(vmdk, file, { readOnly: true, intent: 'check' });
      const lines: string[] = [];
      const found = await node.check('none', ({ text }) => lines.push(text), true);
      return { corruptions: found?.corruptions, lines };
    };
    expect(await look()).toEqual({ corruptions: 0, lines: [] });
    await file.truncate(file.size() - 512);
    expect(await checkOn(vmdk, file)).toMatchObject({ corruptions: 0, lines: [] });
    expect(await look()).toEqual({
      corruptions: 1,
      lines: ["ERROR 'disk' ends before the data of the disk at 0x3ffe00"],
    });
  });
});
