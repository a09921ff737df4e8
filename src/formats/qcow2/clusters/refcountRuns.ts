/** Refcounts of whole runs of clusters, changed block by block. */
import { isPromise } from '../../../base/async.ts';
import { giveBack } from '../../../block/kit/giveBack.ts';
import { invalidArgument } from '../../../base/error.ts';
import type { Table } from '../../../block/kit/cache.ts';
import type { Qcow2State } from '../state.ts';
import { getRefcount, noRefcount, setRefcount } from '../structure/refcountEntry.ts';

/** Runs of freed clusters that are remembered before their space is given back. */
const FREED_RUNS = 65536;

/** Calls `visit` with the part of the run that each refcount block describes. */
async function eachBlock(
  image: Qcow2State,
  first: number,
  count: number,
  visit: (block: Table | undefined, index: number, count: number, cluster: number) => void,
): Promise<void> {
  const { refcounts } = image;
  const { perBlock } = refcounts;
  const end = first + count;
  for (let cluster = first; cluster < end; ) {
    const index = cluster % perBlock;
    const part = Math.min(end - cluster, perBlock - index);
    const found = refcounts.block((cluster - index) / perBlock);
    visit(isPromise(found) ? await found : found, index, part, cluster);
    cluster += part;
  }
}

/**
 * Counts the clusters of a run up by one.
 * @throws BlockError `invalid-argument` if one of them is at its limit. The run may be counted in part then: up to
 * `done` clusters, which is kept up to date.
 */
export async function raiseRun(
  image: Qcow2State,
  first: number,
  count: number,
  progress: { done: number },
): Promise<void> {
  const { refcounts } = image;
  const { bits, max, cache } = refcounts;
  await eachBlock(image, first, count, (block, index, part, cluster) => {
    if (!block) throw noRefcount(refcounts, cluster);
    cache.markDirty(block);
    for (let i = index; i < index + part; i++) {
      const value = getRefcount(block.view, bits, i);
      if (value >= max) throw invalidArgument('Invalid argument');
      setRefcount(block.view, bits, i, value + 1);
      progress.done++;
    }
  });
}

/** Counts runs down, and gives the space of clusters that are free then back to the file. */
export class Lowering {
  readonly #image: Qcow2State;
  readonly #freed: { readonly first: number; count: number }[] = [];

  readonly #holds: boolean;
  #hasForgotten = false;

  /** @param holds space is given back only when {@link giveBack} is called. */
  constructor(image: Qcow2State, holds = false) {
    this.#image = image;
    this.#holds = holds;
  }

  /**
   * Counts a run down by one. What refers to it is gone from the disk.
   * @throws BlockError `invalid-argument` if there is a count of 0: the refcounts are damaged.
   */
  async lower(first: number, count: number): Promise<void> {
    const image = this.#image;
    const { bits, cache } = image.refcounts;
    let sound = true;
    await eachBlock(image, first, count, (block, index, part, cluster) => {
      if (!block) {
        sound = false;
        return;
      }
      cache.markDirty(block);
      for (let i = 0; i < part; i++) {
        const value = getRefcount(block.view, bits, index + i);
        // The header is never free.
        if (value === 0 || cluster + i === 0) {
          sound = false;
          continue;
        }
        setRefcount(block.view, bits, index + i, value - 1);
        if (value === 1) this.free(cluster + i);
      }
    });
    if (this.#freed.length > FREED_RUNS && !this.#holds) await this.finish();
    if (!sound) throw invalidArgument('Invalid argument');
  }

  /** Records that nothing uses a cluster any more. */
  free(cluster: number): void {
    this.#image.allocator.noteFree(cluster);
    const last = this.#freed.at(-1);
    if (last && last.first + last.count === cluster) last.count++;
    else if (this.#holds && this.#freed.length > FREED_RUNS) this.#hasForgotten = true;
    else this.#freed.push({ first: cluster, count: 1 });
  }

  /** More became free than was remembered: {@link giveBack} leaves some of it. */
  get hasForgotten(): boolean {
    return this.#hasForgotten;
  }

  /** @throws BlockError if what nothing refers to any more turns out to hold metadata. */
  async check(): Promise<void> {
    const { guard, geometry } = this.#image;
    for (const { first, count } of this.#freed) {
      await guard.check(first * geometry.clusterSize, count * geometry.clusterSize, 'new structure');
    }
  }

  /**
   * Writes the refcounts, then gives the space back.
   * @param counted all references were counted: what has none is free.
   * @throws BlockError as {@link check}.
   */
  async finish(counted = false): Promise<void> {
    if (!counted) await this.check();
    await this.#image.refcounts.flush();
    await this.giveBack();
  }

  /** Gives the space back. The refcounts are on the disk. */
  async giveBack(): Promise<void> {
    const image = this.#image;
    const { clusterSize } = image.geometry;
    const freed = this.#freed.splice(0);
    if (!image.discardFreed) return;
    for (const { first, count } of freed) {
      for (let cluster = first; cluster < first + count; ) {
        // Some may be in use again.
        const free = await image.refcounts.freeRun(cluster, first + count - cluster);
        await giveBack(image.file, cluster * clusterSize, free * clusterSize);
        cluster += free + 1;
      }
    }
  }
}
