/** Random writes, zeroes, discards and resizes of qcow2 images, against a plain array of bytes. */
import { it } from 'vitest';
import { CONTENT, MODEL_TIMEOUT, runModel } from '../support/qcow2Steps.ts';

it('holds what was written, through any sequence of operations', { timeout: MODEL_TIMEOUT }, () =>
  runModel('content', [...CONTENT, 'preallocate', 'reserve', 'check']),
);
