/** Random changes of the options of qcow2 images, with writes and snapshots in between. */
import { it } from 'vitest';
import { AMENDMENTS, CONTENT, SNAPSHOTS, MODEL_TIMEOUT, runModel } from '../support/qcow2Steps.ts';

it('holds the same in every version and with refcounts of every width', { timeout: MODEL_TIMEOUT }, () =>
  runModel('amendments', [...CONTENT, ...SNAPSHOTS, ...AMENDMENTS, ...AMENDMENTS, 'check', 'preallocate']),
);
