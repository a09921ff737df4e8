/** `resize`: operation and printing. */
import { BlockError } from '../../base/error.ts';
import type { ResizeRequest } from '../../operations/requests.ts';
import { resize } from '../../operations/resize.ts';
import { formatResize } from '../../report/resize.ts';
import { hasAdvice, programHint } from '../hints.ts';
import type { Executor } from './executor.ts';

/** Changes the size. */
export const execute: Executor<ResizeRequest> = async (context, request, view, { out, err }) => {
  try {
    await resize(context, request);
  } catch (thrown) {
    if (!(thrown instanceof BlockError) || !hasAdvice(thrown, 'shrink')) throw thrown;
    // The advice is a warning below the error.
    err('qemu-img: Use the --shrink option to perform a shrink operation.\n');
    view.warn(programHint({ about: 'shrink' }));
    return 1;
  }
  if (!view.quiet) out(formatResize());
  return 0;
};
