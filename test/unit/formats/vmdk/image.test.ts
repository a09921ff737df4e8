import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { VmdkImage } from '../../../../src/formats/vmdk/image.ts';
import { contentOf, createIn, fileOf, type Files, openIn } from './support.ts';
import { driverBelow } from '../../../support/drivers.ts';

const GRAIN = 65536;
const SIZE = 5 * GRAIN + 1024;

const KINDS = [
  { subformat: 'monolithicSparse' },
  { subformat: 'monolithicSparse', zeroed_grain: true },
  { subformat: 'monolithicFlat' },
  { subformat: 'twoGbMaxExtentSparse' },
  { subformat: 'twoGbMaxExtentFlat' },
] as const;

const step = fc.record({
  kind: fc.constantFrom('write', 'write', 'zero', 'discard', 'reopen'),
  offset: fc.nat(SIZE - 1),
  length: fc.oneof(fc.nat(2000), fc.nat(3 * GRAIN)),
  fill: fc.integer({ min: 1, max: 255 }),
});

describe.each(KINDS)('an image of kind %o', (kind) => {
  it('holds what was written, and keeps it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        const files: Files = new Map();
        await createIn(files, { ...kind, size: SIZE });
        const model = new Uint8Array(SIZE);
        let node = await openIn(files);
        for (const { kind: what, offset, length, fill } of steps) {
          const end = Math.min(SIZE, offset + length);
          if (what === 'write') {
            await node.write(offset, new Uint8Array(end - offset).fill(fill));
            model.fill(fill, offset, end);
          } else if (what === 'zero') {
            await node.writeZeroes(offset, end - offset);
            model.fill(0, offset, end);
          } else if (what === 'discard') await node.discard(offset, end - offset);
          else {
            await node.close();
            node = await openIn(files);
          }
        }
        await node.close();
        const again = await openIn(files, { readOnly: true });
        expect(Buffer.compare(await contentOf(again), model)).toBe(0);
        await again.check('none', ({ text }) => expect.unreachable(text));
      }),
      { numRuns: 12 },
    );
  });
});

/** Little-endian words of a file. */
function words(files: Files, name: string, at: number, count: number): number[] {
  const bytes = files.get(name)?.toBytes() ?? new Uint8Array();
  const view = new DataView(bytes.buffer);
  return Array.from({ length: count }, (_, i) => view.getUint32(at + i * 4, true));
}

describe('a sparse extent', () => {
  it('is laid out as by the real tool', async () => {
    const files: Files = new Map();
    await createIn(files, { size: 3 * 2 ** 30 });
    const [header, flags] = [words(files, 'disk.vmdk', 0, 2), words(files, 'disk.vmdk', 8, 1)];
    expect(header).toEqual([0x564d444b, 1]);
    expect(flags).toEqual([3]);
    expect(words(files, 'disk.vmdk', 48, 5)).toEqual([0x15, 0, 0x196, 0, 0x380]);
    expect(files.get('disk.vmdk')?.size()).toBe(458752);
    expect(words(files, 'disk.vmdk', 0x15 * 512, 2)).toEqual([0x16, 0x1a]);
    expect(words(files, 'disk.vmdk', 0x196 * 512, 2)).toEqual([0x197, 0x19b]);
  });

  it('keeps both copies of a table in step', async () => {
    const files: Files = new Map();
    await createIn(files, { size: SIZE, zeroed_grain: true });
    const node = await openIn(files);
    await node.write(GRAIN + 5, Uint8Array.of(1));
    await node.writeZeroes(3 * GRAIN, GRAIN);
    await node.close();
    expect(words(files, 'disk.vmdk', 0x16 * 512, 5)).toEqual([0, 128, 0, 1, 0]);
    expect(words(files, 'disk.vmdk', 0x1b * 512, 5)).toEqual([0, 128, 0, 1, 0]);
    expect(files.get('disk.vmdk')?.size()).toBe(2 * GRAIN);
  });

  it('gets tables that it does not have', async () => {
    const files: Files = new Map();
    await createIn(files, { size: SIZE });
    const file = files.get('disk.vmdk');
    file?.write(0x15 * 512, new Uint8Array(4));
    file?.write(0x1a * 512, new Uint8Array(4));
    const node = await openIn(files);
    expect((await contentOf(node)).every((byte) => byte === 0)).toBe(true);
    await node.write(0, Uint8Array.of(7));
    await node.close();
    const again = await openIn(files, { readOnly: true });
    expect((await contentOf(again))[0]).toBe(7);
    const [redundant, primary] = [
      ...words(files, 'disk.vmdk', 0x15 * 512, 1),
      ...words(files, 'disk.vmdk', 0x1a * 512, 1),
    ];
    expect(primary).toBe(128);
    expect(redundant).toBe(132);
  });
});

