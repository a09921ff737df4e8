/** `commit`: operation, progress and printing. */
import { commit } from '../../operations/commit.ts';
import type { CommitRequest } from '../../operations/requests.ts';
import { formatCommit } from '../../report/commit.ts';
import type { Executor } from './executor.ts';
import { stoppable } from './stoppable.ts';

/** Moves an overlay's content down. */
export const execute: Executor<CommitRequest> = async (context, request, view, { out }) => {
  // The line begins when the image is open, and not when that has failed.
  const observer = { started: () => view.progress.start() };
  await stoppable(context, (inner) => commit(inner, request, observer));
  view.progress.finish();
  if (!view.quiet) out(formatCommit());
  return 0;
};
