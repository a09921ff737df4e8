/** `resize`: operation and printing. */
import { BlockError } from '../../base/error.ts';
import type { ResizeRequest } from '../../operations/requests.ts';
import { resize, SHRINK_ADVICE } from '../../operations/resize.ts';
import { formatResize } from '../../report/resize.ts';
import type { Executor } from './executor.ts';

/** Changes the size. */
export const execute: Executor<ResizeRequest> = async (context, request, view, { out, err }) => {
  try {
    await resize(context, request);
  } catch (thrown) {
    if (!(thrown instanceof BlockError) || thrown.hint !== SHRINK_ADVICE) throw thrown;
    // The advice is a warning below the error.
    err(`qemu-img: ${thrown.message}\n`);
    view.warn(thrown.hint);
    return 1;
  }
  if (!view.quiet) out(formatResize());
  return 0;
};