describe('content ids', () => {
  it('change at the first write of each opening', async () => {
    const files: Files = new Map();
    for (const subformat of ['monolithicSparse', 'monolithicFlat']) {
      await createIn(files, { size: SIZE, subformat });
      const node = await openIn(files);
      const before = (driverBelow(node) as VmdkImage).contentId;
      await contentOf(node);
      expect((driverBelow(node) as VmdkImage).contentId).toBe(before);
      await node.write(0, Uint8Array.of(1));
      const after = (driverBelow(node) as VmdkImage).contentId;
      expect(after).not.toBe(before);
      await node.write(0, Uint8Array.of(2));
      await node.close();
      expect((driverBelow(await openIn(files)) as VmdkImage).contentId).toBe(after);
    }
  });

  it('tell when the backing image is another one', async () => {
    const files: Files = new Map();
    await createIn(files, { size: SIZE }, 'base.vmdk');
    const writer = await openIn(files, { name: 'base.vmdk' });
    await writer.write(0, Uint8Array.of(1, 2, 3));
    await writer.close();
    await createIn(files, { size: SIZE, backing_file: 'base.vmdk', backing_fmt: 'vmdk' });
    const base = await openIn(files, { name: 'base.vmdk' });
    const top = await openIn(files, { backing: base });
    expect(top.backingReference).toEqual({ file: 'base.vmdk', format: 'vmdk' });
    await top.write(1, Uint8Array.of(9));
    expect((await contentOf(top)).subarray(0, 4)).toEqual(Uint8Array.of(1, 9, 3, 0));
    await base.write(GRAIN, Uint8Array.of(4));
    expect((await top.read(0, new Uint8Array(3))) ?? 'still there').toBe('still there');
    await expect(async () => top.read(GRAIN, new Uint8Array(512))).rejects.toMatchObject({ code: 'EINVAL' });
  });
});

const REST = { subformat: 'x', adapter_type: 'y', compat6: true, hwversion: '9' };

describe('creating', () => {
  it.each([
    [{ backing_fmt: 'raw', ...REST }, 'backing_file must be a vmdk image'],
    [REST, 'invalid parameter value: y'],
    [{ ...REST, adapter_type: 'ide' }, 'invalid parameter value: x'],
    [{ compat6: true, hwversion: '9', subformat: 'monolithicFlat' }, 'compat6 cannot be enabled with hwversion set'],
    [{ subformat: 'monolithicFlat', backing_file: 'x' }, "Flat image can't have backing file"],
    [{ subformat: 'twoGbMaxExtentFlat', zeroed_grain: true }, "Flat image can't enable zeroed grain"],
    [{ backing_file: 'x' }, "Could not open 'x'"],
  ])('refuses %o in the real order', async (options, message) => {
    await expect(createIn(new Map(), { size: SIZE, ...options })).rejects.toThrow(message);
  });

  it('splits at 2 GiB', async () => {
    const files: Files = new Map();
    await createIn(files, { size: 2 ** 31 + 1, subformat: 'twoGbMaxExtentFlat' }, 'a.b/c.vmdk');
    expect([...files].map(([name, file]) => [name, file.size()]).slice(1)).toEqual([
      ['c-f001.vmdk', 2 ** 31],
      ['c-f002.vmdk', 512],
    ]);
    const node = await openIn(files, { name: 'a.b/c.vmdk' });
    await node.write(2 ** 31 - 2, Uint8Array.of(1, 2, 3, 4));
    const back = new Uint8Array(4);
    await node.read(2 ** 31 - 2, back);
    expect(back).toEqual(Uint8Array.of(1, 2, 3, 4));
  });
});

describe('extents that do not fit each other', () => {
  it('are written correctly all the same', async () => {
    const files: Files = new Map();
    await createIn(files, { size: SIZE, subformat: 'twoGbMaxExtentSparse' }, 'x.vmdk');
    fileOf(files, 'flat.bin', 3 * 512);
    const text =
      '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="twoGbMaxExtentSparse"\n' +
      'RW 3 FLAT "flat.bin" 0\nRW 1 SPARSE "x-s001.vmdk"\nRW 1 FLAT "flat.bin" 2\n';
    fileOf(files, 'disk.vmdk', new TextEncoder().encode(text));
    const node = await openIn(files);
    expect(node.size()).toBe(SIZE + 4 * 512);
    const data = Uint8Array.from({ length: 2 * GRAIN }, (_, i) => (i % 255) + 1);
    await Promise.all([node.write(1000, data.subarray(0, GRAIN)), node.write(1000 + GRAIN, data.subarray(GRAIN))]);
    const back = new Uint8Array(data.length);
    await node.read(1000, back);
    expect(Buffer.compare(back, data)).toBe(0);
  });
});
