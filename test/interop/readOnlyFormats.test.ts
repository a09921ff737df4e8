import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bochsImage } from '../fixtures/bochs.ts';
import { cloopImage } from '../fixtures/cloop.ts';
import { ChunkType, dmgImage, zlibChunk } from '../fixtures/dmg.ts';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

function images(): Readonly<Record<string, Uint8Array>> {
  const content = Uint8Array.from({ length: 200 * 4096 }, (_, index) => (index >> 9) % 13);
  const data = content.subarray(0, 65536);
  const bochs = bochsImage({
    extent: 65536,
    size: 200000,
    catalog: [1, undefined, 0, undefined],
    extents: [
      { bitmap: new Uint8Array(16).fill(0xff), data },
      { bitmap: new Uint8Array(16).fill(0x3c), data: data.toReversed() },
    ],
  });
  const chunks = [
    zlibChunk(0, content.subarray(0, 20480)),
    { type: ChunkType.zero, start: 40, sectors: 8 },
    { type: ChunkType.raw, start: 48, sectors: 16, stored: content.subarray(0, 8192) },
    { type: ChunkType.ignore, start: 64, sectors: 3 },
  ];
  const unknown = { type: ChunkType.unknown, start: 67, sectors: 1 };
  return {
    'a.bochs': bochs,
    'a.cloop': cloopImage(content, 4096),
    'a.dmg': dmgImage({ sectors: 67, tables: [{ chunks }] }),
    'fork.dmg': dmgImage({ sectors: 67, tables: [{ chunks }], fork: true }),
    'unknown.dmg': dmgImage({ sectors: 67, tables: [{ chunks: [...chunks, unknown] }] }),
    'cut.bochs': bochs.subarray(0, 3000),
    'cut.cloop': cloopImage(content, 4096).subarray(0, 3000),
  };
}

describeWithOracle('formats that can only be read', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare((_, directory) => {
      for (const [name, bytes] of Object.entries(images())) writeFileSync(`${directory}/${name}`, bytes);
    });
  });
  afterAll(() => both.end());

  it.each(Object.keys(images()))('%s gets the same answers', async (name) => {
    const format = name.replace(/.*\./, '');
    const lines = [
      `info ${name}`,
      `info --output=json ${name}`,
      `map --output=json ${name}`,
      `check ${name}`,
      `measure -O qcow2 ${name}`,
      `convert -O raw ${name} out.raw`,
      `convert -O qcow2 ${name} out.qcow2`,
      `resize -f ${format} ${name} 1M`,
      `amend -o size=1M ${name}`,
      `create -f ${format} new 1M`,
      `info --image-opts driver=${format},file.filename=${name},nonsense=1`,
    ];
    expect(await both.differences(lines)).toEqual([]);
    // What is left of a copy that failed is each tool's own business.
    if (name === 'cut.cloop') return;
    const compare = await both.ask(`compare -f raw -F raw out.raw ${both.path('theirs', 'out.raw')}`);
    expect(compare.ours.code).toBe(0);
  });
});
