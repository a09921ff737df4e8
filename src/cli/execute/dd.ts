/** `dd`: operation and printing. */
import { dd } from '../../operations/dd.ts';
import type { DdRequest } from '../../operations/requests.ts';
import type { Executor } from './executor.ts';

/** Copies blocks. */
export const execute: Executor<DdRequest> = async (context, request, _view, { err }) => {
  const result = await dd(context, request);
  if (result.skippedAll) err(`qemu-img: ${request.input.filename}: cannot skip to specified offset\n`);
  return 0;
};
