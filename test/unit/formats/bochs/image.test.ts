import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { littleEndian } from '../../../../src/base/bytes.ts';
import { bochs } from '../../../../src/formats/bochs/driver.ts';
import { parseHeader } from '../../../../src/formats/bochs/header.ts';
import { probe } from '../../../../src/formats/bochs/probe.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import { bochsImage } from '../../../fixtures/bochs.ts';
import { openOn, tolerate } from '../../../support/smallFormats.ts';
import { readAll } from '../../../support/vpcVhdx.ts';

const EXTENT = 4096;

function sample(version: 1 | 2 = 2): Uint8Array {
  return bochsImage({
    version,
    extent: EXTENT,
    size: 4 * EXTENT + 700,
    catalog: [1, undefined, 0, 9, undefined],
    extents: [
      { bitmap: Uint8Array.of(0xff), data: new Uint8Array(EXTENT).fill(1) },
      { bitmap: Uint8Array.of(0b10000110), data: new Uint8Array(EXTENT).fill(2) },
    ],
  });
}

function changed(change: (fields: ReturnType<typeof littleEndian>) => void): Uint8Array {
  const bytes = sample();
  change(littleEndian(bytes));
  return bytes;
}

describe('Bochs disks', () => {
  it.each([1, 2] as const)('of version %i are read', async (version) => {
    expect(probe(sample(version))).toBe(100);
    const node = await openOn(bochs, memoryStorage(sample(version)), { readOnly: true });
    expect(node.size()).toBe(4 * EXTENT + 512);
    const sectors = [...(await readAll(node))].filter((_, index) => index % 512 === 100);
    // Extent 3 is not in the file.
    expect(sectors.join('')).toBe('022000020000000011111111000000000');
  });

  it('cannot be written', async () => {
    await expect(openOn(bochs, memoryStorage(sample()))).rejects.toThrow('Image is read-only');
  });

  it.each<[string, (fields: ReturnType<typeof littleEndian>) => void]>([
    ['Image not in Bochs format', (f) => f.setU8(0, 0)],
    ['Image not in Bochs format', (f) => f.setU8(32 + 7, 65)],
    ['Image not in Bochs format', (f) => f.setU32(64, 0x30000)],
    ['Catalog size is too large', (f) => f.setU32(72, 0x100001)],
    ['Catalog size is too small for this disk size', (f) => f.setU32(72, 4)],
    ['Catalog size is too small for this disk size', (f) => f.setBig64(88, 2n ** 64n - 1n)],
    ['Extent size must be at least 512', (f) => f.setU32(80, 0)],
    ['Extent size 513 is not a power of two', (f) => f.setU32(80, 513)],
    ['Extent size 16777216 is too large', (f) => f.setU32(80, 0x1000000)],
  ])('are refused: %s', (message, change) => {
    expect(() => parseHeader(changed(change).subarray(0, 512))).toThrow(message);
  });

  it('end in data or a clear error, whatever is in them', async () => {
    const place = fc.record({ at: fc.integer({ min: 64, max: 1100 }), value: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(place, { minLength: 1, maxLength: 6 }), async (places) => {
        const bytes = sample();
        for (const { at, value } of places) bytes[at] = value;
        await tolerate(async () => {
          const node = await openOn(bochs, memoryStorage(bytes), { readOnly: true });
          await node.readPadded(0, new Uint8Array(5 * EXTENT));
        });
      }),
    );
  });
});
