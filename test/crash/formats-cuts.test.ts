/** The power goes at any moment of a write to an image of another format: it can be opened, and holds the old or the new bytes. */
import { describe, expect, it } from 'vitest';
import type { ImageNode } from '../../src/block/node/node.ts';
import { check } from '../../src/operations/check.ts';
import { create } from '../../src/operations/create.ts';
import type { OperationContext } from '../../src/operations/context.ts';
import { openSource } from '../../src/operations/source.ts';
import { expectSafe } from '../support/crashCase.ts';
import { pattern } from '../support/qcow2Model.ts';

/** Formats with a size that makes several units, and options that make them small. */
const FORMATS: readonly (readonly [format: string, size: number, options: Readonly<Record<string, string>>])[] = [
  ['qcow', 32768, {}],
  ['qed', 65536, { cluster_size: '4096', table_size: '2' }],
  ['vdi', 3145728, {}],
  ['vhdx', 3145728, { block_size: '1048576', log_size: '1048576' }],
  ['vhdx', 3145728, { block_size: '1048576', subformat: 'fixed' }],
  ['vmdk', 262144, {}],
  ['vmdk', 262144, { subformat: 'twoGbMaxExtentSparse' }],
  ['vpc', 4194304, {}],
  ['vpc', 4194304, { subformat: 'fixed' }],
  ['parallels', 262144, { cluster_size: '65536' }],
  ['raw', 65536, {}],
];

/** What a check says of an image that was not closed, as the real tool does; it is no damage. */
const HARMLESS = /allocated blocks mismatch|not closed correctly/;

const CHANGES: Record<string, (node: ImageNode) => Promise<void>> = {
  'a write to new and old units': async (node) => {
    const size = node.size();
    await node.write(1024, pattern(1024, 3072, 9));
    await node.write(size / 2, pattern(size / 2, 4096, 9));
  },
  zeroes: async (node) => {
    await node.writeZeroes(0, node.size() / 2, { unmap: true });
  },
  'a discard': async (node) => {
    await node.discard(0, node.size() / 2);
  },
  'compressed units': async (node) => {
    const { compressor } = node;
    if (!compressor || node.format === 'raw') return;
    const { unit } = compressor;
    for (const at of [Math.ceil(6144 / unit) * unit, Math.ceil(node.size() / 2 / unit) * unit]) {
      const [coded] = await compressor.encode(at, pattern(at, unit, 5).fill(5, 100));
      if (coded) await node.storeCompressed(at, coded);
    }
  },
  'a larger size': async (node) => {
    if (node.resizable) await node.truncate(node.size() + 65536);
  },
};

/** Structures to damage before a repair: bytes at an offset. */
const DAMAGES: readonly (readonly [format: string, what: string, at: number, bytes: readonly number[]])[] = [
  ['qed', 'an image that was not closed', 16, [2]],
  ['parallels', 'an image that was not closed', 44, [0x59, 0x6e, 0x6f, 0x74]],
  ['parallels', 'an entry outside the file', 68, [0xff, 0xff, 0xff, 0x3f]],
  ['parallels', 'an entry that is there twice', 68, [0x80, 0, 0, 0]],
  ['parallels', 'space that nothing refers to', 4 * 65536, [1]],
];

async function edit(
  context: OperationContext,
  format: string,
  body: (node: ImageNode) => Promise<void>,
): Promise<void> {
  const node = await openSource(context, { filename: 'a.img', format }, { writable: true });
  await body(node);
  await node.close();
}

describe.each(FORMATS)('%s of %i bytes with %j', (format, size, options) => {
  it.each(Object.entries(CHANGES))('%s', async (_, change) => {
    await expectSafe({
      images: [{ filename: 'a.img', format, unit: 512 }],
      harmless: HARMLESS,
      recovered: format === 'vhdx',
      async prepare(context) {
        const pairs = Object.entries(options).map(([name, value]) => ({ name, value }));
        await create(context, { filename: 'a.img', format, options: pairs, size });
        await edit(context, format, async (node) => node.write(0, pattern(0, 6144, 1)));
      },
      act: (context) => edit(context, format, change),
    });
  });
});

it.each(DAMAGES)('a repair: %s, %s', async (format, _, at, bytes) => {
  const [, size, options] = FORMATS.find(([name]) => name === format) ?? ['', 0, {}];
  const image = { filename: 'a.img', format };
  await expectSafe({
    images: [{ ...image, unit: 'whole' }],
    damaged: true,
    async prepare(context, files) {
      const pairs = Object.entries(options).map(([name, value]) => ({ name, value }));
      await create(context, { ...image, options: pairs, size });
      await edit(context, format, async (node) => node.write(0, pattern(0, 6144, 1)));
      const file = await files.open('a.img', { writable: true });
      if (file.size() <= at) await file.truncate?.(at + bytes.length, 'off');
      await file.write?.(at, Uint8Array.from(bytes));
      await file.close();
    },
    act: async (context) => {
      const { kind } = await check(context, { image, repair: 'all' });
      expect(kind).toBe('clean');
    },
  });
});
