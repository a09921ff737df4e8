/** Structure check and repair of QED images (specification, section "Consistency checking"). */
import { divideUp } from '../../base/offset.ts';
import type { CheckFindings, Checker, RepairMode } from '../../block/capabilities.ts';
import type { Table } from '../../block/kit/cache.ts';
import type { PagedTable } from '../../block/kit/pagedTable.ts';
import { UnitSet } from '../../block/kit/unitSet.ts';
import { Feature, isClusterOffset, isTableOffset } from './header.ts';
import { entryAt, type QedState, setEntry } from './state.ts';
import { ZERO_CLUSTER } from './mapping.ts';

/** The checker of an image. */
export function checkerOf(image: QedState): Checker {
  return { deepOnly: false, repairs: true, check: (repair) => check(image, repair) };
}

/** What one walk over all tables collects. */
interface Walk {
  readonly image: QedState;
  readonly fix: boolean;
  readonly fileSize: number;
  readonly used: UnitSet;
  /** Clusters that are there as a whole. */
  readonly clusters: number;
  readonly result: CheckFindings & { clusters: NonNullable<CheckFindings['clusters']> };
}

/**
 * Walks all tables. With `repair` entries that lead nowhere are cleared; clusters that are used twice stay, as nobody
 * can know whose they are, and leaks stay, as in the real tool.
 */
async function check(image: QedState, repair: RepairMode): Promise<CheckFindings> {
  const { header, fileSize } = image;
  const { clusterSize } = header;
  const clusters = Math.floor(fileSize / clusterSize);
  const walk: Walk = {
    image,
    fix: repair !== 'none',
    fileSize,
    used: new UnitSet(),
    clusters,
    result: {
      corruptions: 0,
      leaks: 0,
      checkErrors: 0,
      corruptionsFixed: 0,
      leaksFixed: 0,
      clusters: { total: divideUp(header.virtualSize, clusterSize), allocated: 0, fragmented: 0, compressed: 0 },
    },
  };
  await walkTables(walk);
  const { result } = walk;
  result.leaks = clusters - walk.used.size;
  if (walk.fix) {
    await image.flush();
    image.damaged = result.corruptions > 0;
    await image.endChanges();
  }
  return result;
}

/** Counts `count` clusters from `offset` on as used; returns how many were used before. */
function use(walk: Walk, offset: number, count: number): number {
  const first = offset / walk.image.header.clusterSize;
  let twice = 0;
  for (let cluster = first; cluster < Math.min(first + count, walk.clusters); cluster++) {
    if (!walk.used.add(cluster)) twice++;
  }
  return twice;
}

async function walkTables(walk: Walk): Promise<void> {
  const { image, result } = walk;
  const { header } = image;
  use(walk, 0, Math.min(header.headerClusters, walk.clusters));
  use(walk, header.l1Offset, header.tableClusters);
  const { l1 } = image.tables;
  for (let index = 0; index < l1.entries; index++) {
    const page = await l1.page(index);
    const position = l1.position(index);
    const table = entryAt(page.view, position);
    if (table === 0) continue;
    if (!isTableOffset(header, table, walk.fileSize)) {
      clear(walk, l1, page, position);
      continue;
    }
    const twice = use(walk, table, header.tableClusters);
    result.corruptions += twice;
    // Such a table was looked at already, or is something else; this also bounds the walk by the size of the file.
    if (twice === 0) await walkTable(walk, table);
  }
}

/** Clears an entry that leads nowhere, if that is wanted. */
function clear(walk: Walk, { pages }: PagedTable, page: Table, position: number): void {
  if (!walk.fix) {
    walk.result.corruptions++;
    return;
  }
  setEntry(page.view, position, 0);
  pages.markDirty(page);
  walk.result.corruptionsFixed++;
}

async function walkTable(walk: Walk, table: number): Promise<void> {
  const { l2 } = walk.image.tables;
  let last = 0;
  for (let start = 0; start < l2.entries; start += l2.rest(start)) {
    const page = await l2.page(start, table);
    for (let at = 0; at < l2.pageSize; at += 8) {
      const offset = entryAt(page.view, at);
      if (offset === 0 || offset === ZERO_CLUSTER) continue;
      if (!checkCluster(walk, offset, last)) clear(walk, l2, page, at);
      last = offset;
    }
  }
}

/** @param last offset of the data cluster before in the table, 0 if there is none; false if it leads nowhere. */
function checkCluster(walk: Walk, offset: number, last: number): boolean {
  const { result } = walk;
  const { header } = walk.image;
  result.clusters.allocated++;
  if (last !== 0 && offset !== last + header.clusterSize) result.clusters.fragmented++;
  if (!isClusterOffset(header, offset, walk.fileSize)) return false;
  result.corruptions += use(walk, offset, 1);
  return true;
}

/** Repairs an image that was not closed properly, before its data is used. */
export async function repairUnclean(image: QedState): Promise<void> {
  if ((image.header.features & Feature.needCheck) === 0) return;
  await check(image, 'all');
}
