import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { concatBytes, littleEndian } from '../../../../src/base/bytes.ts';
import { MiB } from '../../../../src/base/offset.ts';
import { parallels } from '../../../../src/formats/parallels/driver.ts';
import { encodeHeader, layoutOf, parseHeader } from '../../../../src/formats/parallels/header.ts';
import { probe } from '../../../../src/formats/parallels/probe.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import { emptyImage, openOn } from '../../../support/smallFormats.ts';

type Fields = ReturnType<typeof littleEndian>;

function header(change: (fields: Fields) => void = () => undefined): Uint8Array {
  const bytes = encodeHeader(layoutOf(10 * MiB, MiB), MiB);
  change(littleEndian(bytes));
  return bytes;
}

describe('Parallels headers', () => {
  it('are read as they are written', () => {
    expect(parseHeader(header(), MiB)).toEqual({
      cluster: MiB,
      entries: 10,
      virtualSize: 10 * MiB,
      entryUnit: MiB,
      dataOffset: MiB,
      wrongDataOffset: false,
      inUse: false,
      extension: 0,
    });
    expect(layoutOf(513, 512)).toEqual({ sectors: 2, entries: 2, dataOffset: 512 });
    expect(layoutOf(2 ** 40, MiB).dataOffset).toBe(5 * MiB);
  });

  it('are found by both magics', () => {
    expect(probe(header())).toBe(100);
    expect(probe(header((f) => f.set(0, new TextEncoder().encode('WithoutFreeSpace'))))).toBe(100);
    expect(probe(header().subarray(0, 17))).toBe(100);
    expect(probe(header((f) => f.setU32(16, 3)))).toBe(0);
    expect(probe(new Uint8Array(5))).toBe(0);
  });

  it('of the older format count in sectors, and may leave out where the data is', () => {
    const old = header((f) => {
      f.set(0, new TextEncoder().encode('WithoutFreeSpace'));
      f.setU32(48, 0);
      f.setU32(40, 1);
    });
    expect(parseHeader(old, 512)).toMatchObject({
      entryUnit: 512,
      dataOffset: 512,
      wrongDataOffset: false,
      virtualSize: 10 * MiB,
    });
  });

  it.each([0, 1, 2047, 4096, 0xffffffff])('with data at sector %i are corrected', (sector) => {
    const damaged = header((f) => f.setU32(48, sector));
    expect(parseHeader(damaged, MiB)).toMatchObject({ wrongDataOffset: true, dataOffset: MiB });
  });

  it.each<[string, (fields: Fields) => void]>([
    ['Image not in Parallels format', (f) => f.setU32(16, 7)],
    ['Image not in Parallels format', (f) => f.setU8(3, 7)],
    ['Invalid image: Zero sectors per track', (f) => f.setU32(28, 0)],
    ['Invalid image: Too big cluster', (f) => f.setU32(28, 4186128)],
    ['Catalog too large', (f) => f.setU32(32, 0x20000000)],
    ['Invalid image: Catalog size too small for advertised disk size', (f) => f.setU32(32, 9)],
    ['Invalid image: Catalog size too small for advertised disk size', (f) => f.setBig64(36, 2n ** 64n - 1n)],
    ['Invalid image: Too big offset', (f) => f.setBig64(56, 2n ** 54n)],
  ])('are refused: %s', (message, change) => {
    expect(() => parseHeader(header(change), MiB)).toThrow(message);
  });
});

const BITMAP = 0x20385fae252cb34an;

function feature(magic: bigint, data: Uint8Array, flags = 0, length: number = data.length): Uint8Array {
  const fields = littleEndian(new Uint8Array(24));
  fields.setBig64(0, magic);
  fields.setU64(8, flags);
  fields.setU32(16, length);
  return concatBytes([fields.bytes, data, new Uint8Array((8 - (data.length % 8)) % 8)]);
}

function bitmap(how: { sectors?: number; granularity?: number; entries?: number } = {}): Uint8Array {
  const fields = littleEndian(new Uint8Array(40));
  fields.setU64(0, how.sectors ?? 20480);
  fields.setU8(8, 0xab);
  fields.setU32(24, how.granularity ?? 128);
  fields.setU32(28, how.entries ?? 1);
  return fields.bytes;
}

/** Opens an image with these features in its extension. */
async function openWith(features: readonly Uint8Array[], spoil = 0): Promise<unknown> {
  const bytes = new Uint8Array(2 * MiB);
  bytes.set(await emptyImage(parallels, { size: 10 * MiB, cluster_size: MiB }));
  const fields = littleEndian(bytes);
  fields.setU64(56, MiB / 512);
  fields.setBig64(MiB, 0xab234cef23dcea87n);
  bytes.set(concatBytes(features), MiB + 24);
  bytes.set(
    createHash('md5')
      .update(bytes.subarray(MiB + 24))
      .digest(),
    MiB + 8,
  );
  if (spoil > 0) bytes[MiB + spoil] = 77;
  return openOn(parallels, memoryStorage(bytes), { readOnly: true });
}

describe('Parallels format extensions', () => {
  it('are accepted if they are in order', async () => {
    await expect(openWith([])).resolves.toBeDefined();
    await expect(openWith([feature(BITMAP, bitmap())])).resolves.toBeDefined();
  });

  it.each<[string, Uint8Array[], number]>([
    ['Wrong parallels Format Extension magic: 0xab234cef23dc4d87, expected: 0xab234cef23dcea87', [], 1],
    ['Wrong checksum in Format Extension header. Format extension is corrupted.', [], 12],
    ['Unknown feature: 0x4d', [feature(77n, new Uint8Array(3))], 0],
    ['Flags for extension feature are unsupported', [feature(77n, new Uint8Array(3), 1)], 0],
    ['Feature data_size exceedes Format Extension cluster', [feature(77n, new Uint8Array(3), 0, MiB)], 0],
    ['Too small Bitmap Feature area', [feature(BITMAP, new Uint8Array(3))], 0],
    ['l1 table exceeds extension data_size', [feature(BITMAP, bitmap({ entries: 2 }))], 0],
    [
      'Bitmap size (in sectors) 5 differs from disk size in sectors 20480',
      [feature(BITMAP, bitmap({ sectors: 5 }))],
      0,
    ],
    ['Bitmap granularity of 0 sectors is not supported', [feature(BITMAP, bitmap({ granularity: 0 }))], 0],
    ['does not correspond to bitmap size and cluster size. Expected 1', [feature(BITMAP, bitmap({ entries: 0 }))], 0],
    [
      'Bitmap already exists: ab000000-0000-0000-0000-000000000000',
      [feature(BITMAP, bitmap()), feature(BITMAP, bitmap())],
      0,
    ],
    ['Can not read feature header', [feature(BITMAP, concatBytes([bitmap(), new Uint8Array(MiB - 24 - 24 - 40)]))], 0],
  ])('are refused: %s', async (message, features, spoil) => {
    await expect(openWith(features, spoil)).rejects.toThrow(message);
  });
});
