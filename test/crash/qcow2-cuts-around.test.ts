/** The power goes while bitmaps, repairs, chains and conversions are under way: see `qcow2-cuts.test.ts`. */
import { describe, expect, it } from 'vitest';
import type { ImageNode } from '../../src/block/node/node.ts';
import { amend } from '../../src/operations/amend.ts';
import { bitmap } from '../../src/operations/bitmap.ts';
import { check } from '../../src/operations/check.ts';
import { commit } from '../../src/operations/commit.ts';
import type { OperationContext } from '../../src/operations/context.ts';
import { convert } from '../../src/operations/convert.ts';
import { create } from '../../src/operations/create.ts';
import { rebase } from '../../src/operations/rebase.ts';
import type { BitmapAction } from '../../src/operations/requests.ts';
import { openSource } from '../../src/operations/source.ts';
import type { MemoryFiles } from '../../src/storage/memoryFiles.ts';
import { type CrashCase, contentOf, expectSafe, type Watched } from '../support/crashCase.ts';
import { pattern } from '../support/qcow2Model.ts';

const SIZE = 65536;
const SMALL = { cluster_size: '512' };

async function make(
  context: OperationContext,
  filename: string,
  options: Readonly<Record<string, string>>,
  backing?: string,
): Promise<void> {
  await create(context, {
    filename,
    format: 'qcow2',
    options: Object.entries(options).map(([name, value]) => ({ name, value })),
    size: SIZE,
    backing: backing === undefined ? undefined : { filename: backing, format: 'qcow2' },
  });
}

async function edit(
  context: OperationContext,
  filename: string,
  body: (node: ImageNode) => Promise<void>,
): Promise<void> {
  const node = await openSource(context, { filename, format: 'qcow2' }, { writable: true });
  await body(node);
  await node.close();
}

function watch(filename: string, unit: Watched['unit']): Watched {
  return { filename, format: 'qcow2', unit };
}

async function run(item: CrashCase): Promise<void> {
  const states = await expectSafe(item);
  expect(states).toBeGreaterThan(1);
}

/** Bitmaps that can be trusted know of every byte that is not as it was when they were clear. */
async function expectBitmaps(context: OperationContext, filename: string): Promise<void> {
  const node = await openSource(context, { filename, format: 'qcow2' });
  const store = node.bitmaps;
  for (const { name, inUse } of (await store?.list()) ?? []) {
    if (inUse || !store || !name.startsWith('all')) continue;
    const content = await contentOf(node);
    for await (const { offset, length } of store.ranges(name)) content.fill(0, offset, offset + length);
    expect({ name, missed: content.findIndex((byte) => byte !== 0) }).toEqual({ name, missed: -1 });
  }
  await node.close();
}

describe('bitmaps', () => {
  const image = { filename: 'a', format: 'qcow2' };
  const actions: readonly (readonly [name: string, action: BitmapAction])[] = [
    ['new', { kind: 'add' }],
    ['some', { kind: 'remove' }],
    ['all', { kind: 'remove' }],
    ['some', { kind: 'clear' }],
    ['all', { kind: 'disable' }],
    ['off', { kind: 'enable' }],
    ['some', { kind: 'merge', source: 'all' }],
  ];

  /** `all` knows of everything, `some` of a part, `off` of nothing. */
  async function prepare(context: OperationContext): Promise<void> {
    await make(context, 'a', SMALL);
    await edit(context, 'a', async (node) => node.bitmaps?.add('all', 512, true));
    await edit(context, 'a', async (node) => node.write(0, pattern(0, 5000, 1)));
    await edit(context, 'a', async (node) => {
      await node.bitmaps?.add('some', 4096, true);
      await node.bitmaps?.add('off', 512, false);
      await node.write(20000, pattern(20000, 3000, 2));
    });
  }

  const verify = (context: OperationContext): Promise<void> => expectBitmaps(context, 'a');

  it.each(actions)('of %s: %j', (name, action) =>
    run({
      images: [watch('a', 'whole')],
      prepare,
      act: async (context) => {
        await bitmap(context, { image, bitmap: name, actions: [action] });
      },
      verify,
    }),
  );

  it('and writes, a resize and another bitmap', () =>
    run({
      images: [watch('a', 512)],
      prepare,
      act: (context, note) =>
        edit(context, 'a', async (node) => {
          await node.write(30208, pattern(30208, 1024, 3));
          await node.truncate(SIZE * 2);
          note(await contentOf(node));
          await node.bitmaps?.setEnabled('all', false);
          await node.bitmaps?.remove('some');
          await node.write(40448, pattern(40448, 1024, 3));
        }),
      // `all` missed the last write because it was told to.
      verify: async () => undefined,
    }));

  it('and writes', () =>
    run({
      images: [watch('a', 512)],
      prepare,
      act: (context) =>
        edit(context, 'a', async (node) => {
          await node.write(30208, pattern(30208, 1024, 3));
          await node.writeZeroes(0, 2048, { unmap: true });
          await node.flush();
          await node.write(40448, pattern(40448, 1024, 3));
        }),
      verify,
    }));

  it('that a downgrade drops', () =>
    run({
      images: [watch('a', 'whole')],
      prepare,
      act: async (context) => {
        const options = [{ name: 'compat', value: '0.10' }];
        await amend(context, { image, options });
      },
      verify,
    }));
});

