/** `amend`: operation and exit code. */
import { amend } from '../../operations/amend.ts';
import type { AmendRequest } from '../../operations/requests.ts';
import type { Executor } from './executor.ts';

/** Changes options of an image. */
export const execute: Executor<AmendRequest> = async (context, request) => {
  await amend(context, request);
  return 0;
};
