/** The power goes at any moment of any change of a qcow2 image: everything else stays as it was, and leaks at worst. */
import { describe, expect, it } from 'vitest';
import type { ImageNode } from '../../src/block/node/node.ts';
import { amend } from '../../src/operations/amend.ts';
import { create } from '../../src/operations/create.ts';
import type { OperationContext } from '../../src/operations/context.ts';
import { resize } from '../../src/operations/resize.ts';
import { snapshot } from '../../src/operations/snapshot.ts';
import { openSource } from '../../src/operations/source.ts';
import { contentOf, type CrashCase, expectSafe, type Watched } from '../support/crashCase.ts';
import { pattern } from '../support/qcow2Model.ts';

const FILE = 'a.qcow2';
const SIZE = 65536;
const image = { filename: FILE, format: 'qcow2' };

type Options = Readonly<Record<string, string>>;

async function make(context: OperationContext, options: Options, size: number = SIZE): Promise<void> {
  const pairs = Object.entries(options).map(([name, value]) => ({ name, value }));
  await create(context, { filename: FILE, format: 'qcow2', options: pairs, size });
}

async function edit(context: OperationContext, body: (node: ImageNode) => Promise<void>): Promise<void> {
  const node = await openSource(context, image, { writable: true });
  await body(node);
  await node.close();
}

async function compress(node: ImageNode, start: number, length: number, seed: number): Promise<void> {
  const { compressor } = node;
  if (!compressor) throw new Error('no compressor');
  for (let at = start; at < start + length; at += compressor.unit) {
    const [coded] = await compressor.encode(at, pattern(at, compressor.unit, seed).fill(seed, 100));
    if (coded) await node.storeCompressed(at, coded);
  }
}

const GEOMETRIES: Record<string, Options> = {
  'small clusters': { cluster_size: '512' },
  'version 2': { cluster_size: '512', compat: '0.10' },
  'wide refcounts': { cluster_size: '1024', refcount_bits: '64' },
  subclusters: { cluster_size: '16384', extended_l2: 'on' },
};

/** Bytes that change together: what one allocation is linked by. */
function watched(unit: Watched['unit']): Watched[] {
  return [{ ...image, unit }];
}

const WRITES: Record<string, (node: ImageNode, note: () => Promise<void>) => Promise<void>> = {
  'a write': async (node) => {
    await node.write(700, pattern(700, 3000, 9));
    await node.write(9000, pattern(9000, 5000, 9));
  },
  'zeroes that keep their space': async (node) => node.writeZeroes(0, 16384),
  'zeroes that give it up': async (node) => node.writeZeroes(0, 16384, { unmap: true }),
  'a discard': async (node) => node.discard(0, 16384),
  'a compressed write': async (node) => compress(node, 0, 2 * (node.compressor?.unit ?? 0), 5),
  'many changes': async (node, note) => {
    await node.writeZeroes(0, 4096, { unmap: true });
    await note();
    await node.write(1024, pattern(1024, 2048, 3));
    await note();
    await node.flush();
    await node.discard(0, 2048);
    await note();
    await node.write(5120, pattern(5120, 6144, 4));
  },
};

async function prepared(context: OperationContext, options: Options, snapshots: number): Promise<void> {
  await make(context, options);
  await edit(context, async (node) => {
    await node.write(0, pattern(0, 6000, 1));
    // Space that is kept here holds something else than the guest sees.
    await node.writeZeroes(2048, 2048);
    if (options['data_file'] === undefined) await compress(node, 32768, node.compressor?.unit ?? 0, 2);
    for (let i = 0; i < snapshots; i++) {
      await node.snapshots?.create(`s${i}`);
      await node.write(2000 * i, pattern(2000 * i, 3000, 5 + i));
    }
  });
}

async function run(item: CrashCase): Promise<void> {
  const states = await expectSafe(item);
  expect(states).toBeGreaterThan(1);
}

describe.each<Options>([
  { cluster_size: '512', data_file: 'a.data' },
  { cluster_size: '512', data_file: 'a.data', data_file_raw: 'on' },
  { cluster_size: '16384', extended_l2: 'on', data_file: 'a.data' },
])('an external data file: %j', (options) => {
  it.each(Object.entries(WRITES).filter(([name]) => name !== 'a compressed write'))('%s', (_, act) =>
    run({
      images: watched(512),
      prepare: (context) => prepared(context, options, 0),
      act: (context, note) => edit(context, (node) => act(node, async () => note(await contentOf(node)))),
    }),
  );

  it.each([SIZE + 512, 4096])('resize to %i', (size) =>
    run({
      images: watched('whole'),
      prepare: (context) => prepared(context, options, 0),
      act: async (context) => {
        await resize(context, { image, size, shrink: true, preallocation: 'off' });
      },
    }),
  );
});

describe.each(Object.entries(GEOMETRIES))('%s', (_, options) => {
  it.each(Object.entries(WRITES))('%s', (__, act) =>
    run({
      images: watched(512),
      prepare: (context) => prepared(context, options, 0),
      act: (context, note) => edit(context, (node) => act(node, async () => note(await contentOf(node)))),
    }),
  );

  it.each(Object.entries(WRITES))('%s over a snapshot', (__, act) =>
    run({
      images: watched(512),
      prepare: (context) => prepared(context, options, 1),
      act: (context, note) => edit(context, (node) => act(node, async () => note(await contentOf(node)))),
    }),
  );

  it.each(['create', 'apply', 'delete'] as const)('snapshot: %s', (action) =>
    run({
      images: watched('whole'),
      prepare: (context) => prepared(context, options, 2),
      act: async (context) => {
        await snapshot(context, {
          image,
          action,
          name: action === 'create' ? 'new' : 's0',
        });
      },
    }),
  );

  it.each([SIZE + 512, SIZE * 40, 4096])('resize to %i', (size) =>
    run({
      images: watched('whole'),
      prepare: (context) => prepared(context, options, 0),
      act: async (context) => {
        await resize(context, { image, size, shrink: true, preallocation: 'off' });
      },
    }),
  );

  it('create', () =>
    run({ images: watched('absent'), prepare: async () => undefined, act: (context) => make(context, options) }));

  it.each<Options>([
    { lazy_refcounts: 'on' },
    { refcount_bits: '1' },
    { refcount_bits: '32' },
    { refcount_bits: '64' },
    { compat: '0.10' },
    { compat: '1.1' },
    { size: '32768' },
    { size: '90112' },
  ])('amend: %j', async (amended) => {
    const pairs = Object.entries(amended).map(([name, value]) => ({ name, value }));
    const request = { image, options: pairs };
    const allowed =
      (options['compat'] !== '0.10' || amended['compat'] === '1.1' || amended['size'] !== undefined) &&
      (amended['compat'] !== '0.10' ||
        (options['extended_l2'] === undefined && options['refcount_bits'] === undefined));
    if (
      !allowed ||
      (amended['refcount_bits'] === options['refcount_bits'] && amended['refcount_bits'] !== undefined) ||
      (amended['compat'] === '1.1' && options['compat'] === undefined)
    )
      return;
    await run({
      images: watched('whole'),
      prepare: async (context) => {
        await prepared(context, options, 0);
        await edit(context, async (node) => node.writeZeroes(4096, 4096));
      },
      act: async (context) => {
        await amend(context, request);
      },
    });
  });
});
