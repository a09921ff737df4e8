import { deflateSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bigEndian } from '../../../../src/base/bytes.ts';
import type { OpenContext } from '../../../../src/block/format.ts';
import { ImageNode } from '../../../../src/block/node/node.ts';
import { cloop } from '../../../../src/formats/cloop/driver.ts';
import { probe } from '../../../../src/formats/cloop/probe.ts';
import { nodeCodecs } from '../../../../src/host/node/codecs.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import { cloopImage, cloopOfBlocks } from '../../../fixtures/cloop.ts';
import { tolerate } from '../../../support/smallFormats.ts';
import { numbers, readAll } from '../../../support/vpcVhdx.ts';

const BLOCK = 4096;
const services = { codec: nodeCodecs() };

async function openImage(bytes: Uint8Array, readOnly = true): Promise<ImageNode> {
  const file = memoryStorage(bytes);
  const driver = await cloop.open({ file, readOnly, intent: 'io', options: {}, services } as unknown as OpenContext);
  return new ImageNode({ name: 'test', format: 'cloop', driver, readOnly });
}

function content(blocks: number): Uint8Array {
  const next = numbers(5);
  return Uint8Array.from({ length: blocks * BLOCK }, (_, index) => (index % 7 === 0 ? next() * 256 : index >> 8));
}

function changed(change: (fields: ReturnType<typeof bigEndian>) => void): Uint8Array {
  const bytes = cloopImage(content(4), BLOCK);
  change(bigEndian(bytes));
  return bytes;
}

describe('cloop images', () => {
  it('are read, also by several requests at the same time', async () => {
    const expected = content(9);
    const bytes = cloopImage(expected, BLOCK);
    expect(probe(bytes)).toBe(2);
    const node = await openImage(bytes);
    expect(Buffer.compare(await readAll(node), expected)).toBe(0);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(8 * BLOCK), fc.nat(BLOCK)), { maxLength: 8 }), async (ranges) => {
        const found = await Promise.all(ranges.map(([offset, length]) => readAll(node, offset, length)));
        found.forEach((piece, index) => {
          const [offset, length] = ranges[index] as [number, number];
          expect(Buffer.compare(piece, expected.subarray(offset, offset + length))).toBe(0);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('cannot be written', async () => {
    await expect(openImage(cloopImage(content(1), BLOCK), false)).rejects.toThrow('Image is read-only');
  });

  it.each<[string, (fields: ReturnType<typeof bigEndian>) => void]>([
    ['block_size cannot be zero', (f) => f.setU32(128, 0)],
    ['block_size 513 must be a multiple of 512', (f) => f.setU32(128, 513)],
    ['block_size 67109376 must be 64 MB or less', (f) => f.setU32(128, 0x4000200)],
    ['n_blocks 536870912 must be 536870911 or less', (f) => f.setU32(132, 0x20000000)],
    ['image requires too many offsets, try increasing block size', (f) => f.setU32(132, 0x4000000)],
    ['offsets not monotonically increasing at index 2, image file is corrupt', (f) => f.setU64(152, 5)],
    ['invalid compressed block size at index 4, image file is corrupt', (f) => f.setU64(168, 2 ** 40)],
  ])('are refused: %s', async (message, change) => {
    await expect(openImage(changed(change))).rejects.toThrow(message);
  });

  it.each<[string, Uint8Array]>([
    ['too short', deflateSync(new Uint8Array(BLOCK - 1))],
    ['too long', deflateSync(new Uint8Array(BLOCK + 1))],
    ['not compressed', new Uint8Array(50)],
    ['empty', new Uint8Array(0)],
  ])('with a block that is %s cannot be read there', async (_, block) => {
    const good = deflateSync(new Uint8Array(BLOCK).fill(1));
    const node = await openImage(cloopOfBlocks(BLOCK, [good, block, good]));
    await expect(readAll(node, BLOCK, 10)).rejects.toMatchObject({ kind: 'io' });
    expect((await readAll(node, 2 * BLOCK, 10))[0]).toBe(1);
  });

  it('end in data or a clear error, whatever is in them', async () => {
    const place = fc.record({ at: fc.integer({ min: 128, max: 400 }), value: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(place, { minLength: 1, maxLength: 4 }), async (places) => {
        const bytes = changed(() => undefined);
        for (const { at, value } of places) bytes[at] = value;
        await tolerate(async () => {
          const node = await openImage(bytes);
          await node.readPadded(0, new Uint8Array(4 * BLOCK));
        });
      }),
      { numRuns: 60 },
    );
  });
});
