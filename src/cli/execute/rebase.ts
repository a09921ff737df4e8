/** `rebase`: the operation; it prints nothing. */
import { rebase } from '../../operations/rebase.ts';
import type { RebaseRequest } from '../../operations/requests.ts';
import type { Executor } from './executor.ts';
import { stoppable } from './stoppable.ts';

/** Gives an image another backing image. */
export const execute: Executor<RebaseRequest> = async (context, request) => {
  await stoppable(context, (inner) => rebase(inner, request));
  return 0;
};
