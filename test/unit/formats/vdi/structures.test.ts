import { describe, expect, it } from 'vitest';
import { littleEndian } from '../../../../src/base/bytes.ts';
import { GiB, MiB } from '../../../../src/base/offset.ts';
import { probe } from '../../../../src/formats/vdi/probe.ts';
import { encodeHeader, layoutOf, MAX_VIRTUAL_SIZE, parseHeader } from '../../../../src/formats/vdi/header.ts';

const id = new Uint8Array(16).fill(7);

function header(change: (fields: ReturnType<typeof littleEndian>) => void = () => undefined): Uint8Array {
  const bytes = encodeHeader({ virtualSize: 10 * MiB, fixed: false, imageId: id, modificationId: id });
  change(littleEndian(bytes));
  return bytes;
}

describe('VDI headers', () => {
  it('are read as they are written', () => {
    expect(parseHeader(header())).toEqual({
      imageType: 1,
      mapOffset: 512,
      dataOffset: 1024,
      virtualSize: 10 * MiB,
      blocks: 10,
      allocated: 0,
    });
    const fixed = encodeHeader({ virtualSize: 3 * MiB + 512, fixed: true, imageId: id, modificationId: id });
    expect(parseHeader(fixed)).toMatchObject({ imageType: 2, blocks: 4, allocated: 4 });
    expect(layoutOf(GiB)).toEqual({ blocks: 1024, mapBytes: 4096, dataOffset: 4608 });
    expect(layoutOf(0)).toEqual({ blocks: 0, mapBytes: 0, dataOffset: 512 });
  });

  it('are found by their signature', () => {
    expect(probe(header())).toBe(100);
    expect(probe(header().subarray(0, 67))).toBe(0);
    expect(probe(new Uint8Array(512))).toBe(0);
  });

  it('round sizes up to sectors', () => {
    expect(parseHeader(header((f) => f.setU64(0x170, 513))).virtualSize).toBe(1024);
    expect(parseHeader(header((f) => f.setU64(0x170, 0))).virtualSize).toBe(0);
  });

  it.each<[string, (fields: ReturnType<typeof littleEndian>) => void]>([
    ['Image not in VDI format (bad signature 00000001)', (f) => f.setU32(0x40, 1)],
    ['unsupported VDI image (version 1.0)', (f) => f.setU32(0x44, 0x10000)],
    ['unsupported VDI image (unaligned block map offset 0x201)', (f) => f.setU32(0x154, 0x201)],
    ['unsupported VDI image (unaligned data offset 0xffffffff)', (f) => f.setU32(0x158, 0xffffffff)],
    ['unsupported VDI image (sector size 4096 is not 512)', (f) => f.setU32(0x168, 4096)],
    ['unsupported VDI image (block size 0 is not 1048576)', (f) => f.setU32(0x178, 0)],
    ['unsupported VDI image (disk size 10485760, image bitmap has room for 9437184)', (f) => f.setU32(0x180, 9)],
    ['unsupported VDI image (non-NULL link UUID)', (f) => f.setU8(0x1b7, 1)],
    ['unsupported VDI image (non-NULL parent UUID)', (f) => f.setU8(0x1b8, 1)],
    ['unsupported VDI image (too many blocks 536870785, max is 536870784)', (f) => f.setU32(0x180, 0x1fffff81)],
    [
      'Unsupported VDI image size (size is 0xffffffffffffffff, max supported is 0x1fffff8000000)',
      (f) => f.setBig64(0x170, 2n ** 64n - 1n),
    ],
    [
      'Unsupported VDI image size (size is 0x1fffff8000001, max supported is 0x1fffff8000000)',
      (f) => f.setU64(0x170, MAX_VIRTUAL_SIZE + 1),
    ],
  ])('are refused: %s', (message, change) => {
    expect(() => parseHeader(header(change))).toThrow(message);
  });
});
