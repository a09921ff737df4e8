/** Random changes of bitmaps of qcow2 images, with writes in between, against sets of granules. */
import { it } from 'vitest';
import { BITMAPS, CONTENT, MODEL_TIMEOUT, runModel } from '../support/qcow2Steps.ts';

it('holds in its bitmaps what was changed since', { timeout: MODEL_TIMEOUT }, () =>
  runModel('bitmaps', [...CONTENT, ...BITMAPS, ...BITMAPS, 'amendRefcounts', 'amendSize', 'check']),
);
