/** Host clusters: taking new ones, and giving up old ones once nothing refers to them any more. */
import { giveBack } from '../../../block/kit/giveBack.ts';
import { isPromise, type MaybePromise } from '../../../base/async.ts';
import { divideUp } from '../../../base/offset.ts';
import { type Barrier, behind, type Pending } from '../../../block/kit/barrier.ts';
import { Incompatible } from '../structure/layout.ts';
import type { MetadataGuard } from './guard.ts';
import type { Refcounts } from './refcount.ts';
import { ensureBlock } from './refcountTable.ts';
import { noRefcount } from '../structure/refcountEntry.ts';
import type { ImageState } from '../structure/imageState.ts';

/** Given-up bytes after which the refcounts are brought up to date without waiting for a flush. */
const RELEASE_LIMIT = 268435456;
/** Runs of given-up clusters that are remembered at most. */
const RELEASE_RUNS = 65536;

/** Most lines about clusters without a count at a time: only damaged images have any. */
const UNCOUNTED_LINES = 1000;

/** What clusters are taken for, in the words of messages. */
type Purpose = 'L2 table' | 'compressed cluster';

/** What allocation works with. */
interface AllocatedImage extends ImageState {
  readonly allocator: Allocator;
  readonly refcounts: Refcounts;
  /** Contents of clusters that tables are going to refer to. */
  readonly newData: Barrier;
  readonly guard: MetadataGuard;
  /** Where lines about damage go. */
  readonly reportDamage: (line: string) => void;
}

/** A run of host clusters. */
interface ClusterRun {
  readonly cluster: number;
  count: number;
}

/** Allocation in one image. */
export class Allocator implements Pending {
  readonly #image: AllocatedImage;
  readonly #after: () => readonly Pending[];
  /** No cluster below is free. */
  #hint = 0;
  /** Where the next compressed cluster goes, if its host cluster has room; 0: nowhere. */
  #freeByte = 0;
  /** Clusters whose last reference is gone in memory, but perhaps not on the disk. */
  #released: ClusterRun[] = [];
  #releasedBytes = 0;

  /** @param after what has to be on the disk before given-up clusters are counted down. */
  constructor(image: AllocatedImage, after: () => readonly Pending[]) {
    this.#image = image;
    this.#after = after;
  }

  /** Forgets where free clusters are: the refcounts were changed by others. */
  reset(): void {
    this.#hint = 0;
    this.#freeByte = 0;
  }

  /** Clusters were given up that still count as used. */
  get isPending(): boolean {
    return this.#released.length > 0;
  }

  /** So much was given up that it is time to use it again. */
  get shouldApply(): boolean {
    return this.#releasedBytes > RELEASE_LIMIT || this.#released.length > RELEASE_RUNS;
  }

  /**
   * Takes `count` consecutive clusters, the first that fit.
   * @returns their offset in the file in bytes.
   */
  async allocate(count: number, purpose?: Purpose): Promise<number> {
    const image = this.#image;
    const { refcounts } = image;
    image.file.debugEvent?.('cluster_alloc');
    await this.#beginChange();
    const first = await this.#find(count);
    // As in the real tool, refcount blocks that are missing are the first thing that may turn out to have no place.
    await this.#ensureBlocks(first, count);
    await this.checkPlace(first, count, purpose);
    await refcounts.increment(first, count);
    this.#hint = first + count;
    return first * image.geometry.clusterSize;
  }

