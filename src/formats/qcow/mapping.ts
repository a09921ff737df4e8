/** Where guest bytes of a qcow image are. */
import { andThen, type MaybePromise } from '../../base/async.ts';
import { SECTOR } from '../../base/offset.ts';
import type { PlaceAt, TableRun } from '../../block/kit/pagedTable.ts';
import { Place } from '../../block/kit/units.ts';
import type { Mapping } from '../../block/mapping.ts';
import { entryAt, isCompressed, type QcowState } from './state.ts';

/** Where a cluster is; compressed ones are special. */
const placeAt: PlaceAt = (page, position) => {
  if (isCompressed(page, position)) return Place.special;
  return entryAt(page, position) || Place.unallocated;
};

/** Encrypted clusters, wherever they are: each is read by itself. */
const ENCRYPTED: number = Place.special - 1;
const natureAt: PlaceAt = (page, position) => Math.min(placeAt(page, position), 0) || ENCRYPTED;

/** The run of clusters of one nature at a guest offset, each behind the one before; see `TwoLevels.run`. */
export function runAt(image: QcowState, offset: number, length: number): MaybePromise<TableRun> {
  return image.tables.run(offset, length, placeAt, image.checkTable);
}

/** Where the run at a guest offset is. */
export function map(image: QcowState, offset: number, length: number): MaybePromise<Mapping> {
  const { tables, units, encrypted } = image;
  if (tables.tableIndex(offset) >= tables.l1.stored && !image.l1Changed) return { kind: 'unallocated', length };
  const found = tables.run(offset, length, encrypted ? natureAt : placeAt, image.followTable);
  return andThen(found, (run) => {
    const mapping = units.mapping(run, offset, length);
    if (mapping.kind === 'special') return { ...mapping, compressed: run.place !== ENCRYPTED, encrypted };
    // Clusters lie on whole sectors. Others are damage: they have a place, but reading them fails.
    if (mapping.kind === 'data' && run.place % SECTOR !== 0) return { ...mapping, storage: image.unreadable };
    return mapping;
  });
}
