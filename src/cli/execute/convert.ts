/** `convert`: operation and exit code. */
import { BlockError } from '../../base/error.ts';
import { convert } from '../../operations/convert.ts';
import type { ConvertRequest } from '../../operations/requests.ts';
import { hasAdvice, hintLines } from '../hints.ts';
import type { Executor } from './executor.ts';
import { stoppable } from './stoppable.ts';

/** Copies images. */
export const execute: Executor<ConvertRequest> = async (context, request, _view, { err }) => {
  try {
    await stoppable(context, (inner) => convert(inner, request));
  } catch (thrown) {
    if (!(thrown instanceof BlockError) || !hasAdvice(thrown, 'zero-target')) throw thrown;
    // Said, but not counted as a failure by the real tool.
    err(`qemu-img: ${hintLines(thrown)}`);
  }
  return 0;
};
