import { describe, expect, it } from 'vitest';
import { contentOf, fileOf, type Files, openIn } from './support.ts';

const SECTOR = 512;

/** An image with that `createType` and extent lines; `a` and `b` are files of 16 sectors, filled with 1 and 2. */
function disk(type: string, ...lines: string[]): Files {
  const files: Files = new Map();
  fileOf(files, 'a', new Uint8Array(16 * SECTOR).fill(1));
  fileOf(files, 'b', new Uint8Array(16 * SECTOR).fill(2));
  const text = ['# Disk DescriptorFile', 'version=1', 'CID=1', 'parentCID=ffffffff', `createType="${type}"`, ...lines];
  fileOf(files, 'disk.vmdk', new TextEncoder().encode(`${text.join('\n')}\n`));
  return files;
}

/** The first byte of each 8 sectors. */
async function bytesOf(files: Files): Promise<number[]> {
  const content = await contentOf(await openIn(files, { readOnly: true }));
  return Array.from({ length: content.length / SECTOR / 8 }, (_, i) => content[i * 8 * SECTOR] as number);
}

describe('extents without data', () => {
  it('take their place, so that nothing behind them moves forward', async () => {
    for (const empty of ['RW 8 ZERO', 'RDONLY 8 ZERO', 'RW 8 ZERO "a"', 'NOACCESS 8 ZERO']) {
      expect(await bytesOf(disk('monolithicFlat', 'RW 8 FLAT "a" 0', empty, 'RW 8 FLAT "b" 0'))).toEqual([1, 0, 2]);
    }
    expect(await bytesOf(disk('monolithicFlat', 'RW 16 ZERO'))).toEqual([0, 0]);
    expect(await bytesOf(disk('vmfs', 'RDONLY 8 FLAT "a" 8', 'RW 8 VMFS "b"'))).toEqual([1, 2]);
  });

  it('are zeroes that the format records, for map and convert', async () => {
    const node = await openIn(disk('monolithicFlat', 'RW 8 FLAT "a" 0', 'RW 8 ZERO'), { readOnly: true });
    expect(await node.map(8 * SECTOR, 8 * SECTOR)).toEqual({ kind: 'zero', length: 8 * SECTOR });
    expect(await node.check('none', () => {})).toMatchObject({ corruptions: 0 });
    expect(JSON.stringify(await node.info())).toContain('{"virtual-size":4096,"format":"ZERO"}');
  });

  it('cannot be written, and say so; what is beside them can', async () => {
    const files = disk('custom', 'RW 8 FLAT "a" 0', 'RW 8 ZERO', 'RDONLY 8 FLAT "b" 0');
    const said: string[] = [];
    const node = await openIn(files, { say: (line) => said.push(line) });
    await node.write(0, new Uint8Array(SECTOR).fill(9));
    await expect(node.write(8 * SECTOR, new Uint8Array(SECTOR).fill(9))).rejects.toMatchObject({ kind: 'read-only' });
    await expect(node.write(16 * SECTOR, new Uint8Array(SECTOR).fill(9))).rejects.toMatchObject({ kind: 'read-only' });
    await node.close();
    expect(said).toEqual([
      'The descriptor does not allow writing to this extent (ZERO)',
      'The descriptor does not allow writing to this extent (RDONLY)',
    ]);
    expect(files.get('a')?.toBytes()[0]).toBe(9);
    expect(
      files
        .get('b')
        ?.toBytes()
        .every((byte) => byte === 2),
    ).toBe(true);
  });
});

describe('an extent without access', () => {
  it('has its place and its size, and is refused when it is read', async () => {
    const files = disk('partitionedDevice', 'RW 8 FLAT "a" 0', 'NOACCESS 8 FLAT "a" 8', 'RW 8 FLAT "b" 0');
    const said: string[] = [];
    const node = await openIn(files, { readOnly: true, say: (line) => said.push(line) });
    expect(node.size()).toBe(24 * SECTOR);
    const bytes = new Uint8Array(8 * SECTOR);
    await node.read(16 * SECTOR, bytes);
    expect(bytes[0]).toBe(2);
    for (const at of [8 * SECTOR, 7 * SECTOR]) {
      await expect(Promise.resolve(node.read(at, bytes))).rejects.toMatchObject({ kind: 'denied' });
    }
    expect(said).toEqual(['The descriptor does not allow access to this extent (NOACCESS)']);
    expect(node.children).toHaveLength(2);
  });
});

describe('kinds of images over plain extents', () => {
  it.each([
    'vmfsRaw',
    'vmfsRawDeviceMap',
    'vmfsPassthroughRawDeviceMap',
    'fullDevice',
    'partitionedDevice',
    'custom',
    'vmfsThin',
  ])('are read: %s', async (type) => {
    expect(await bytesOf(disk(type, 'RW 8 FLAT "b" 8'))).toEqual([2]);
    expect(await bytesOf(disk(type, 'RW 16 VMFSRAW "a"', 'RW 8 VMFS "b"'))).toEqual([1, 1, 2]);
  });

  it('refuse the pointer to a device in place of the device, but describe it', async () => {
    const files = disk('vmfsRawDeviceMap', 'RW 4096 VMFSRDM "a"');
    await expect(openIn(files, { readOnly: true })).rejects.toThrow(
      "'a' has 8192 bytes instead of the 2097152 of the device that it stands for",
    );
    expect((await openIn(files, { readOnly: true, intent: 'info' })).size()).toBe(2097152);
  });

  it('are refused if nobody knows them', async () => {
    await expect(openIn(disk('bent', 'RW 8 FLAT "a" 0'))).rejects.toThrow("Unsupported image type 'bent'");
  });
});