  /** Clusters are going to be taken, and to be referred to when something is in them. */
  async #beginChange(): Promise<void> {
    const image = this.#image;
    if (image.lazyRefcounts && (image.header.incompatible & Incompatible.dirty) === 0) {
      await image.setIncompatible(Incompatible.dirty, true);
    }
    image.newData.arm();
  }

  async #find(count: number): Promise<number> {
    const { refcounts } = this.#image;
    for (let at = this.#hint; ; ) {
      const first = await refcounts.firstFree(at);
      if (at === this.#hint) this.#hint = first;
      const free = await refcounts.freeRun(first, count);
      if (free >= count) return first;
      at = first + free;
    }
  }

  async #ensureBlocks(first: number, count: number): Promise<void> {
    const { refcounts } = this.#image;
    const end = first + count;
    for (let at = first; at < end; at += refcounts.perBlock - (at % refcounts.perBlock)) {
      await ensureBlock(this.#image, at, end);
    }
  }

  /** Refuses clusters that damaged refcounts call free although metadata is there. */
  async checkPlace(first: number, count: number, purpose?: Purpose): Promise<void> {
    const image = this.#image;
    if (first === 0 && purpose !== undefined) {
      await image.failDamaged(`Preventing invalid allocation of ${purpose} at offset 0`);
    }
    const { clusterSize } = image.geometry;
    const what = purpose === 'L2 table' ? 'new L2 table' : 'new structure';
    await image.guard.check(first * clusterSize, count * clusterSize, what);
  }

  /**
   * Writes a table into new clusters.
   * @param mayWrite throws if nothing may be written to a byte range of the file.
   * @returns the table's offset in the file.
   */
  async place(table: Uint8Array, mayWrite?: (offset: number, length: number) => MaybePromise<void>): Promise<number> {
    const { file, geometry } = this.#image;
    const offset = await this.allocate(Math.max(1, divideUp(table.length, geometry.clusterSize)));
    await mayWrite?.(offset, table.length);
    await file.write(offset, table);
    this.#image.noteEnd(offset + table.length);
    return offset;
  }

  /**
   * Takes `size` bytes for a compressed cluster, behind the last one where that is possible. Every compressed cluster
   * counts as a reference to each host cluster that it touches.
   * @param size at most a cluster.
   */
  async allocateBytes(size: number): Promise<number> {
    const image = this.#image;
    const { clusterSize } = image.geometry;
    const { refcounts } = image;
    image.file.debugEvent?.('cluster_alloc_bytes');
    const offset = this.#freeByte;
    const cluster = Math.floor(offset / clusterSize);
    const room = clusterSize - (offset % clusterSize);
    if (offset !== 0 && (await refcounts.get(cluster)) < refcounts.max) {
      if (size <= room || (await this.#takeAt(cluster + 1))) {
        await this.#beginChange();
        await refcounts.increment(cluster, 1);
        return this.#leaveRest(offset, size);
      }
    }
    return this.#leaveRest(await this.allocate(1, 'compressed cluster'), size);
  }

  #leaveRest(offset: number, size: number): number {
    const end = offset + size;
    this.#freeByte = end % this.#image.geometry.clusterSize === 0 ? 0 : end;
    return offset;
  }

  /** Takes one certain cluster, if it is free. */
  async #takeAt(cluster: number): Promise<boolean> {
    const { refcounts } = this.#image;
    const known = refcounts.get(cluster);
    if ((isPromise(known) ? await known : known) !== 0) return false;
    await this.take(cluster, 1);
    return true;
  }

  /** Takes certain clusters, which are free. */
  async take(first: number, count: number): Promise<void> {
    await this.#beginChange();
    await this.checkPlace(first, count);
    await this.#ensureBlocks(first, count);
    await this.#image.refcounts.increment(first, count);
  }

  /** Gives up references to clusters. They count as used until the tables that dropped them are on the disk. */
  release(cluster: number, count: number): void {
    if (count <= 0) return;
    this.#releasedBytes += count * this.#image.geometry.clusterSize;
    const last = this.#released.at(-1);
    if (last && last.cluster + last.count === cluster) last.count += count;
    else this.#released.push({ cluster, count });
  }

  /** Gives up the clusters that a compressed cluster touches. */
  releaseBytes(offset: number, length: number): void {
    const { clusterSize } = this.#image.geometry;
    const first = Math.floor(offset / clusterSize);
    this.release(first, Math.floor((offset + length - 1) / clusterSize) - first + 1);
  }

  /** Gives back clusters at once that nothing ever referred to. */
  async giveBack(offset: number, count: number): Promise<void> {
    const first = offset / this.#image.geometry.clusterSize;
    await this.#image.refcounts.decrement(first, count, (cluster) => this.noteFree(cluster));
  }

  /** A cluster is free from now on. */
  noteFree(cluster: number): void {
    this.#hint = Math.min(this.#hint, cluster);
    if (Math.floor(this.#freeByte / this.#image.geometry.clusterSize) === cluster) this.#freeByte = 0;
  }

  /** Something was given up that has no count: the refcounts are damaged, which keeps nothing from being done. */
  async #tellUncounted(cluster: number): Promise<void> {
    const image = this.#image;
    const block = await image.refcounts.blockOffset(Math.floor(cluster / image.refcounts.perBlock));
    const reason = block === 0 ? noRefcount(image.refcounts, cluster).strerror : 'Invalid argument';
    image.reportDamage(`qcow2_free_clusters failed: ${reason}`);
  }

  /** Counts down what was given up, behind the tables that dropped the references. */
  async flush(): Promise<void> {
    const runs = await behind(this.#after, () => this.#takeReleases());
    if (runs.length > 0) await this.#countDown(runs);
  }

  /** By place: neighbours that became free apart from each other give their space back with one call. */
  #takeReleases(): ClusterRun[] {
    const runs = this.#released.sort((a, b) => a.cluster - b.cluster);
    this.#released = [];
    this.#releasedBytes = 0;
    return runs;
  }

  async #countDown(runs: readonly ClusterRun[]): Promise<void> {
    const image = this.#image;
    image.file.debugEvent?.('cluster_free');
    const { clusterSize } = image.geometry;
    const freed: ClusterRun[] = [];
    const uncounted: number[] = [];
    const noteFreed = (cluster: number): void => {
      this.noteFree(cluster);
      const last = freed.at(-1);
      if (last && last.cluster + last.count === cluster) last.count++;
      else freed.push({ cluster, count: 1 });
    };
    for (const run of runs) {
      await image.refcounts.decrement(run.cluster, run.count, noteFreed, (cluster) => {
        if (uncounted.length < UNCOUNTED_LINES) uncounted.push(cluster);
      });
    }
    for (const cluster of uncounted) await this.#tellUncounted(cluster);
    // What damaged tables called theirs may be in use for something else.
    for (const { cluster, count } of freed) {
      await image.guard.check(cluster * clusterSize, count * clusterSize, 'new structure');
    }
    await image.refcounts.flush();
    if (!image.discardFreed) return;
    for (const { cluster, count } of freed) {
      await giveBack(image.file, cluster * clusterSize, count * clusterSize);
    }
  }
}
