/** `dd`: operation and printing. */
import { dd } from '../../operations/dd.ts';
import type { DdRequest } from '../../operations/requests.ts';
import type { Executor } from './executor.ts';
import { stoppable } from './stoppable.ts';

/** Copies blocks. */
export const execute: Executor<DdRequest> = async (context, request, _view, { err }) => {
  const result = await stoppable(context, (inner) => dd(inner, request));
  if (result.skippedAll) err(`qemu-img: ${request.input.filename}: cannot skip to specified offset\n`);
  return 0;
};
