import { describe, expect, it } from 'vitest';
import { type Fields, littleEndian } from '../../../../src/base/bytes.ts';
import { MiB, TiB } from '../../../../src/base/offset.ts';
import { qed } from '../../../../src/formats/qed/driver.ts';
import {
  encodeHeader,
  type Header,
  isTableOffset,
  maxVirtualSize,
  parseHeader,
} from '../../../../src/formats/qed/header.ts';
import { probe } from '../../../../src/formats/qed/probe.ts';
import { emptyImage } from '../../../support/smallFormats.ts';

const FILE = 65536 * 12;

const good: Header = {
  clusterSize: 65536,
  tableClusters: 4,
  headerClusters: 1,
  features: 0,
  compatible: 1n,
  autoclear: 0n,
  l1Offset: 65536,
  virtualSize: 64 * MiB,
  backingOffset: 0,
  backingLength: 0,
};

function parse(change: (fields: Fields) => void, size = FILE): Header {
  const bytes = encodeHeader(good);
  change(littleEndian(bytes));
  return parseHeader(bytes, size);
}

describe('QED headers', () => {
  it('are read as they are written', () => {
    expect(parse(() => undefined)).toEqual(good);
    expect(probe(encodeHeader(good))).toBe(100);
    expect(probe(new Uint8Array(3))).toBe(0);
  });

  it('limit the guest size by the two tables', () => {
    expect(maxVirtualSize(65536, 4)).toBe(64 * TiB);
    expect(maxVirtualSize(4096, 1)).toBe(1024 * MiB);
    expect(maxVirtualSize(2 * MiB, 4)).toBe(2 ** 61);
    expect(maxVirtualSize(64 * MiB, 4)).toBe(0);
  });

  it('want tables inside the file', () => {
    expect(isTableOffset(good, 8 * 65536, FILE)).toBe(true);
    expect(isTableOffset(good, 9 * 65536, FILE)).toBe(false);
    expect(isTableOffset(good, 0, FILE)).toBe(false);
    expect(isTableOffset(good, 65536 + 512, FILE)).toBe(false);
    expect(isTableOffset(good, 2 ** 63, FILE)).toBe(false);
  });

  it.each<[string, (fields: Fields) => void]>([
    ['Image not in QED format', (f) => f.setU32(0, 0)],
    ['QED cluster size is invalid', (f) => f.setU32(4, 2048)],
    ['QED cluster size is invalid', (f) => f.setU32(4, 0x08000000)],
    ['QED cluster size is invalid', (f) => f.setU32(4, 65537)],
    ['QED table size is invalid', (f) => f.setU32(8, 0)],
    ['QED table size is invalid', (f) => f.setU32(8, 3)],
    ['QED table offset is invalid', (f) => f.setU32(8, 1)],
    ['QED image size is invalid', (f) => f.setU64(48, 64 * TiB + 512)],
    ['QED image size is invalid', (f) => f.setU64(48, 513)],
    ['QED image size is invalid', (f) => f.setU32(4, 0x04000000)],
    ['Unsupported QED features: 8', (f) => f.setU64(16, 9)],
    ['Unsupported QED features: fffffffffffffff8', (f) => f.setBig64(16, 2n ** 64n - 1n)],
    ['QED table offset is invalid', (f) => f.setU32(12, 0xffffffff)],
    ['QED backing filename offset is invalid', (f) => [f.setU64(16, 1), f.setU32(56, 65535), f.setU32(60, 2)]],
    ['QED backing filename offset is invalid', (f) => [f.setU64(16, 1), f.setU32(60, 0xffffffff)]],
  ])('are refused: %s', (message, change) => {
    expect(() => parse(change)).toThrow(message);
  });
});

describe('new QED images', () => {
  it('begin with header and an empty L1 table', async () => {
    const bytes = await emptyImage(qed, { size: 1000, cluster_size: 4096, table_size: 2 });
    expect(bytes.length).toBe(3 * 4096);
    expect(parseHeader(bytes, bytes.length)).toMatchObject({ virtualSize: 1024, l1Offset: 4096, features: 0 });
    const named = await emptyImage(qed, { size: 512, backing_file: 'base.img', backing_fmt: 'raw' });
    expect(parseHeader(named, named.length)).toMatchObject({ features: 5, backingOffset: 64, backingLength: 8 });
  });

  it.each([
    [{ cluster_size: 1024 }, 'QED cluster size must be within range [4096, 67108864] and power of 2'],
    [{ table_size: 3 }, 'QED table size must be within range [1, 16] and power of 2'],
    [
      { size: 64 * TiB + 1 },
      'QED image size must be a non-zero multiple of cluster size and less than 70368744177664 bytes',
    ],
    [{ backing_file: 'x'.repeat(1024) }, 'Backing file name too long'],
  ])('are refused: %o', async (options, message) => {
    await expect(emptyImage(qed, { size: MiB, ...options })).rejects.toThrow(message);
  });
});
