/** `info`: operation and printing. */
import { info } from '../../operations/info.ts';
import type { InfoRequest } from '../../operations/requests.ts';
import { formatInfo, formatInfoJson } from '../../report/info.ts';
import type { Executor } from './executor.ts';

/** Describes an image. */
export const execute: Executor<InfoRequest> = async (context, request, view, { out }) => {
  const result = await info(context, request);
  out(view.json ? formatInfoJson(result, request.backingChain) : formatInfo(result));
  return 0;
};
