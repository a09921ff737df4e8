/** Where guest bytes of a QED image are (specification, section "Read requests"). */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import type { Mapping } from '../../block/mapping.ts';
import { isClusterOffset } from './header.ts';
import { entryOf, invalidOffset, type QedState, type Slot } from './state.ts';

/** L2 entry of a cluster that reads as zeroes. */
export const ZERO_CLUSTER = 1;

/** A run of guest clusters of one nature, within one page of an L2 table. */
export interface Run {
  readonly kind: 'data' | 'zero' | 'unallocated';
  readonly count: number;
  /** Where data clusters start. */
  readonly offset: number;
}

/** The run whose first entry is in `slot`, at most `limit` clusters. */
export function runAt(image: QedState, slot: Slot, limit: number): Run {
  const most = Math.min(limit, (image.pageSize - slot.at) / 8);
  const first = entryOf(slot);
  const { clusterSize } = image.header;
  const kind = first === 0 ? 'unallocated' : first === ZERO_CLUSTER ? 'zero' : 'data';
  const { limit: fileEnd } = image;
  if (kind === 'data' && !isClusterOffset(image.header, first, fileEnd)) throw invalidOffset(first);
  const step = kind === 'data' ? clusterSize : 0;
  let count = 1;
  while (count < most) {
    const next = entryOf({ table: slot.table, at: slot.at + count * 8 });
    if (next !== first + count * step) break;
    if (kind === 'data' && !isClusterOffset(image.header, next, fileEnd)) break;
    count++;
  }
  return { kind, count, offset: first };
}

/** Where the run at a guest offset is. */
export function map(image: QedState, offset: number, length: number): MaybePromise<Mapping> {
  const index = Math.floor(offset / image.l2Coverage);
  const slot = image.l1Slot(index);
  return isPromise(slot)
    ? slot.then((loaded) => mapBelow(image, loaded, index, offset, length))
    : mapBelow(image, slot, index, offset, length);
}

function mapBelow(image: QedState, l1: Slot, index: number, offset: number, length: number): MaybePromise<Mapping> {
  const table = entryOf(l1);
  if (table === 0) {
    let tables = 1;
    const most = Math.min((image.pageSize - l1.at) / 8, Math.ceil((offset + length) / image.l2Coverage) - index);
    while (tables < most && entryOf({ table: l1.table, at: l1.at + tables * 8 }) === 0) tables++;
    return { kind: 'unallocated', length: Math.min(length, (index + tables) * image.l2Coverage - offset) };
  }
  image.checkTable(table);
  const { clusterSize } = image.header;
  const inside = offset % clusterSize;
  const cluster = (offset - inside - index * image.l2Coverage) / clusterSize;
  return andThen(image.l2Slot(table, cluster), (slot) => {
    const run = runAt(image, slot, Math.ceil((inside + length) / clusterSize));
    const known = Math.min(length, run.count * clusterSize - inside);
    if (run.kind !== 'data') return { kind: run.kind, length: known };
    return { kind: 'data', length: known, storage: image.file, offset: run.offset + inside };
  });
}
