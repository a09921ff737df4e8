/** `map`: operation and printing. */
import { mapExtents } from '../../operations/map.ts';
import type { MapRequest } from '../../operations/requests.ts';
import { formatMap, formatMapJson, mapOpening } from '../../report/map.ts';
import type { Executor } from './executor.ts';

/** Lists what is allocated where, while it is found. */
export const execute: Executor<MapRequest> = async (context, request, view, { out }) => {
  const extents = mapExtents(context, request, () => out(mapOpening(view.json)));
  for await (const text of view.json ? formatMapJson(extents) : formatMap(extents)) out(text);
  return 0;
};
