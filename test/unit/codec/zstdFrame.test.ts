import { describe, expect, it } from 'vitest';
import { isZstdFrame, zstdFrame } from '../../../src/codec/zstdFrame.ts';

/** Output of `zstd` 1.5.4. */
const FRAMES = {
  checksum: { base64: 'KLUv/SQYbQAAOGhlbGxvIAoBAJlLEah8Lqg=', contentSize: 24 },
  streamed: { base64: 'KLUv/QBYbQAAOGhlbGxvIAoBAJlLEQ==', contentSize: undefined },
  twoByteSize: { base64: 'KLUv/WBnBL0AAFB4eHl5eXlhYmN6AwB/HCWkLjXjK4AF', contentSize: 1383 },
  manyBlocks: { base64: 'KLUv/aTgkwQAVAAAEAAAAQD7/znAAgIAEAADnwQALSjeJg==', contentSize: 300000 },
};
const bytesOf = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));

describe('zstdFrame', () => {
  it.each(Object.entries(FRAMES))('finds the end of a frame: %s', (_name, { base64, contentSize }) => {
    const frame = bytesOf(base64);
    const padded = new Uint8Array(frame.length + 20).fill(0xaa);
    padded.set(frame, 5);
    const found = zstdFrame(padded, 5);
    expect(found).toMatchObject({ length: frame.length, contentSize, skippable: false });
    expect(found.maxContent).toBeGreaterThanOrEqual(contentSize ?? 24);
  });

  it.each(Object.entries(FRAMES))('refuses every frame that is cut short: %s', (_name, { base64 }) => {
    const frame = bytesOf(base64);
    for (let length = 0; length < frame.length; length++) {
      expect(() => zstdFrame(frame.subarray(0, length))).toThrow(expect.objectContaining({ kind: 'io' }));
    }
  });

  it('passes over skippable frames', () => {
    const frame = Uint8Array.from([0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3, 9]);
    expect(isZstdFrame(frame)).toBe(true);
    expect(zstdFrame(frame)).toEqual({ length: 11, contentSize: 0, maxContent: 0, skippable: true });
  });

  it('refuses a content size that the blocks cannot yield', () => {
    const frame = bytesOf(FRAMES.twoByteSize.base64);
    // An 8-byte content size of almost 2^64 instead of the two-byte one.
    const liar = Uint8Array.from([
      ...frame.subarray(0, 4),
      0xe0,
      ...new Uint8Array(8).fill(0xf0),
      ...frame.subarray(7),
    ]);
    expect(() => zstdFrame(liar)).toThrow('cannot yield');
  });

  it('refuses other data', () => {
    expect(isZstdFrame(new Uint8Array(16))).toBe(false);
    expect(() => zstdFrame(new Uint8Array(16))).toThrow(expect.objectContaining({ kind: 'io' }));
  });
});
