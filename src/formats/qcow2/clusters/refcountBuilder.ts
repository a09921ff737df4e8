/**
 * A whole new refcount structure beside the old one: blocks and table in free clusters, made known by one write of the
 * header. Used to change the width of the entries, and to rebuild what is damaged.
 */
import { BlockError, withStrerror } from '../../../base/error.ts';
import { divideUp } from '../../../base/offset.ts';
import { setEntry } from '../structure/geometry.ts';
import type { Qcow2State } from '../state.ts';
import { MAX_REFTABLE_BYTES } from '../structure/layout.ts';
import { setRefcount } from '../structure/refcountEntry.ts';

/** The references that a new structure is to record. */
export interface Counts {
  /** One more than the highest cluster with a count. */
  readonly end: number;
  get(cluster: number): number;
  add(cluster: number, times: number): void;
  /** The first cluster from `cluster` on that may have a count. */
  skipEmpty(cluster: number): number;
}

/** What {@link placeStructure} decided. */
export interface Placement {
  /** Bits of an entry as a power of two. */
  readonly order: number;
  /** Cluster of each block that there is, by its index. */
  readonly blocks: ReadonlyMap<number, number>;
  readonly tableCluster: number;
  readonly tableClusters: number;
}

/**
 * Finds free clusters for blocks and table; they are added to `counts`. A block goes into the first free cluster among
 * those that it describes itself, or behind; the table goes into the first room that is large enough.
 * @param avoid clusters that are not to be used although they have no count.
 * @throws BlockError `too-large` if no table could describe all of it.
 */
export function placeStructure(
  image: Qcow2State,
  counts: Counts,
  order: number,
  avoid: ReadonlySet<number> = new Set(),
): Placement {
  const { clusterSize } = image.geometry;
  const perBlock = (clusterSize * 8) / 2 ** order;
  const blocks = new Map<number, number>();
  const isFree = (cluster: number): boolean => counts.get(cluster) === 0 && !avoid.has(cluster);
  let table: { cluster: number; clusters: number } | undefined;
  for (;;) {
    placeBlocks(counts, isFree, perBlock, blocks);
    const wanted = divideUp((Math.floor((counts.end - 1) / perBlock) + 1) * 8, clusterSize);
    if (wanted * clusterSize > MAX_REFTABLE_BYTES) throw new BlockError('too-large', 'File too large');
    if (table && table.clusters >= wanted) {
      return { order, blocks, tableCluster: table.cluster, tableClusters: table.clusters };
    }
    if (table) for (let i = 0; i < table.clusters; i++) counts.add(table.cluster + i, -1);
    table = { cluster: freeRun(isFree, wanted), clusters: wanted };
    for (let i = 0; i < wanted; i++) counts.add(table.cluster + i, 1);
  }
}

function placeBlocks(
  counts: Counts,
  isFree: (cluster: number) => boolean,
  perBlock: number,
  blocks: Map<number, number>,
): void {
  for (let cluster = 0; cluster < counts.end; ) {
    const at = counts.skipEmpty(cluster);
    if (at >= counts.end) return;
    const index = Math.floor(at / perBlock);
    const next = (index + 1) * perBlock;
    cluster = next;
    if (blocks.has(index) || !hasCounts(counts, at, Math.min(next, counts.end))) continue;
    let place = index * perBlock;
    while (!isFree(place)) place++;
    counts.add(place, 1);
    blocks.set(index, place);
  }
}

function hasCounts(counts: Counts, from: number, end: number): boolean {
  for (let cluster = from; cluster < end; cluster++) if (counts.get(cluster) !== 0) return true;
  return false;
}

/** The first `count` free clusters in a row. */
function freeRun(isFree: (cluster: number) => boolean, count: number): number {
  for (let start = 1; ; ) {
    let free = 0;
    while (free < count && isFree(start + free)) free++;
    if (free === count) return start;
    start += free + 1;
  }
}

/**
 * Writes the structure, and then the header that names it. Until then the old one is in force; its clusters count as
 * used in the new one if `counts` has them.
 * @param written is called behind each block, with its index.
 */
export async function writeStructure(
  image: Qcow2State,
  counts: Counts,
  placement: Placement,
  written: (index: number) => void = () => undefined,
): Promise<void> {
  const { clusterSize } = image.geometry;
  const { order, blocks, tableCluster, tableClusters } = placement;
  const bits = 2 ** order;
  const perBlock = (clusterSize * 8) / bits;
  const table = new Uint8Array(tableClusters * clusterSize);
  for (const [index, place] of blocks) {
    const block = new DataView(new ArrayBuffer(clusterSize));
    const first = index * perBlock;
    const stop = Math.min(first + perBlock, counts.end);
    for (let cluster = first; cluster < stop; cluster++) {
      const count = counts.get(cluster);
      if (count !== 0) setRefcount(block, bits, cluster - first, count);
    }
    const bytes = new Uint8Array(block.buffer);
    await withStrerror('Failed to write refblock', () => image.file.write(place * clusterSize, bytes));
    setEntry(new DataView(table.buffer), index * 8, place * clusterSize, false);
    written(index);
  }
  await withStrerror('Failed to write the new reftable', () => image.file.write(tableCluster * clusterSize, table));
  // Not by `switchHeader`: the counts of the old structure are of no use any more, and may be what is damaged.
  await image.file.flush();
  await image.changeHeader(
    (header) => {
      header.reftableOffset = tableCluster * clusterSize;
      header.reftableClusters = tableClusters;
      header.refcountOrder = order;
    },
    () => image.refreshRefcounts(),
  );
}
