import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProtocolContext, ProtocolStorage } from '../../../../src/block/protocol.ts';
import { NodeFiles } from '../../../../src/host/node/file.ts';
import type { AnyOptionValues } from '../../../../src/options/table.ts';
import { vvfatDriver } from '../../../../src/protocols/vvfat/driver.ts';
import { readFat } from '../../../fixtures/fat.ts';

const files = new NodeFiles();
const lines: string[] = [];

function openDisk(options: AnyOptionValues, writable = false): Promise<ProtocolStorage> {
  const context = {
    services: { files, zoneOffset: () => 0 },
    writable,
    given: options,
    warn: (text: string) => lines.push(text),
    notice: (text: string) => lines.push(text),
  };
  return vvfatDriver.open(context as unknown as ProtocolContext, options);
}

async function contentOf(disk: ProtocolStorage): Promise<Uint8Array> {
  // Everything after the first megabytes is empty in these tests.
  const bytes = new Uint8Array(Math.min(disk.size(), 4194304));
  await disk.read(0, bytes);
  await disk.close();
  return bytes;
}

let directory: string;
beforeEach(() => {
  lines.length = 0;
  directory = mkdtempSync(join(tmpdir(), 'qimg-vvfat-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function fill(): Readonly<Record<string, Uint8Array | undefined>> {
  const tree: Record<string, Uint8Array | undefined> = {};
  mkdirSync(join(directory, 'sub/A directory with a long name/deep'), { recursive: true });
  for (const path of ['sub/', 'sub/A directory with a long name/', 'sub/A directory with a long name/deep/']) {
    tree[path] = undefined;
  }
  for (let index = 0; index < 12; index++) {
    const place = ['', 'sub/', 'sub/A directory with a long name/deep/'][index % 3] as string;
    const content = new Uint8Array(index * index * 1500).fill(index);
    const path = `${place}file number ${index} – größer.bin`;
    writeFileSync(join(directory, path), content);
    tree[path] = content;
  }
  return tree;
}

describe('directories as FAT disks', () => {
  const kinds: AnyOptionValues[] = [];
  for (const bits of [0, 12, 16, 32]) for (const floppy of [true, false]) kinds.push({ 'fat-type': bits, floppy });

  it.each(kinds)('hold the files of the directory (%o)', async (kind) => {
    const expected = fill();
    const disk = await openDisk({ dir: directory, ...kind });
    const found = readFat(await contentOf(disk));
    expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
    for (const [path, content] of Object.entries(expected)) {
      expect({ path, same: !content || Buffer.compare(content, found[path] as Uint8Array) === 0 }).toEqual({
        path,
        same: true,
      });
    }
    expect(lines).toEqual(kind['fat-type'] === 32 ? ['FAT32 has not been tested. You are welcome to do so!'] : []);
  });

  it('read the same in any pieces', async () => {
    fill();
    const disk = await openDisk({ dir: directory, floppy: true });
    const whole = await contentOf(disk);
    const again = await openDisk({ dir: directory, floppy: true });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(900000), fc.nat(20000)), { maxLength: 12 }), async (ranges) => {
        await Promise.all(
          ranges.map(async ([offset, length]) => {
            const piece = new Uint8Array(length);
            await again.read(offset, piece);
            expect(Buffer.compare(piece, whole.subarray(offset, offset + length))).toBe(0);
          }),
        );
      }),
      { numRuns: 20 },
    );
    await again.close();
  });

  it('follow links, but not in circles, and leave out those that lead nowhere', async () => {
    mkdirSync(join(directory, 'sub'));
    writeFileSync(join(directory, 'sub/file'), 'x');
    symlinkSync('.', join(directory, 'circle'));
    symlinkSync('../sub', join(directory, 'sub/again'));
    symlinkSync('sub', join(directory, 'link'));
    symlinkSync('nowhere', join(directory, 'broken'));
    const found = readFat(await contentOf(await openDisk({ dir: directory })));
    expect(Object.keys(found).sort()).toEqual(['link/', 'link/file', 'sub/', 'sub/file']);
  });

  it('read as zeroes where a file became shorter, and fail where it is gone', async () => {
    writeFileSync(join(directory, 'a'), new Uint8Array(9000).fill(7));
    const disk = await openDisk({ dir: directory, floppy: true });
    truncateSync(join(directory, 'a'), 5000);
    expect(readFat(await contentOf(disk))['a']?.filter((byte) => byte === 7).length).toBe(5000);
    const other = await openDisk({ dir: directory, floppy: true });
    rmSync(join(directory, 'a'));
    await expect(contentOf(other)).rejects.toMatchObject({ kind: 'io' });
  });

  it.each<[string, AnyOptionValues, boolean]>([
    ["vvfat block driver requires a 'dir' option", {}, false],
    ['Valid FAT types are only 12, 16 and 32', { dir: '.', 'fat-type': 13 }, false],
    ['vvfat label cannot be longer than 11 bytes', { dir: '.', label: 'abcdefghijkl' }, false],
    ["Unable to set VVFAT to 'rw' when drive is read-only", { dir: '.', rw: true }, false],
    ['Writing into a directory through a FAT disk is not supported', { dir: '.', rw: true }, true],
    ['Image is read-only', { dir: '.' }, true],
    ['Could not read directory /nonexistent', { dir: '/nonexistent' }, false],
  ])('are refused: %s', async (message, options, writable) => {
    await expect(openDisk(options, writable)).rejects.toThrow(message);
  });

  it('are refused if the files do not fit', async () => {
    writeFileSync(join(directory, 'large'), '');
    truncateSync(join(directory, 'large'), 4000000);
    const message = 'Directory does not fit in FAT12 (capacity 2.88 MB)';
    await expect(openDisk({ dir: directory, floppy: true })).rejects.toThrow(message);
    truncateSync(join(directory, 'large'), 3000000000);
    await expect(openDisk({ dir: directory })).rejects.toThrow(`Could not read directory ${directory}`);
    expect(lines).toEqual([`File ${directory}/large is larger than 2GB`]);
  });

  it('are refused if there are too many entries in the root', async () => {
    for (let index = 0; index < 256; index++) writeFileSync(join(directory, `f${index}`), '');
    await expect(openDisk({ dir: directory })).rejects.toThrow('Could not read directory');
    expect(lines).toEqual(['Too many entries in root directory']);
  });
});

describe('names of FAT disks', () => {
  it.each([
    ['fat:dir', { 'fat-type': 0, dir: 'dir', floppy: false, rw: false }],
    ['fat:floppy:12:/a/b', { 'fat-type': 12, dir: '/a/b', floppy: true, rw: false }],
    ['fat:rw:32:dir', { 'fat-type': 32, dir: 'dir', floppy: false, rw: true }],
    ['fat:c:dir', { 'fat-type': 0, dir: 'c:dir', floppy: false, rw: false }],
    ['fat:', { 'fat-type': 0, dir: '', floppy: false, rw: false }],
  ])('%s', (name, options) => {
    expect(vvfatDriver.parseFilename(name)).toEqual(options);
  });

  it('can be used to open them again', async () => {
    const disk = await openDisk({ dir: directory, floppy: true, label: 'X' });
    expect(disk.name).toBe(
      `json:{"dir": ${JSON.stringify(directory)}, "driver": "vvfat", "floppy": true, "label": "X"}`,
    );
    await disk.close();
  });
});
