import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { ImageNode } from '../../../../src/block/node/node.ts';
import { contentOf, createIn, type Files, openIn } from './support.ts';

const GRAIN = 65536;
const SIZE = 70 * 2 ** 20;

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(`a strict reader refuses this: ${what}`);
}

/** A reader that cannot seek: takes an extent apart from start to end, and trusts nothing. */
function takeApart(bytes: Uint8Array): { grains: Map<number, Uint8Array>; order: number[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const u64 = (at: number): number => Number(view.getBigUint64(at, true));
  must(view.getUint32(4, true) === 3, 'version');
  must((view.getUint32(8, true) & 0x30001) === 0x30001, 'flags');
  must(view.getBigUint64(56, true) === 0xffffffffffffffffn, 'place of the directory');
  const grains = new Map<number, Uint8Array>();
  const order: number[] = [];
  const tables = new Map<number, number[]>();
  const places = new Map<number, number>();
  let directory: { at: number; entries: number[] } | undefined;
  let footer = false;
  let at = u64(64) * 512;
  for (;;) {
    const [value, size, type] = [u64(at), view.getUint32(at + 8, true), view.getUint32(at + 12, true)];
    if (size > 0) {
      must(!footer && !directory && tables.size === 0, 'grains behind tables');
      grains.set(value * 512, inflateSync(bytes.subarray(at + 12, at + 12 + size)));
      places.set(value / 128, at / 512);
      order.push(value * 512);
      at += Math.ceil((size + 12) / 512) * 512;
      continue;
    }
    const start = at + 512;
    const words = (count: number): number[] =>
      Array.from({ length: count }, (_, i) => view.getUint32(start + i * 4, true));
    at = start + value * 512;
    if (type === 1) tables.set(start / 512, words(512));
    else if (type === 2) directory = { at: start / 512, entries: words((value * 512) / 4) };
    else if (type === 3) {
      footer = true;
      must(Buffer.compare(bytes.subarray(start, start + 48), bytes.subarray(0, 48)) === 0, 'footer');
      must(u64(start + 56) === directory?.at, 'footer without the directory');
    } else {
      must(value === 0 && type === 0, 'end-of-stream');
      break;
    }
  }
  must(footer && at === bytes.length, 'something behind the end');
  for (const [index, place] of places) {
    must(tables.get(directory?.entries[Math.floor(index / 512)] ?? 0)?.[index % 512] === place, 'table entry');
  }
  return { grains, order };
}

async function store(node: ImageNode, offset: number, bytes: Uint8Array): Promise<void> {
  const coded = (await node.compressor?.encode(offset, bytes)) ?? [];
  for (const [i, one] of coded.entries()) await node.storeCompressed(offset + i * GRAIN, one as Uint8Array);
}

const text = new Uint8Array(2 * GRAIN).fill(65);
const noise = Uint8Array.from({ length: GRAIN }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 13) & 255);

async function written(): Promise<Files> {
  const files: Files = new Map();
  await createIn(files, { size: SIZE, subformat: 'streamOptimized' });
  const node = await openIn(files);
  expect(node.compressor).toMatchObject({ unit: GRAIN, sequential: true });
  await store(node, GRAIN, text);
  await store(node, 40 * 2 ** 20, noise);
  await store(node, SIZE - GRAIN, text.subarray(0, GRAIN));
  await node.close();
  return files;
}

describe('a streamOptimized image', () => {
  it('can be read from start to end', async () => {
    const { grains, order } = takeApart((await written()).get('disk.vmdk')?.toBytes() as Uint8Array);
    expect(order).toEqual([GRAIN, 2 * GRAIN, 40 * 2 ** 20, SIZE - GRAIN]);
    expect(Buffer.compare(grains.get(40 * 2 ** 20) as Uint8Array, noise)).toBe(0);
    expect([...grains.values()].every(({ length }) => length === GRAIN)).toBe(true);
  });

  it('can be read anywhere', async () => {
    const node = await openIn(await written(), { readOnly: true });
    const content = await contentOf(node);
    const model = new Uint8Array(SIZE);
    model.set(text, GRAIN);
    model.set(noise, 40 * 2 ** 20);
    model.fill(65, SIZE - GRAIN);
    expect(Buffer.compare(content, model)).toBe(0);
    const part = new Uint8Array(100);
    await node.read(40 * 2 ** 20 + 70, part);
    expect(part).toEqual(noise.subarray(70, 170));
    await node.check('none', (line) => expect.unreachable(line.text));
  });

  it('is an image while it is written, too', async () => {
    const files: Files = new Map();
    await createIn(files, { size: SIZE, subformat: 'streamOptimized' });
    const node = await openIn(files);
    await store(node, 0, text);
    await node.flush();
    const other = await openIn(files, { readOnly: true });
    const bytes = new Uint8Array(text.length);
    await other.read(0, bytes);
    expect(Buffer.compare(bytes, text)).toBe(0);
  });

  it('takes more grains later, and partial writes, but replaces none', async () => {
    const files = await written();
    const node = await openIn(files);
    await node.write(8 * GRAIN + 3, Uint8Array.of(1, 2, 3));
    await expect(async () => node.write(GRAIN, text)).rejects.toMatchObject({ code: 'EIO' });
    await node.flush();
    const early = await openIn(files, { readOnly: true });
    expect((await contentOf(early)).subarray(8 * GRAIN, 8 * GRAIN + 8)).toEqual(Uint8Array.of(0, 0, 0, 1, 2, 3, 0, 0));
    await node.close();
    const again = await openIn(files, { readOnly: true });
    const content = await contentOf(again);
    expect(content.subarray(8 * GRAIN, 8 * GRAIN + 8)).toEqual(Uint8Array.of(0, 0, 0, 1, 2, 3, 0, 0));
    expect(content[GRAIN]).toBe(65);
  });

  it.each([
    ['shortened stream', 8, [0x40, 0, 0, 0]],
    ['huge stream', 8, [1, 0, 2, 0]],
    ['no stream', 8, [0, 0, 0, 0]],
    ['damaged stream', 14, [0xff, 0xff, 0xff]],
  ] as const)('refuses a grain with a %s', async (_name, at, bytes) => {
    const files = await written();
    files.get('disk.vmdk')?.write(GRAIN + at, Uint8Array.from(bytes));
    const node = await openIn(files, { readOnly: true });
    await expect(contentOf(node)).rejects.toMatchObject({ code: 'EINVAL' });
  });
});

