/** Random commits and rebases of qcow2 images, with changes of all kinds in between. */
import { it } from 'vitest';
import { CHAIN, CONTENT, SNAPSHOTS, MODEL_TIMEOUT, runModel } from '../support/qcow2Steps.ts';

it('holds the same whatever is below', { timeout: MODEL_TIMEOUT }, () =>
  runModel('chains', [...CONTENT, ...SNAPSHOTS, ...CHAIN, ...CHAIN, ...CHAIN, 'amendVersion', 'addBitmap']),
);
