/** Room in the file for a second set of metadata (`standIn.ts`). */
import { divideUp } from '../../../base/offset.ts';
import { entryOffset } from '../structure/geometry.ts';
import { MAX_REFTABLE_BYTES } from '../structure/layout.ts';
import { getRefcount } from '../structure/refcountEntry.ts';
import type { Qcow2State } from '../state.ts';

/** Largest second set in bytes: reading and writing it costs time, and room in the file for as long as it is there. */
const MAX_BYTES = 134217728;
/** Most tables and blocks of a second set: those of small clusters are read one by one. */
const MAX_TABLES = 65536;
/** Where the parts of a second set go, as numbers of clusters. */
export interface Room {
  /** The first block. */
  readonly first: number;
  /** Blocks that there are, by their index, and then those that only describe the room itself. */
  readonly blocks: readonly number[];
  readonly table: number;
  readonly tableClusters: number;
  /** Everything else. */
  readonly rest: number;
}

/**
 * Room behind everything that is in use, and behind what a change in place may take meanwhile.
 * @param pieces bytes of each L1 table and snapshot table that is going to be in the set.
 * @returns undefined if the set would be too large, or tables are damaged.
 */
export async function findRoom(image: Qcow2State, pieces: readonly number[]): Promise<Room | undefined> {
  const { geometry, refcounts, file } = image;
  const { clusterSize } = geometry;
  const tables = await countTables(image);
  const blocks = await countBlocks(image);
  if (tables === undefined || !blocks || tables + blocks.length > MAX_TABLES) return undefined;
  const old = await refcounts.table();
  const rest = tables + pieces.reduce((sum, bytes) => sum + Math.max(1, divideUp(bytes, clusterSize)), 0);
  // New tables in place, blocks that count them, and a refcount table that is half as long again.
  const growth = 2 * (rest - tables + divideUp(2 * old.byteLength, clusterSize)) + 16;
  const first = Math.max(await countedClusters(image, blocks), divideUp(file.size(), clusterSize)) + growth;
  const known = new Set(blocks);
  let fresh: number[] = [];
  let tableClusters = old.byteLength / clusterSize;
  for (;;) {
    const behindBlocks = first + blocks.length + fresh.length;
    const end = behindBlocks + tableClusters + rest;
    const last = Math.floor((end - 1) / refcounts.perBlock);
    const wanted: number[] = [];
    for (let index = Math.floor(first / refcounts.perBlock); index <= last; index++) {
      if (!known.has(index)) wanted.push(index);
    }
    const clusters = Math.max(tableClusters, divideUp((last + 1) * 8, clusterSize));
    if (clusters * clusterSize > MAX_REFTABLE_BYTES || (end - first) * clusterSize > MAX_BYTES) return undefined;
    if (wanted.length === fresh.length && clusters === tableClusters) {
      const table = behindBlocks;
      return { first, blocks: [...blocks, ...fresh], table, tableClusters, rest: table + clusters };
    }
    fresh = wanted;
    tableClusters = clusters;
  }
}

/** How many L2 tables the active L1 table names; undefined if one of them is nowhere. */
async function countTables(image: Qcow2State): Promise<number | undefined> {
  const l1 = await image.l1.view();
  const offsets = new Set<number>();
  for (let at = 0; at < l1.byteLength; at += 8) {
    const offset = entryOffset(l1, at);
    if (offset === 0) continue;
    if (offset % image.geometry.clusterSize !== 0 || offset >= image.file.size()) return undefined;
    offsets.add(offset);
  }
  return offsets.size;
}

/** Which refcount blocks there are; undefined if one of them is nowhere, or has two places in the table. */
async function countBlocks(image: Qcow2State): Promise<number[] | undefined> {
  const table = await image.refcounts.table();
  const offsets = new Set<number>();
  const found: number[] = [];
  for (let index = 0; index * 8 < table.byteLength; index++) {
    const offset = await image.refcounts.blockOffset(index);
    if (offset === 0) continue;
    if (offset % image.geometry.clusterSize !== 0 || offset >= image.file.size()) return undefined;
    found.push(index);
    offsets.add(offset);
  }
  return offsets.size === found.length ? found : undefined;
}

/** One more than the number of the last cluster that has a count. */
async function countedClusters({ refcounts }: Qcow2State, blocks: readonly number[]): Promise<number> {
  const { perBlock, bits } = refcounts;
  for (const index of blocks.toReversed()) {
    const block = await refcounts.block(index);
    if (!block) continue;
    for (let i = perBlock - 1; i >= 0; i--) {
      if (getRefcount(block.view, bits, i) !== 0) return index * perBlock + i + 1;
    }
  }
  return 0;
}
