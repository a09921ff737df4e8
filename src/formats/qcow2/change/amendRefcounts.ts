/** Changing the width of the refcounts. */
import { asBlockError, BlockError, invalidArgument, invalidImage, withStrerror } from '../../../base/error.ts';
import { divideUp } from '../../../base/offset.ts';
import { isZero } from '../../../base/zero.ts';
import type { Table } from '../../../block/kit/cache.ts';
import { CountTable } from '../check/countTable.ts';
import { flushImage } from '../flush.ts';
import { hex } from '../structure/hex.ts';
import type { Qcow2State } from '../state.ts';
import type { Told } from './amendWork.ts';
import { getRefcount } from '../structure/refcountEntry.ts';
import { type Placement, placeStructure, writeStructure } from '../clusters/refcountBuilder.ts';

/** Clusters beyond the end of the file that may have a refcount: only damaged images have more. */
const MAX_BEYOND = 1048576;

/**
 * Puts all refcounts into entries of another width. The new structure is built in free clusters; the old one stays in
 * force until all of it is on the disk.
 * @param order the width's exponent: bits are two to its power.
 * Progress counts the entries of the old table, as often as the real tool goes through it.
 * @throws BlockError if a refcount does not fit.
 */
export async function changeRefcountWidth(image: Qcow2State, order: number, told: Told): Promise<void> {
  await withStrerror('Failed to flush the refblock cache', () => flushImage(image));
  const { clusterSize } = image.geometry;
  const { reftableOffset, reftableClusters } = image.header;
  const entries = (reftableClusters * clusterSize) / 8;
  const steps = new Walks(entries, told);
  const { counts, blocks } = await readCounts(image, 2 ** order, (index) => steps.reach(0, index));
  const walks = placingWalks(counts, (clusterSize * 8) / 2 ** order, clusterSize);
  for (let walk = 0; walk < walks; walk++) steps.reach(walk, entries);
  const placement = placeStructure(image, counts, order, new Set([0]));
  await withStrerror('Overlap check failed', () => checkPlaces(image, placement));
  let written = 0;
  await writeStructure(image, counts, placement, () => {
    steps.reachLast(walks, Math.floor((++written / placement.blocks.size) * entries));
  });
  steps.reachLast(walks, entries);
  for (const offset of blocks) image.allocator.release(offset / clusterSize, 1);
  image.allocator.release(reftableOffset / clusterSize, reftableClusters);
  await flushImage(image);
}

/** Damaged refcounts call clusters free that hold metadata. */
async function checkPlaces(image: Qcow2State, { blocks, tableCluster, tableClusters }: Placement): Promise<void> {
  const { clusterSize } = image.geometry;
  for (const place of blocks.values()) {
    await image.guard.check(place * clusterSize, clusterSize, 'new structure');
  }
  await image.guard.check(tableCluster * clusterSize, tableClusters * clusterSize, 'new structure');
}

/**
 * Tells of walks through the old table. The real tool goes through it until every new block has its place, and once
 * more to write them; it expects that the next walk but one is the last.
 */
class Walks {
  readonly #entries: number;
  readonly #told: Told;
  #walk = 0;
  #index = -1;

  constructor(entries: number, told: Told) {
    this.#entries = entries;
    this.#told = told;
  }

  /** A walk that looks for places has come to an entry, or to the end. */
  reach(walk: number, index: number): void {
    this.#goOn(walk, index, Math.max(walk + 2, 3));
  }

  /** The walk that writes has come there. */
  reachLast(walk: number, index: number): void {
    this.#goOn(walk, index, walk + 1);
  }

  #goOn(walk: number, index: number, walks: number): void {
    if (walk > this.#walk) this.#index = -1;
    this.#walk = walk;
    while (this.#index < index) this.#told(walk * this.#entries + ++this.#index, walks * this.#entries);
  }
}

/**
 * How often the real tool goes through the old table to place the blocks of the new one: once more whenever a block or
 * the table got into clusters that an earlier block would have to describe.
 * @param perBlock refcounts in a new block.
 */
function placingWalks(counts: CountTable, perBlock: number, clusterSize: number): number {
  const waiting = new Set<number>();
  const placed = new Set<number>();
  let free = 0;
  const take = (): void => {
    while (counts.get(free) !== 0) free++;
    const index = Math.floor(free++ / perBlock);
    if (!placed.has(index)) waiting.add(index);
  };
  for (let at = counts.skipEmpty(0); at < counts.end; at = counts.skipEmpty(at + 1)) {
    if (counts.get(at) === 0) continue;
    const index = Math.floor(at / perBlock);
    waiting.add(index);
    at = (index + 1) * perBlock - 1;
  }
  let tableClusters = 0;
  let highest = 0;
  for (let walks = 1; ; walks++) {
    if (waiting.size === 0) return walks;
    // What is added meanwhile lies behind nearly always, and is met in the same walk.
    for (const index of waiting) {
      waiting.delete(index);
      placed.add(index);
      highest = Math.max(highest, index);
      take();
    }
    const wanted = Math.ceil(((highest + 1) * 8) / clusterSize);
    for (; tableClusters < wanted; tableClusters++) take();
  }
}

/** All refcounts, and where the blocks are that hold them. */
async function readCounts(
  image: Qcow2State,
  bits: number,
  reached: (index: number) => void,
): Promise<{ counts: CountTable; blocks: number[] }> {
  const { refcounts } = image;
  const { perBlock } = refcounts;
  const table = await refcounts.table();
  const end = divideUp(image.file.size(), image.geometry.clusterSize);
  const counts = new CountTable();
  const blocks: number[] = [];
  let beyond = 0;
  for (let index = 0; index * 8 < table.byteLength; index++) {
    reached(index);
    if (table.getBigUint64(index * 8) === 0n) continue;
    const block = await blockAt(image, index);
    if (!block) continue;
    blocks.push(block.offset);
    if (isZero(block.bytes)) continue;
    for (let i = 0; i < perBlock; i++) {
      const count = getRefcount(block.view, refcounts.bits, i);
      if (count === 0) continue;
      const cluster = index * perBlock + i;
      if (bits < 64 && count >= 2 ** bits) throw tooNarrow(image, bits, cluster, count);
      if (cluster >= end && ++beyond > MAX_BEYOND) throw new BlockError('too-large', 'File too large');
      counts.add(cluster, count);
    }
  }
  // A file has a header at least: these counts are not those of its clusters.
  if (counts.end === 0) throw invalidImage('There are no references in the refcount table.');
  return { counts, blocks };
}

/** A refcount block, in the words of this operation where there can be none. */
async function blockAt({ refcounts, geometry }: Qcow2State, index: number): Promise<Table | undefined> {
  try {
    return await refcounts.block(index);
  } catch (thrown) {
    const error = asBlockError(thrown);
    const unaligned = (await refcounts.blockOffset(index)) % geometry.clusterSize !== 0;
    const what = unaligned ? 'Image is corrupt (unaligned refblock offset)' : undefined;
    throw error.reworded(what ?? `Failed to retrieve refblock: ${error.strerror}`);
  }
}

function tooNarrow(image: Qcow2State, bits: number, cluster: number, count: number): BlockError {
  const offset = hex(cluster * image.geometry.clusterSize);
  return invalidArgument(
    `Cannot decrease refcount entry width to ${bits} bits: Cluster at offset ${offset} has a refcount of ${count}`,
  );
}
