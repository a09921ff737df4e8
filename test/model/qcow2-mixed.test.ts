/** Random changes of qcow2 images of every kind. */
import { it } from 'vitest';
import { AMENDMENTS, BITMAPS, CHAIN, CONTENT, SNAPSHOTS, MODEL_TIMEOUT, runModel } from '../support/qcow2Steps.ts';

it('holds what a plain model holds, whatever is done to it', { timeout: MODEL_TIMEOUT }, () =>
  runModel('everything', [
    ...CONTENT,
    ...CONTENT,
    ...SNAPSHOTS,
    ...BITMAPS,
    ...AMENDMENTS,
    ...CHAIN,
    'check',
    'repair',
    'preallocate',
    'reserve',
  ]),
);
