/** `amend`: operation and exit code. */
import { amend } from '../../operations/amend.ts';
import type { AmendRequest } from '../../operations/requests.ts';
import type { Executor } from './executor.ts';

/** Changes options of an image. */
export const execute: Executor<AmendRequest> = async (context, request, view) => {
  const onProgress = (done: number, total: number): void => view.progress.update(done, total);
  await amend({ ...context, onProgress }, request, { started: () => view.progress.start() });
  return 0;
};
