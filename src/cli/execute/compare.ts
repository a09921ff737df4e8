/** `compare`: operation, printing, and exit codes 1 to 4. */
import { BlockError } from '../../base/error.ts';
import { type CompareResult, compare } from '../../operations/compare.ts';
import type { CompareRequest } from '../../operations/requests.ts';
import { compareExitCode, compareFailureCode, formatCompare, SIZES_DIFFER } from '../../report/compare.ts';
import { errorLines } from '../command.ts';
import type { Executor } from './executor.ts';

/** Compares two images. */
export const execute: Executor<CompareRequest> = async (context, request, view, { out, err }) => {
  let result: CompareResult;
  let before = 0;
  const onProgress = (done: number, total: number): void => {
    if (done === 0) view.progress.start();
    // The real tool adds up shares.
    else view.progress.add(((done - before) / total) * 100);
    before = done;
  };
  try {
    result = await compare({ ...context, onProgress }, request, {
      sizesDiffer() {
        if (!view.quiet) out(SIZES_DIFFER);
      },
    });
  } catch (thrown) {
    if (!(thrown instanceof BlockError) || compareFailureCode(thrown) === 2) throw thrown;
    err(errorLines(thrown));
    return compareFailureCode(thrown);
  }
  if (!view.quiet) out(formatCompare(result));
  return compareExitCode(result);
};
