/** `rebase`: the operation; it prints nothing. */
import { STRIDE } from '../../operations/copy/strides.ts';
import { rebase } from '../../operations/rebase.ts';
import type { RebaseRequest } from '../../operations/requests.ts';
import type { Executor } from './executor.ts';
import { stoppable } from './stoppable.ts';

/** Gives an image another backing image. */
export const execute: Executor<RebaseRequest> = async (context, request, view) => {
  const observer = {
    // The real tool adds up shares, of as many areas as fit into the image.
    looked: (size: number) => view.progress.add(100 / Math.max(1, Math.floor(size / STRIDE))),
    copied: () => view.progress.update(1, 1),
  };
  // Bytes are the library's.
  await stoppable({ ...context, onProgress: () => undefined }, (inner) => rebase(inner, request, observer));
  return 0;
};
