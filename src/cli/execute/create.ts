/** `create`: operation and printing. */
import { create } from '../../operations/create.ts';
import type { CreateRequest } from '../../operations/requests.ts';
import { formatCreate } from '../../report/create.ts';
import type { Executor } from './executor.ts';

/** Creates an image, after saying so. */
export const execute: Executor<CreateRequest> = async (context, request, view, { out }) => {
  await create(context, request, (plan) => {
    if (!view.quiet) out(formatCreate(plan));
  });
  return 0;
};