describe('a stream that is not as long as it was', () => {
  async function stream(): Promise<Files> {
    const files: Files = new Map();
    await createIn(files, { size: 8 * GRAIN, subformat: 'streamOptimized' });
    const node = await openIn(files);
    for (let at = 0; at < 8 * GRAIN; at += GRAIN) {
      await store(
        node,
        at,
        Uint8Array.from({ length: GRAIN }, (_, i) => (i * i + (i >> 7) * at) % 251),
      );
    }
    await node.close();
    return files;
  }

  it.each([1, 511, 512, 2560, 65536, 3 << 20])('is read with %i zeroes behind its end', async (padding) => {
    const files = await stream();
    const content = await contentOf(await openIn(files, { readOnly: true }));
    const file = files.get('disk.vmdk');
    file?.truncate((file.size() ?? 0) + padding, 'off');
    expect(Buffer.compare(await contentOf(await openIn(files, { readOnly: true })), content)).toBe(0);
  });

  it('is read without its end-of-stream marker, which holds nothing', async () => {
    const files = await stream();
    const file = files.get('disk.vmdk');
    file?.truncate(file.size() - 512, 'off');
    expect((await contentOf(await openIn(files, { readOnly: true })))[2]).toBe(4);
  });

  it('is refused with a line about its end when it was cut off, or goes on with something else', async () => {
    for (const change of [-1024, -1536, -200000]) {
      const files = await stream();
      const file = files.get('disk.vmdk');
      file?.truncate(file.size() + change, 'off');
      await expect(openIn(files, { readOnly: true })).rejects.toMatchObject({
        message: 'Invalid footer',
        hint: 'The stream has no end: the file was cut off, or something else follows it',
      });
    }
    const files = await stream();
    files.get('disk.vmdk')?.write(files.get('disk.vmdk')?.size() ?? 0, new Uint8Array(512).fill(1));
    await expect(openIn(files, { readOnly: true })).rejects.toThrow('Invalid footer');
  });

  it('says once that it ends in its data, where its tables are in front', async () => {
    const files: Files = new Map();
    await createIn(files, { size: 8 * GRAIN, subformat: 'streamOptimized' });
    const writing = await openIn(files);
    for (let at = 0; at < 8 * GRAIN; at += GRAIN) {
      await store(
        writing,
        at,
        Uint8Array.from({ length: GRAIN }, (_, i) => (i * i + (i >> 7) * at) % 251),
      );
    }
    await writing.flush();
    const file = files.get('disk.vmdk');
    for (const cut of [700, 100000]) {
      file?.truncate(file.size() - cut, 'off');
      const said: string[] = [];
      const node = await openIn(files, { readOnly: true, say: (line) => said.push(line) });
      for (let i = 0; i < 2; i++) await expect(contentOf(node)).rejects.toMatchObject({ kind: 'invalid-image' });
      expect(said).toEqual(["'disk.vmdk' was cut off: it ends in its data"]);
    }
  });
});

describe('an extent of several', () => {
  it('that is opened by itself refers to the descriptor', async () => {
    const files: Files = new Map();
    await createIn(files, { size: 8 * GRAIN, subformat: 'twoGbMaxExtentSparse' });
    await expect(openIn(files, { name: 'disk-s001.vmdk', readOnly: true })).rejects.toMatchObject({
      message: "Could not open 'disk-s001.vmdk': Invalid argument",
      hint: "'disk-s001.vmdk' is one extent of a VMDK image: open the image by its descriptor, probably 'disk.vmdk'",
    });
  });
});
