import { describe, expect, it } from 'vitest';
import { bigEndian, type Fields } from '../../../../src/base/bytes.ts';
import { MiB, TiB } from '../../../../src/base/offset.ts';
import { qcow } from '../../../../src/formats/qcow/driver.ts';
import { encodeHeader, type Header, parseHeader } from '../../../../src/formats/qcow/header.ts';
import { compressedPlace, isCompressed, writeCompressed } from '../../../../src/formats/qcow/state.ts';
import { probe } from '../../../../src/formats/qcow/probe.ts';
import { emptyImage } from '../../../support/smallFormats.ts';

const good: Header = {
  virtualSize: 64 * MiB,
  clusterBits: 12,
  l2Bits: 9,
  encryption: 0,
  l1Offset: 48,
  l1Entries: 32,
  backingOffset: 0,
  backingLength: 0,
};

function parse(change: (fields: Fields) => void): Header {
  const bytes = encodeHeader(good);
  change(bigEndian(bytes));
  return parseHeader(bytes);
}

describe('qcow headers', () => {
  it('are read as they are written', () => {
    expect(parse(() => undefined)).toEqual(good);
    expect(probe(encodeHeader(good))).toBe(100);
    expect(probe(encodeHeader(good).subarray(0, 7))).toBe(0);
    expect(parse((f) => f.setU64(24, 513)).virtualSize).toBe(512);
    expect(parse((f) => f.setU64(24, 256 * TiB)).l1Entries).toBe(2 ** 27);
  });

  it.each<[string, (fields: Fields) => void]>([
    ['Image not in qcow format', (f) => f.setU32(0, 0)],
    ['qcow (v1) does not support qcow version 2', (f) => f.setU32(4, 2)],
    ['Image size is too small (must be at least 2 bytes)', (f) => f.setU64(24, 1)],
    ['Cluster size must be between 512 and 64k', (f) => f.setU8(32, 8)],
    ['Cluster size must be between 512 and 64k', (f) => f.setU8(32, 17)],
    ['L2 table size must be between 512 and 64k', (f) => f.setU8(33, 5)],
    ['L2 table size must be between 512 and 64k', (f) => f.setU8(33, 14)],
    ['invalid encryption method in qcow header', (f) => f.setU32(36, 2)],
    ['Image too large', (f) => f.setU64(24, 512 * TiB)],
    ['Image too large', (f) => f.setBig64(24, 2n ** 64n - 1n)],
    ['Input/output error', (f) => f.setU64(40, 2 ** 63)],
    ['Backing file name too long', (f) => [f.setU64(8, 48), f.setU32(16, 1024)]],
  ])('are refused: %s', (message, change) => {
    expect(() => parse(change)).toThrow(message);
  });
});

describe('entries of compressed clusters', () => {
  it.each([9, 12, 16])('hold place and length (cluster bits %i)', (bits) => {
    const view = new DataView(new ArrayBuffer(8));
    const place = { offset: 2 ** (63 - bits) - 2 ** 12, length: 2 ** bits - 1 };
    writeCompressed(view, 0, bits, place);
    expect(isCompressed(view, 0)).toBe(true);
    expect(compressedPlace(view, 0, bits)).toEqual(place);
  });
});

describe('new qcow images', () => {
  it('have small clusters on a backing image', async () => {
    const plain = await emptyImage(qcow, { size: 10 * MiB });
    expect(plain.length).toBe(560);
    expect(parseHeader(plain)).toMatchObject({ clusterBits: 12, l2Bits: 9, l1Offset: 48, l1Entries: 5 });
    const layered = await emptyImage(qcow, { size: MiB, backing_file: 'abc' });
    expect(layered.length).toBe(568);
    expect(parseHeader(layered)).toMatchObject({ clusterBits: 9, l2Bits: 12, l1Offset: 56, backingLength: 3 });
  });

  it.each([
    [{ size: 0 }, 'Image size is too small, cannot be zero length'],
    [{ size: 0, 'encrypt.format': 'luks' }, 'Image size is too small, cannot be zero length'],
    [{ 'encrypt.format': 'luks' }, 'Unsupported encryption format'],
    [{ size: 0, 'encrypt.format': 'x' }, "Parameter 'format' does not accept value 'x'"],
    [{ 'encrypt.key-secret': 'key' }, "Parameter 'encrypt.format' is missing"],
    [{ encryption: true }, "Parameter 'encrypt.key-secret' is required for cipher"],
    [{ 'encrypt.format': 'aes', 'encrypt.key-secret': 'none' }, "No secret with id 'none'"],
    [
      { encryption: true, 'encrypt.format': 'aes' },
      "'encrypt.format' and its alias 'encryption' can't be used at the same time",
    ],
    [{ backing_file: 'x'.repeat(1024) }, 'Backing file name too long'],
    [{ size: 1024 * TiB }, 'Image too large'],
  ])('are refused: %o', async (options, message) => {
    await expect(emptyImage(qcow, { size: MiB, ...options })).rejects.toThrow(message);
  });
});
