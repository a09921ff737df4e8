import { DEFAULT_LIMITS } from '../../../../src/block/limits.ts';
import { deflateSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../../src/base/error.ts';
import type { OpenContext } from '../../../../src/block/format.ts';
import { ImageNode } from '../../../../src/block/node/node.ts';
import { decodeBase64 } from '../../../../src/formats/dmg/base64.ts';
import { dmg } from '../../../../src/formats/dmg/driver.ts';
import { probe } from '../../../../src/formats/dmg/probe.ts';
import { nodeCodecs } from '../../../../src/host/node/codecs.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import { adcOf, ChunkType, type DmgChunk, dmgImage, zlibChunk } from '../../../fixtures/dmg.ts';
import { tolerate } from '../../../support/smallFormats.ts';
import { readAll } from '../../../support/vpcVhdx.ts';

const services = { codec: nodeCodecs(), limits: DEFAULT_LIMITS };
/** An xz stream of 1,024 bytes of 0x63, as liblzma makes it. */
const XZ = '/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AP/AAtdADHv+7/+o7De4HIAAADfgTpWAAEjgAgAAAA4Oz82PjANiwIAAAAAAVla';
/** bzip2 of 1,024 bytes of 0x62, as the bzip2 program makes it. */
const BZIP2 = 'QlpoOTFBWSZTWcFSjTsAAARBAMAAEAAACCAAMMwFU2piKDxdyRThQkMFSjTs';

interface Opened {
  readonly node: ImageNode;
  readonly lines: string[];
}

async function openImage(bytes: Uint8Array, lines: string[] = []): Promise<Opened> {
  const driver = await dmg.open({
    file: memoryStorage(bytes),
    filename: 'x.dmg',
    readOnly: true,
    services,
    warn: (text: string) => lines.push(text),
    complain: (text: string) => lines.push(text),
  } as unknown as OpenContext);
  return { node: new ImageNode({ name: 'test', format: 'dmg', driver, readOnly: true }), lines };
}

function filled(sectors: number, value: number): Uint8Array {
  return new Uint8Array(sectors * 512).fill(value);
}

const CHUNKS: readonly DmgChunk[] = [
  zlibChunk(0, filled(8, 0x11)),
  { type: ChunkType.zero, start: 8, sectors: 4 },
  { type: ChunkType.raw, start: 12, sectors: 2, stored: filled(2, 0x22) },
  { type: ChunkType.ignore, start: 14, sectors: 1 },
  { type: ChunkType.adc, start: 15, sectors: 3, stored: adcOf(filled(3, 0x33)) },
  zlibChunk(18, filled(4, 0x44)),
  { type: ChunkType.end, start: 22, sectors: 0 },
];
const EXPECTED = Buffer.concat([
  filled(8, 0x11),
  filled(4, 0),
  filled(2, 0x22),
  filled(1, 0),
  filled(3, 0x33),
  filled(4, 0x44),
]);

describe('Apple disk images', () => {
  it.each([
    { fork: false, shift: 0 },
    { fork: true, shift: 0 },
    { fork: false, shift: 77 },
  ])('are read (%o)', async (how) => {
    const bytes = dmgImage({ sectors: 22, tables: [{ chunks: CHUNKS }], ...how });
    const { node, lines } = await openImage(bytes);
    expect(Buffer.compare(await readAll(node), EXPECTED)).toBe(0);
    expect(lines).toEqual([]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(11000), fc.nat(264)), { maxLength: 8 }), async (ranges) => {
        const found = await Promise.all(ranges.map(([offset, length]) => readAll(node, offset, length)));
        found.forEach((piece, index) => {
          const [offset, length] = ranges[index] as [number, number];
          expect(Buffer.compare(piece, EXPECTED.subarray(offset, offset + length))).toBe(0);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('are read from several tables in any order', async () => {
    const tables = [
      { first: 10, chunks: [zlibChunk(5, filled(5, 3)), zlibChunk(0, filled(5, 2))] },
      { chunks: [zlibChunk(0, filled(10, 1))] },
    ];
    const { node } = await openImage(dmgImage({ sectors: 20, tables }));
    const bytes = await readAll(node);
    expect([0, 5119, 5120, 7679, 7680, 10239].map((at) => bytes[at])).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it('with bzip2 are read', async () => {
    const stored = decodeBase64(BZIP2, 0, BZIP2.length);
    const chunk = { type: ChunkType.bzip2, start: 0, sectors: 2, stored };
    const { node } = await openImage(dmgImage({ sectors: 2, tables: [{ chunks: [chunk] }] }));
    expect((await readAll(node)).every((byte) => byte === 0x62)).toBe(true);
  });

  it('with LZMA are read, on this thread and on others', async () => {
    const stored = Buffer.from(XZ, 'base64');
    const chunks = Array.from({ length: 64 }, (_, i) => ({ type: ChunkType.lzma, start: i * 2, sectors: 2, stored }));
    const { node, lines } = await openImage(dmgImage({ sectors: 128, tables: [{ chunks }] }));
    expect(Buffer.compare(await readAll(node), filled(128, 0x63))).toBe(0);
    expect(lines).toEqual([]);
    await node.read(512, new Uint8Array(512));
  });

  it.each<[string, Partial<DmgChunk>]>([
    ['yields more than its chunk has', { sectors: 1 }],
    ['yields less than its chunk has', { sectors: 3 }],
    ['is cut off', { stored: Buffer.from(XZ, 'base64').subarray(0, -20) }],
    ['is none', { stored: filled(1, 7) }],
    ['is empty', { stored: new Uint8Array(0) }],
  ])('are not read where an LZMA stream %s', async (_, change) => {
    const chunk = { type: ChunkType.lzma, start: 0, sectors: 2, stored: Buffer.from(XZ, 'base64'), ...change };
    const { node } = await openImage(dmgImage({ sectors: chunk.sectors, tables: [{ chunks: [chunk] }] }));
    await expect(readAll(node)).rejects.toMatchObject({ kind: 'io' });
  });

  it.each([
    { offset: 0 },
    { offset: 1 << 30 },
    { offset: 3 },
    { length: 0 },
    { length: 1 << 30 },
    { length: 10 },
    { offset: 0, length: 0 },
  ])('are read though the trailer is wrong about the property list: %o', async (claim) => {
    const { node, lines } = await openImage(dmgImage({ sectors: 22, tables: [{ chunks: CHUNKS }], claim }));
    expect(Buffer.compare(await readAll(node), EXPECTED)).toBe(0);
    expect(lines).toEqual([
      expect.stringMatching(/^The property list of 'x.dmg' is at \d+, not where the trailer says$/),
    ]);
  });

  it('without a trailer say what they may be', async () => {
    const hint = async (bytes: Uint8Array): Promise<string | undefined> => {
      const error: unknown = await openImage(bytes).catch((thrown: unknown) => thrown);
      return error instanceof BlockError ? error.hint : undefined;
    };
    expect(await hint(filled(8, 1))).toContain('a raw disk can be opened with the format raw');
    const gzip = Buffer.concat([Buffer.from('1f8b08000000000000030000', 'hex'), filled(8, 1)]);
    expect(await hint(gzip)).toContain('compressed with gzip');
  });

  it('are found by their name, and by a trailer with up to a sector behind it', async () => {
    expect([probe(new Uint8Array(0), 'a.dmg'), probe(new Uint8Array(0), '.dmg')]).toEqual([2, 0]);
    const bytes = dmgImage({ sectors: 22, tables: [{ chunks: CHUNKS }] });
    const rest = 512 - (bytes.length % 512);
    await openImage(Buffer.concat([bytes, new Uint8Array(rest)]));
    const late = openImage(Buffer.concat([bytes, new Uint8Array(rest + 512)]));
    await expect(late).rejects.toThrow('Could not locate UDIF trailer in dmg file');
  });

  it.each<[string, DmgChunk]>([
    ['is too long', { type: ChunkType.zlib, start: 1, sectors: 1, stored: deflateSync(new Uint8Array(513)) }],
    ['is too short', { type: ChunkType.zlib, start: 1, sectors: 1, stored: deflateSync(new Uint8Array(511)) }],
    ['is damaged', { type: ChunkType.zlib, start: 1, sectors: 1, stored: filled(1, 7) }],
    ['is not in the file', { ...zlibChunk(1, filled(1, 7)), claim: { offset: 2 ** 40 } }],
    ['is of another type', { type: ChunkType.unknown, start: 1, sectors: 1, stored: filled(1, 7) }],
    ['is missing', { type: ChunkType.zero, start: 5, sectors: 1 }],
  ])('cannot be read where a chunk %s', async (_, chunk) => {
    const chunks = [zlibChunk(0, filled(1, 1)), chunk, zlibChunk(2, filled(1, 3))];
    const { node } = await openImage(dmgImage({ sectors: 3, tables: [{ chunks }] }));
    await expect(readAll(node, 600, 10)).rejects.toMatchObject({ kind: 'io' });
    expect([...(await readAll(node, 0, 1)), ...(await readAll(node, 1024, 1))]).toEqual([1, 3]);
  });

  it.each<[string, DmgChunk]>([
    [
      'sector count 131073 for chunk 1 is larger than max (131072)',
      { type: ChunkType.zlib, start: 1, sectors: 131073 },
    ],
    [
      'length 67108865 for chunk 1 is larger than max (67108864)',
      { type: ChunkType.zlib, start: 1, sectors: 1, claim: { length: 67108865 } },
    ],
    [
      'length 513 for chunk 1 is inconsistent with sector count 1',
      { type: ChunkType.raw, start: 1, sectors: 1, claim: { length: 513 } },
    ],
  ])('are refused: %s', async (message, chunk) => {
    const lines: string[] = [];
    const bytes = dmgImage({ sectors: 3, tables: [{ chunks: [zlibChunk(0, filled(1, 1)), chunk] }] });
    await expect(openImage(bytes, lines)).rejects.toThrow("Could not open 'x.dmg': Invalid argument");
    expect(lines).toEqual([message]);
  });

  it('may lack the end of the last sector of a chunk that is stored as it is', async () => {
    const chunk = { type: ChunkType.raw, start: 0, sectors: 2, stored: filled(2, 5), claim: { length: 600 } };
    const { node } = await openImage(dmgImage({ sectors: 2, tables: [{ chunks: [chunk] }] }));
    expect(await readAll(node)).toEqual(new Uint8Array(1024).fill(5, 0, 600));
  });

  it('without tables are refused', async () => {
    for (const fork of [false, true]) {
      for (const tables of [[], [{ chunks: [] }]]) {
        await expect(openImage(dmgImage({ sectors: 3, tables, fork }))).rejects.toThrow('Invalid argument');
      }
    }
  });

  it('end in data or a clear error, whatever is in them', async () => {
    const good = dmgImage({ sectors: 22, tables: [{ chunks: CHUNKS }], fork: true });
    const tableAt = good.length - 512 - 1000;
    const place = fc.record({ at: fc.integer({ min: tableAt, max: good.length - 1 }), value: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(place, { minLength: 1, maxLength: 5 }), async (places) => {
        const bytes = good.slice();
        for (const { at, value } of places) bytes[at] = value;
        await tolerate(async () => {
          const { node } = await openImage(bytes);
          await node.readPadded(0, new Uint8Array(22 * 512));
        });
      }),
      { numRuns: 150 },
    );
  });
});

describe('base64', () => {
  it('is decoded with blanks and rubbish in between', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom('\n', ' \t', '!'), (bytes, blank) => {
        const text = (
          Buffer.from(bytes)
            .toString('base64')
            .match(/.{1,7}/g) ?? []
        ).join(blank);
        expect(Buffer.compare(decodeBase64(`<>${text}<>`, 2, text.length + 2), bytes)).toBe(0);
      }),
    );
  });
});
