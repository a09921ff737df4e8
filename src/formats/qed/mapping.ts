/** Where guest bytes of a QED image are (specification, section "Read requests"). */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import type { TableRun } from '../../block/kit/pagedTable.ts';
import { Place, type Run } from '../../block/kit/units.ts';
import type { Mapping } from '../../block/mapping.ts';
import { isClusterOffset } from './header.ts';
import { entryAt, invalidOffset, type QedState } from './state.ts';

/** L2 entry of a cluster that reads as zeroes. */
export const ZERO_CLUSTER = 1;

/** The run of clusters of one nature at a guest offset. */
export function runAt(image: QedState, offset: number, length: number): MaybePromise<Run> {
  const placeAt = (page: DataView, position: number): number => {
    const entry = entryAt(page, position);
    if (entry === 0) return Place.unallocated;
    if (entry === ZERO_CLUSTER) return Place.zero;
    return isClusterOffset(image.header, entry, image.limit) ? entry : Place.special;
  };
  const found = image.tables.run(offset, length, placeAt, image.checkTable);
  return isPromise(found) ? found.then(valid) : valid(found);
}

function valid(run: TableRun): Run {
  if (run.place === Place.special) throw invalidOffset(entryAt(run.page, run.position));
  return run;
}

/** Where the run at a guest offset is. */
export function map(image: QedState, offset: number, length: number): MaybePromise<Mapping> {
  return andThen(runAt(image, offset, length), (run) => image.units.mapping(run, offset, length));
}
