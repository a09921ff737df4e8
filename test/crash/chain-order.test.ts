/**
 * Power cut at any change of a commit or a rebase, with and without the writes that were not flushed: the overlay keeps
 * its content, and no image of the chain has worse than leaks.
 */
import { describe, expect, it } from 'vitest';
import { commit } from '../../src/operations/commit.ts';
import { rebase } from '../../src/operations/rebase.ts';
import { type Area, contentOf, contextOf, damageOf, make } from '../support/chain.ts';
import { type PowerCut, RecordingFiles } from '../support/recordingFiles.ts';

const SIZE = 131072;
const SMALL = { cluster_size: '4096' };
const OLD: readonly Area[] = [
  [0, 40000, 1],
  [65536, 20000, 2],
];
const TOP: readonly Area[] = [
  [8192, 4096, 3],
  [20000, 9000, 4],
  [65536, 4096, 'zero'],
  [100000, 1000, 5],
];

/** What may be left after so many changes. */
function* cuts(changes: number): Generator<PowerCut> {
  let seed = 5;
  const random = (): boolean => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed > 1073741824;
  };
  for (let cut = 0; cut <= changes; cut++) {
    yield { cut };
    yield { cut, lost: () => true };
    yield { cut, lost: random };
    yield { cut, torn: (sector) => sector % 2 === 0 };
  }
}

/** An image of the chain: name and format. */
type Member = readonly [name: string, format: string];

async function expectSurvival(files: RecordingFiles, images: readonly Member[], content: Uint8Array): Promise<void> {
  const [top] = images as [Member];
  expect(files.changes).toBeGreaterThan(3);
  for (const cut of cuts(files.changes)) {
    const context = contextOf(files.after(cut));
    const where = JSON.stringify({ cut: cut.cut, lost: cut.lost !== undefined, torn: cut.torn !== undefined });
    const found = await contentOf(context, ...top);
    expect(Buffer.compare(found, content), `content after ${where}`).toBe(0);
    for (const [name, format] of images) {
      if (format === 'qcow2') expect(await damageOf(context, name, format), `damage of ${name} after ${where}`).toBe(0);
    }
  }
}

describe('a power cut during commit', () => {
  it.each([
    { format: 'qcow2', options: SMALL },
    { format: 'qcow2', options: { ...SMALL, lazy_refcounts: 'on' } },
    { format: 'qed', options: SMALL },
    { format: 'raw' },
  ])('keeps the overlay: base %j', async ({ format, options }) => {
    const files = new RecordingFiles();
    const context = contextOf(files);
    await make(context, 'base', { format, size: SIZE, areas: OLD, ...(options ? { options } : {}) });
    await make(context, 'top', { backing: ['base', format], size: SIZE + 65536, options: SMALL, areas: TOP });
    const content = await contentOf(context, 'top');
    files.start();
    await commit(context, { image: { filename: 'top', format: 'qcow2' } });
    await expectSurvival(
      files,
      [
        ['top', 'qcow2'],
        ['base', format],
      ],
      content,
    );
  });

  it('keeps the overlay of a deeper base', async () => {
    const files = new RecordingFiles();
    const context = contextOf(files);
    await make(context, 'base', { size: SIZE, options: SMALL, areas: OLD });
    await make(context, 'middle', { backing: ['base', 'qcow2'], options: SMALL, areas: [[4096, 12288, 7]] });
    await make(context, 'top', { backing: ['middle', 'qcow2'], options: SMALL, areas: TOP });
    const content = await contentOf(context, 'top');
    files.start();
    await commit(context, { image: { filename: 'top', format: 'qcow2' }, base: 'base', drop: true });
    await expectSurvival(
      files,
      [
        ['top', 'qcow2'],
        ['middle', 'qcow2'],
        ['base', 'qcow2'],
      ],
      content,
    );
  });
});

describe('a power cut during rebase', () => {
  it.each([
    { format: 'qcow2', options: SMALL, onto: 'new', compress: false },
    { format: 'qcow2', options: SMALL, onto: 'new', compress: true },
    { format: 'qcow2', options: { cluster_size: '16384', extended_l2: 'on' }, onto: 'new', compress: false },
    { format: 'qcow2', options: { ...SMALL, compat: '0.10' }, onto: 'new', compress: false },
    { format: 'qcow2', options: SMALL, onto: '', compress: false },
    { format: 'qed', options: SMALL, onto: 'new', compress: false },
    { format: 'qed', options: SMALL, onto: '', compress: false },
  ])('keeps the image: %j', async ({ format, options, onto, compress }) => {
    const files = new RecordingFiles();
    const context = contextOf(files);
    await make(context, 'old', { size: SIZE, options: SMALL, areas: OLD });
    await make(context, 'new', {
      size: SIZE,
      options: SMALL,
      areas: [
        [0, 30000, 1],
        [40960, 80000, 9],
      ],
    });
    await make(context, 'top', { format, backing: ['old', 'qcow2'], options, areas: TOP });
    const content = await contentOf(context, 'top', format);
    files.start();
    await rebase(context, {
      image: { filename: 'top', format },
      backing: { filename: onto, format: onto === '' ? undefined : 'qcow2' },
      compress,
    });
    await expectSurvival(files, [['top', format]], content);
  });
});
