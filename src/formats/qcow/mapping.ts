/** Where guest bytes of a qcow image are. */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import { SECTOR } from '../../base/offset.ts';
import type { Mapping } from '../../block/mapping.ts';
import { isCompressed, type QcowState, readEntry } from './state.ts';

/** A run of guest clusters of one nature, within one L2 table. */
export interface Run {
  readonly kind: 'data' | 'compressed' | 'unallocated';
  readonly count: number;
  /** Where data clusters start. */
  readonly offset: number;
}

function kindOf(view: DataView, at: number): Run['kind'] {
  if (isCompressed(view, at)) return 'compressed';
  return readEntry(view, at) === 0 ? 'unallocated' : 'data';
}

/**
 * The run whose first entry is at byte `at`, at most `limit` clusters.
 * @param adjacent data clusters have to follow each other in the file.
 */
export function runAt(image: QcowState, view: DataView, at: number, limit: number, adjacent = true): Run {
  const most = Math.min(limit, image.l2Entries - at / 8);
  const kind = kindOf(view, at);
  const offset = readEntry(view, at);
  let count = 1;
  while (count < most && kindOf(view, at + count * 8) === kind) {
    if (adjacent && kind === 'data' && readEntry(view, at + count * 8) !== offset + count * image.clusterSize) break;
    count++;
  }
  return { kind, count, offset };
}

/** Where the run at a guest offset is. */
export function map(image: QcowState, offset: number, length: number): MaybePromise<Mapping> {
  const index = Math.floor(offset / image.l2Coverage);
  if (index >= image.storedL1Entries && !image.l1Changed) return { kind: 'unallocated', length };
  const page = image.l1Page(index);
  return isPromise(page)
    ? page.then((loaded) => mapBelow(image, loaded.view, index, offset, length))
    : mapBelow(image, page.view, index, offset, length);
}

function mapBelow(
  image: QcowState,
  l1: DataView,
  index: number,
  offset: number,
  length: number,
): MaybePromise<Mapping> {
  const start = image.l1Position(index);
  const table = readEntry(l1, start);
  if (table === 0) {
    const most = Math.min(image.l1Rest(index), Math.ceil((offset + length) / image.l2Coverage) - index);
    let tables = 1;
    while (tables < most && readEntry(l1, start + tables * 8) === 0) tables++;
    return { kind: 'unallocated', length: Math.min(length, (index + tables) * image.l2Coverage - offset) };
  }
  image.missing?.look(table, image.l2Entries * 8, offset);
  return andThen(image.l2Table(table), ({ view }) => mapIn(image, view, offset, length));
}

function mapIn(image: QcowState, view: DataView, offset: number, length: number): Mapping {
  const inside = offset % image.clusterSize;
  const limit = Math.ceil((inside + length) / image.clusterSize);
  const run = runAt(image, view, image.position(offset), limit, !image.encrypted);
  const known = Math.min(length, run.count * image.clusterSize - inside);
  if (run.kind === 'unallocated') return { kind: 'unallocated', length: known };
  if (run.kind === 'compressed')
    return { kind: 'special', length: known, compressed: true, encrypted: image.encrypted };
  if (image.encrypted) return { kind: 'special', length: known, compressed: false, encrypted: true };
  // Clusters lie on whole sectors. Others are damage: they have a place, but reading them fails.
  const storage = run.offset % SECTOR === 0 ? image.file : image.unreadable;
  return { kind: 'data', length: known, storage, offset: run.offset + inside };
}
