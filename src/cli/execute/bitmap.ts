/** `bitmap`: the operation; it prints nothing. */
import { bitmap } from '../../operations/bitmap.ts';
import type { BitmapRequest } from '../../operations/requests.ts';
import type { Executor } from './executor.ts';

/** Changes persistent bitmaps. */
export const execute: Executor<BitmapRequest> = async (context, request) => {
  await bitmap(context, request);
  return 0;
};
