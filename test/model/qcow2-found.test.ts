/** What random sequences found: each bug once more, in its shortest form. */
import { it } from 'vitest';
import type { Shape } from '../support/qcow2Model.ts';
import { runSequence, type Step, type StepKind } from '../support/qcow2Steps.ts';

const plain: Shape = {
  size: 512,
  backing: [],
  lazy: false,
  clusterSize: 512,
  refcountBits: 16,
  extended: false,
  version: 3,
  data: 'none',
  crypt: 'none',
};

function step(kind: StepKind, offset = 0, length = 0, seed = 0): Step {
  return { kind, offset, length, seed };
}

const found: [bug: string, shape: Partial<Shape>, steps: Step[]][] = [
  [
    'reserving space for subclusters of zeroes let the backing image show through',
    { clusterSize: 16384, extended: true, backing: [{ format: 'raw', size: 27648 }] },
    [step('preallocate', 344064), step('preallocate', 512)],
  ],
  [
    'reserving space behind a size that is not whole clusters hid the end of the backing image',
    { clusterSize: 65536, backing: [{ format: 'raw', size: 512 }] },
    [step('preallocate', 512)],
  ],
  [
    'reserved space showed what discarded clusters had held',
    { clusterSize: 512, size: 65536 },
    [step('write', 0, 65536), step('discard', 0, 65536), step('reopen'), step('preallocate', 8192)],
  ],
  [
    'a snapshot that the refcounts had no room for left a cluster behind',
    { refcountBits: 1 },
    [step('write', 0, 1), step('snapshot')],
  ],
  [
    'bitmaps that version 2 cannot have left their clusters behind',
    {},
    [step('addBitmap', 0, 0, 1), step('write', 0, 512), step('reopen'), step('amendVersion', 0, 0, 1)],
  ],
  [
    'a bitmap that was disabled but not stored so missed a write before a kill, and did not say so',
    {},
    [step('addBitmap', 0, 0, 1), step('reopen'), step('toggleBitmap'), step('write', 0, 512), step('kill')],
  ],
  [
    'a bitmap that was removed but not stored so missed a write before a kill, and did not say so',
    {},
    [step('addBitmap', 0, 0, 1), step('reopen'), step('removeBitmap'), step('write', 0, 512), step('kill')],
  ],
  [
    'preallocated growth showed what a data file held where the old last cluster had been discarded',
    { clusterSize: 65536, size: 512, data: 'plain' },
    [step('discard', 0, 512), step('preallocate', 512)],
  ],
  [
    'preallocated growth lost subclusters behind one that was not in use in the old last cluster',
    { clusterSize: 16384, size: 2048, extended: true, data: 'plain' },
    [step('write', 1024, 512), step('preallocate', 512)],
  ],
];

it.each(found)('%s', async (_, shape, steps) => {
  await runSequence({ ...plain, ...shape }, steps);
});
