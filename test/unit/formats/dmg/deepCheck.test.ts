import { expect, it } from 'vitest';
import { bigEndian, type Fields } from '../../../../src/base/bytes.ts';
import { crc32 } from '../../../../src/codec/checksums.ts';
import { dmg } from '../../../../src/formats/dmg/driver.ts';
import { ChunkType, type DmgChunk, type DmgImage, dmgImage, zlibChunk } from '../../../fixtures/dmg.ts';
import { deepCheckOn, oneError, SOUND } from '../../../support/deepCheck.ts';

const ONES = new Uint8Array(4096).fill(1);
const TWOS = new Uint8Array(1024).fill(2);
const CHUNKS: readonly DmgChunk[] = [
  zlibChunk(0, ONES),
  { type: ChunkType.zero, start: 8, sectors: 4 },
  { type: ChunkType.raw, start: 12, sectors: 2, stored: TWOS },
  { type: ChunkType.end, start: 14, sectors: 0 },
];
const SUM = crc32(Buffer.concat([ONES, new Uint8Array(2048), TWOS]));
const SECOND = { first: 14, chunks: [zlibChunk(0, ONES)], checksum: crc32(ONES) };

/** The image, its first table changed. */
function image(chunks: readonly DmgChunk[] = CHUNKS, more: Partial<DmgImage> = {}): Uint8Array {
  return dmgImage({ sectors: 22, tables: [{ chunks, checksum: SUM }, SECOND], checksums: true, ...more });
}

function changed(change: (fields: Fields) => void): Uint8Array {
  const bytes = image();
  change(bigEndian(bytes));
  return bytes;
}

function replaced(index: number, chunk: Partial<DmgChunk>): Uint8Array {
  return image(CHUNKS.map((old, at) => (at === index ? { ...old, ...chunk } : old)));
}

it.each<[string, Uint8Array, object]>([
  ['is sound', image(), SOUND],
  ['has no checksums', dmgImage({ sectors: 14, tables: [{ chunks: CHUNKS }], fork: true, shift: 512 }), SOUND],
  ['misses sectors', replaced(1, { sectors: 3 }), oneError('sectors 11 to 12 are in no chunk')],
  ['has sectors twice', replaced(1, { sectors: 5 }), oneError('sectors 12 to 13 are in two chunks')],
  ['misses the end', image(CHUNKS, { sectors: 23 }), oneError('sectors 22 to 23 are in no chunk')],
  [
    'has too many sectors',
    image(CHUNKS, { sectors: 21 }),
    oneError('chunk of sector 14 reaches beyond the end of the disk'),
  ],
  [
    'has a chunk elsewhere',
    replaced(2, { claim: { offset: 2 ** 40 } }),
    oneError('chunk of sector 12 at 0x10000000000 is outside of the data fork'),
  ],
  [
    'has an unknown chunk',
    image([...CHUNKS, { type: ChunkType.unknown, start: 14, sectors: 0 }]),
    oneError('table 0 has chunks of the unknown type 80000009'),
  ],
  ['has a chunk that is too short', replaced(0, { sectors: 7 }), { corruptions: 2 }],
])('an Apple disk image that %s', async (_, bytes, found) => {
  expect(await deepCheckOn(dmg, bytes)).toMatchObject(found);
});

it('finds wrong checksums of an Apple disk image', async () => {
  const bytes = image();
  // The last byte of the raw chunk; the second table's chunk follows.
  const fork = bigEndian(bytes).u64(bytes.length - 512 + 0x20);
  const at = fork - (SECOND.chunks[0]?.stored?.length ?? 0) - 1;
  bytes[at] = 9;
  expect((await deepCheckOn(dmg, bytes)).lines).toEqual([
    'ERROR checksum of table 0 is wrong',
    'ERROR checksum of the data fork is wrong',
  ]);
  const master = changed((fields) => fields.setU32(fields.length - 512 + 0x168, 1));
  expect(await deepCheckOn(dmg, master)).toEqual(oneError('checksum of the checksums of all tables is wrong'));
});

it('sums up a table without the chunks whose content does not matter, as hdiutil does', async () => {
  const chunks = [...CHUNKS.slice(0, 3), { type: ChunkType.ignore, start: 14, sectors: 8 }];
  const table = (checksum: number): Uint8Array => dmgImage({ sectors: 22, tables: [{ chunks, checksum }] });
  expect(await deepCheckOn(dmg, table(SUM))).toMatchObject(SOUND);
  const withZeroes = crc32(new Uint8Array(4096), SUM);
  expect(await deepCheckOn(dmg, table(withZeroes))).toMatchObject(oneError('checksum of table 0 is wrong'));
});

it('finds that the trailer is wrong about the property list', async () => {
  const bytes = image(CHUNKS, { claim: { offset: 1 << 30 } });
  expect(await deepCheckOn(dmg, bytes)).toMatchObject(oneError('the property list is not where the trailer says'));
});
