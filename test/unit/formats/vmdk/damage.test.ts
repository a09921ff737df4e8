import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../../src/base/error.ts';
import { contentOf, createIn, fileOf, type Files, openIn } from './support.ts';

const GRAIN = 65536;
const SIZE = 4 * GRAIN;

async function sample(subformat: string): Promise<Files> {
  const files: Files = new Map();
  await createIn(files, { size: SIZE, subformat, ...(subformat.endsWith('Flat') ? {} : { zeroed_grain: true }) });
  const node = await openIn(files);
  await node.write(GRAIN, new Uint8Array(GRAIN + 700).fill(5));
  await node.close();
  return files;
}

/** Opens and reads; returns what was thrown that should not have been. */
async function look(files: Files): Promise<unknown> {
  try {
    const node = await openIn(files, { readOnly: true });
    if (node.size() <= 64 * 2 ** 20) await contentOf(node);
    else {
      await node.map(0, node.size());
      await node.read(node.size() - 512, new Uint8Array(512));
    }
    await node.check('none', () => undefined);
  } catch (error) {
    if (!(error instanceof BlockError) || error.kind === 'internal') return error;
  }
  return undefined;
}

describe.each(['monolithicSparse', 'streamOptimized', 'monolithicFlat'])('a damaged %s image', (subformat) => {
  it('is read or refused, and never written', async () => {
    const good = (await sample(subformat)).get('disk.vmdk')?.toBytes() as Uint8Array;
    const change = fc.record({
      at: fc.oneof(
        fc.nat(Math.min(79, good.length - 1)),
        fc.nat(good.length - 1),
        fc.constantFrom(0x2a00, 0x2c00, 0x3400, 0x3600),
      ),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const bad = good.slice();
        for (const { at, bytes } of changes) bad.set(bytes.subarray(0, bad.length - at), Math.min(at, bad.length - 1));
        const files: Files = new Map();
        fileOf(files, 'disk.vmdk', bad);
        fileOf(files, 'disk-flat.vmdk', SIZE);
        expect(await look(files)).toBeUndefined();
        expect(Buffer.compare(files.get('disk.vmdk')?.toBytes() as Uint8Array, bad)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});

/** Opens a file with little-endian 32-bit words put over it. */
async function opened(changes: readonly (readonly [at: number, value: number])[], cut?: number): Promise<unknown> {
  const files = await sample('monolithicSparse');
  const file = files.get('disk.vmdk');
  for (const [at, value] of changes) {
    const word = new Uint8Array(4);
    new DataView(word.buffer).setUint32(0, value, true);
    file?.write(at, word);
  }
  if (cut !== undefined) file?.truncate(cut, 'off');
  return openIn(files, { readOnly: true });
}

describe('headers that cannot be used', () => {
  it.each([
    [[[4, 9]], 'Unsupported VMDK version 9'],
    [[[20, 0]], 'L1 entry size is invalid'],
    [[[44, 0]], 'L1 entry size is invalid'],
    [[[44, 513]], 'L2 table size too big'],
    [[[20, 0x200001]], 'Invalid granularity, image may be corrupt'],
    [[[16, 0x800]], 'L1 size too big'],
    [[[64, 0x100000]], 'File truncated, expecting at least 536870912 bytes'],
    [[[12, 0]], "Unsupported image type 'monolithicSparse'"],
    [
      [
        [56, 0xffffffff],
        [60, 0xffffffff],
      ],
      'Invalid footer',
    ],
  ] as const)('%j: %s', async (changes, message) => {
    await expect(opened(changes)).rejects.toThrow(message);
  });

  it('are refused when the file is cut', async () => {
    await expect(opened([], 0)).rejects.toThrow('File is too small, not a valid image');
    await expect(opened([], 5000)).rejects.toThrow('File truncated, expecting at least 65536 bytes');
    await expect(opened([[0, 0x44574f43]])).rejects.toThrow('Invalid argument');
  });

  it('need not waste memory', async () => {
    const node = (await opened([[16, 0x1ff]])) as Awaited<ReturnType<typeof openIn>>;
    expect(node.size()).toBeGreaterThan(2 ** 49);
    expect(await node.map(2 ** 48, 2 ** 30)).toEqual({ kind: 'unallocated', length: 2 ** 30 });
  });
});

describe('a check', () => {
  it('finds the first grain beyond the end of the file', async () => {
    const node = (await opened([[0x3600 + 8, 0xffff]])) as Awaited<ReturnType<typeof openIn>>;
    const lines: string[] = [];
    await expect(node.check('none', ({ text }) => lines.push(text))).rejects.toMatchObject({
      code: 'EINVAL',
    });
    expect(lines).toEqual(['ERROR: cluster offset for sector 256 points after EOF']);
    await expect(node.check('all', () => undefined)).rejects.toMatchObject({ kind: 'unsupported' });
  });
});

/** A descriptor with one extent line. */
function descriptor(files: Files, line: string): void {
  const text = `# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="vmfsSparse"\n${line}\n`;
  fileOf(files, 'disk.vmdk', new TextEncoder().encode(text));
}

describe('extents of ESX', () => {
  it('are read and written as COWD', async () => {
    const files: Files = new Map();
    const bytes = new Uint8Array(40 * 512);
    const view = new DataView(bytes.buffer);
    [0x44574f43, 1, 3, 8192, 1, 4, 2, 0].forEach((word, i) => view.setUint32(i * 4, word, true));
    view.setUint32(4 * 512, 5, true);
    view.setUint32(5 * 512 + 3 * 4, 39, true);
    bytes.fill(7, 39 * 512);
    fileOf(files, 'c.vmdk', bytes);
    descriptor(files, 'RW 1 VMFSSPARSE "c.vmdk"');
    const node = await openIn(files);
    expect(node.size()).toBe(8192 * 512);
    const model = new Uint8Array(node.size());
    model.fill(7, 3 * 512, 4 * 512);
    expect(Buffer.compare(await contentOf(node), model)).toBe(0);
    await node.write(5000 * 512 - 3, new Uint8Array(600).fill(8));
    model.fill(8, 5000 * 512 - 3, 5000 * 512 + 597);
    await node.close();
    expect(Buffer.compare(await contentOf(await openIn(files, { readOnly: true })), model)).toBe(0);
  });

  it('are read as seSparse, and not written', async () => {
    const files: Files = new Map();
    const bytes = new Uint8Array(1 << 20);
    const view = new DataView(bytes.buffer);
    const put = (at: number, value: bigint): void => view.setBigUint64(at, value, true);
    const fields = [0xcafebaben, 0x200000001n, 16384n, 8n, 64n];
    fields.forEach((value, i) => put(i * 8, value));
    put(80, 1n);
    put(128, 16n);
    put(136, 1n);
    put(144, 32n);
    put(192, 1000n);
    put(512, 0xcafecafen);
    put(16 * 512, 0x1000000000000001n);
    put(32 * 512 + 32768, 0x3003000000000000n);
    put(32 * 512 + 32768 + 8, 0x2000000000000000n);
    bytes.fill(9, (1000 + 24) * 512, (1000 + 32) * 512);
    fileOf(files, 's.vmdk', bytes);
    descriptor(files, 'RW 16384 SESPARSE "s.vmdk"');
    const node = await openIn(files, { readOnly: true });
    const model = new Uint8Array(8 << 20);
    model.fill(9, 0, 4096);
    expect(Buffer.compare(await contentOf(node), model)).toBe(0);
    expect(await node.map(4096, 8192)).toEqual({ kind: 'zero', length: 4096 });
    await expect(openIn(files)).rejects.toThrow('No write support for seSparse images available');
    put(536, 1n);
    fileOf(files, 's.vmdk', bytes);
    await expect(openIn(files, { readOnly: true })).rejects.toThrow('Image is dirty, Replaying journal not supported');
  });

  it('need at least one extent', async () => {
    const files: Files = new Map();
    descriptor(files, 'RW 0 SPARSE "c.vmdk"');
    await expect(openIn(files)).rejects.toThrow('no extent that can be read');
  });
});
