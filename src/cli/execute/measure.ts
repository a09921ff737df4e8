/** `measure`: operation and printing. */
import { BlockError } from '../../base/error.ts';
import { measure } from '../../operations/measure.ts';
import type { MeasureRequest } from '../../operations/requests.ts';
import { formatMeasure, formatMeasureJson } from '../../report/measure.ts';
import { errorLines } from '../command.ts';
import type { Executor } from './executor.ts';

/** Computes how large a new image will be. */
export const execute: Executor<MeasureRequest> = async (context, request, view, { out, err }) => {
  try {
    const result = await measure(context, request);
    out(view.json ? formatMeasureJson(result) : formatMeasure(result));
    return 0;
  } catch (thrown) {
    // Bad options get two lines: what is wrong, and what for.
    const options = thrown instanceof BlockError && thrown.message.startsWith('Invalid options for file format');
    if (options && thrown.cause instanceof BlockError) err(errorLines(thrown.cause));
    throw thrown;
  }
};