describe('refcounts that are late', () => {
  it('are put right at the next opening', () =>
    run({
      images: [watch('a', 512)],
      recovered: true,
      async prepare(context) {
        await make(context, 'a', { ...SMALL, lazy_refcounts: 'on' });
        await edit(context, 'a', async (node) => node.write(0, pattern(0, 5000, 1)));
      },
      act: (context) =>
        edit(context, 'a', async (node) => {
          await node.write(9216, pattern(9216, 3072, 2));
          await node.flush();
          await node.discard(0, 2048);
          await node.write(20480, pattern(20480, 1024, 3));
        }),
    }));
});

describe('a repair', () => {
  /** Damages: bytes at an offset, which is that of a cluster of this small image plus a place in it. */
  const damages: readonly (readonly [what: string, at: number, bytes: readonly number[]])[] = [
    ['of refcounts that are too low', 2 * 512 + 6 * 2, [0, 0, 0, 0]],
    ['of refcounts that are too high', 2 * 512 + 6 * 2, [0, 3]],
    ['of leaks', 2 * 512 + 60 * 2, [0, 1, 0, 1]],
    ['of a refcount table without a block', 512, [0, 0, 0, 0, 0, 0, 0, 0]],
  ];

  it.each([
    ...damages.map((damage) => ['all', ...damage] as const),
    ...damages.slice(1, 3).map((damage) => ['leaks', ...damage] as const),
  ])('by -r %s %s', async (repair, _, at, bytes) => {
    const image = { filename: 'a', format: 'qcow2' };
    const prepare = async (context: OperationContext, files: MemoryFiles): Promise<void> => {
      await make(context, 'a', SMALL);
      await edit(context, 'a', async (node) => node.write(0, pattern(0, 9000, 1)));
      const file = await files.open('a', { writable: true });
      await file.write?.(at, Uint8Array.from(bytes));
      await file.close();
    };
    await expectSafe({
      images: [watch('a', 'whole')],
      damaged: true,
      prepare,
      act: async (context) => {
        await check(context, { image, repair });
      },
    });
  });
});

/** A base, another base, and an overlay over the first one. */
async function chain(context: OperationContext, options: Readonly<Record<string, string>> = SMALL): Promise<void> {
  for (const [index, name] of ['base', 'other'].entries()) {
    await make(context, name, options);
    await edit(context, name, async (node) => {
      await node.write(0, pattern(0, 12000, 1));
      await node.write(4000, pattern(4000, 2000, 2 + index));
    });
  }
  await make(context, 'top', options, 'base');
  await edit(context, 'top', async (node) => {
    await node.write(1000, pattern(1000, 2000, 7));
    await node.writeZeroes(8192, 1024);
  });
}

describe.each([SMALL, { cluster_size: '4096' }])('chains of %j', (options) => {
  const image = { filename: 'top', format: 'qcow2' };

  it.each([true, false])('commit, drop: %s', (drop) =>
    run({
      images: [watch('top', 'whole'), watch('base', 512)],
      prepare: (context) => chain(context, options),
      act: async (context) => {
        await commit(context, { image, drop });
      },
    }),
  );

  it.each(['other', ''])("rebase to '%s'", (filename) =>
    run({
      images: [watch('top', 'whole'), watch('base', 'whole'), watch('other', 'whole')],
      prepare: (context) => chain(context, options),
      act: async (context) => {
        await rebase(context, { image, backing: { filename, format: 'qcow2' } });
      },
    }),
  );

  it('rebase of the name only', () =>
    run({
      images: [watch('top', 'whole')],
      prepare: (context) => chain(context, options),
      act: async (context) => {
        await rebase(context, { image, backing: { filename: 'other', format: 'qcow2' }, unsafe: true });
      },
    }));
});

describe('convert', () => {
  const request = {
    source: { filename: 'top', format: 'qcow2' },
    options: [{ name: 'cluster_size', value: '512' }],
  };

  it('into an existing image', () =>
    run({
      images: [watch('target', 512)],
      async prepare(context) {
        await chain(context);
        await make(context, 'target', SMALL);
        await edit(context, 'target', async (node) => node.write(0, pattern(0, 20000, 5)));
      },
      act: async (context) => {
        const target = { filename: 'target', format: 'qcow2' };
        await convert(context, { ...request, options: [], target, noCreate: true });
      },
    }));

  it.each([false, true])('into a new file that is there whole or not at all, compressed: %s', (compress) =>
    run({
      images: [watch('target', 'absent')],
      prepare: (context) => chain(context),
      act: async (context) => {
        const target = { filename: 'target', format: 'qcow2' };
        await convert(context, { ...request, compress, target });
      },
    }),
  );

  it('over a file, which is written in place, as the real tool does', () =>
    run({
      images: [watch('target', 'any')],
      async prepare(context) {
        await chain(context);
        await make(context, 'target', SMALL);
        await edit(context, 'target', async (node) => node.write(0, pattern(0, 20000, 5)));
      },
      act: async (context) => {
        const target = { filename: 'target', format: 'qcow2' };
        await convert(context, { ...request, target });
      },
    }));
});
