/** Refcount table and blocks: how often each host cluster is referenced. */
import { andThen, isPromise, type MaybePromise, orElse, Semaphore } from '../../../base/async.ts';
import { BlockError, invalidArgument, ioError } from '../../../base/error.ts';
import { isZero } from '../../../base/zero.ts';
import type { OpenIntent } from '../../../block/format.ts';
import { Barrier, behind, type Pending } from '../../../block/kit/barrier.ts';
import { MetadataCache, type Table } from '../../../block/kit/cache.ts';
import { setEntry } from '../structure/geometry.ts';
import { hex, hexHalves } from '../structure/hex.ts';
import { TWO32 } from '../structure/layout.ts';
import { getRefcount, refcountText, setRefcount } from '../structure/refcountEntry.ts';
import type { ImageState } from '../structure/imageState.ts';

/** What refcounts work with. */
interface CountedImage extends ImageState {
  readonly intent: OpenIntent;
  /** Bytes of refcount blocks that are kept. */
  readonly refcountBudget: number;
  readonly readOnly: boolean;
  readonly guard: {
    /** Refuses to write where other metadata is. */
    check(offset: number, length: number, what: 'refcount block' | 'refcount table'): MaybePromise<void>;
    /** There is a new refcount block at an offset. */
    noteTable(kind: 'refblocks', offset: number): void;
  };
}

/** The refcounts of an image. */
export class Refcounts implements Pending {
  readonly #image: CountedImage;
  /** Bits of an entry. */
  readonly bits: number;
  /** Entries in a block. */
  readonly perBlock: number;
  /** Largest refcount that can be stored. */
  readonly max: number;
  readonly cache: MetadataCache;
  #table: DataView | undefined;
  #tableDirty = false;
  /** The table is written, but perhaps not durable. */
  readonly #tableWritten: Barrier;
  /** Of two flushes the second waits for the first: what that is writing is not there before. */
  readonly #turn = new Semaphore(1);

  constructor(image: CountedImage) {
    const { clusterSize } = image.geometry;
    this.#image = image;
    this.#tableWritten = new Barrier(() => image.file.flush());
    this.bits = 2 ** image.header.refcountOrder;
    this.perBlock = (clusterSize * 8) / this.bits;
    this.max = Math.min(2 ** this.bits - 1, Number.MAX_SAFE_INTEGER);
    this.cache = new MetadataCache({
      storage: image.file,
      tableSize: clusterSize,
      budget: image.refcountBudget,
      readOnly: image.readOnly,
      ...(image.intent === 'check' ? {} : { events: { load: 'refblock_load', write: 'refblock_update_part' } }),
      mayWrite: (offset, length) => image.guard.check(offset, length, 'refcount block'),
    });
  }

  get isPending(): boolean {
    return this.cache.isPending || this.#tableDirty || this.#tableWritten.isPending;
  }

  /** The refcount table, 8 bytes an entry; loaded at the first call. */
  table(): MaybePromise<DataView> {
    if (this.#table) return this.#table;
    const { reftableOffset, reftableClusters } = this.#image.header;
    this.#image.file.debugEvent?.('reftable_load');
    const bytes = new Uint8Array(reftableClusters * this.#image.geometry.clusterSize);
    return andThen(this.#image.file.readPadded(reftableOffset, bytes), () => {
      this.#table ??= new DataView(bytes.buffer);
      return this.#table;
    });
  }

  /** Puts another table in place, which is on the disk already. */
  replaceTable(bytes: Uint8Array): void {
    this.#table = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#tableDirty = false;
  }

  /** Offset of a refcount block; 0 if there is none. */
  blockOffset(index: number): MaybePromise<number> {
    return andThen(this.table(), (table) => {
      if (index * 8 >= table.byteLength) return 0;
      return table.getUint32(index * 8) * TWO32 + ((table.getUint32(index * 8 + 4) & 0xfffffe00) >>> 0);
    });
  }

  /** True if every refcount block is at a place where there can be one. */
  isAligned(): MaybePromise<boolean> {
    const { clusterSize } = this.#image.geometry;
    return andThen(this.table(), (table) => {
      for (let at = 4; at < table.byteLength; at += 8) {
        if (((table.getUint32(at) & 0xfffffe00) >>> 0) % clusterSize !== 0) return false;
      }
      return true;
    });
  }

  /** A refcount block; undefined if there is none. */
  block(index: number): MaybePromise<Table | undefined> {
    return andThen(this.table(), (table): MaybePromise<Table | undefined> => {
      const at = index * 8;
      if (at >= table.byteLength) return undefined;
      const [high, low] = [table.getUint32(at), (table.getUint32(at + 4) & 0xfffffe00) >>> 0];
      if (high === 0 && low === 0) return undefined;
      if (low % this.#image.geometry.clusterSize !== 0) {
        const place = `0x${hexHalves(high, low)}`;
        return this.#image.failDamaged(`Refblock offset ${place} unaligned (reftable index: ${hex(index)})`);
      }
      if (high >= 0x80000000) throw ioError();
      return this.cache.get(high * TWO32 + low);
    });
  }

  /** True if a cluster is in use as far as that can be read; damage that is met on the way is not reported. */
  mayUse(cluster: number): MaybePromise<boolean> {
    return orElse(
      () =>
        andThen(this.blockOffset(Math.floor(cluster / this.perBlock)), (offset) => {
          if (offset === 0) return false;
          const bytes = new Uint8Array(this.#image.geometry.clusterSize);
          const isUsed = () => getRefcount(new DataView(bytes.buffer), this.bits, cluster % this.perBlock) > 0;
          return andThen(this.#image.file.readPadded(offset, bytes), isUsed);
        }),
      () => false,
    );
  }

  /** Refcount of a cluster. */
  get(cluster: number): MaybePromise<number> {
    return andThen(this.block(Math.floor(cluster / this.perBlock)), (block) =>
      block ? getRefcount(block.view, this.bits, cluster % this.perBlock) : 0,
    );
  }

  /** The exact decimal text of a cluster's refcount. */
  text(cluster: number): MaybePromise<string> {
    return andThen(this.block(Math.floor(cluster / this.perBlock)), (block) =>
      block ? refcountText(block.view, this.bits, cluster % this.perBlock) : '0',
    );
  }

  /** Sets the refcount of one cluster whose block exists. */
  async set(cluster: number, value: number): Promise<void> {
    const block = await this.block(Math.floor(cluster / this.perBlock));
    if (!block) throw new BlockError('internal', `no refcount block for cluster ${cluster}`);
    setRefcount(block.view, this.bits, cluster % this.perBlock, value);
    this.cache.markDirty(block);
  }

  /** Counts `count` clusters from `first` on up by one. Their blocks exist. */
  async increment(first: number, count: number): Promise<void> {
    await this.#each(first, count, ({ view }, index, end) => {
      for (let i = index; i < end; i++) {
        const value = getRefcount(view, this.bits, i);
        if (value >= this.max) throw invalidArgument('Invalid argument');
        setRefcount(view, this.bits, i, value + 1);
      }
    });
  }

  /**
   * Counts clusters down by one; calls `freed` with each that is free then. Counts that are 0 stay so.
   * @param uncounted is called with each cluster that has no count to give up, which only damaged images have.
   */
  async decrement(
    first: number,
    count: number,
    freed: (cluster: number) => void,
    uncounted: (cluster: number) => void = () => undefined,
  ): Promise<void> {
    let next = first;
    const skipTo = (cluster: number): void => {
      while (next < cluster) uncounted(next++);
    };
    await this.#each(first, count, ({ view }, index, end, cluster) => {
      skipTo(cluster);
      for (let i = index; i < end; i++, next++) {
        const value = getRefcount(view, this.bits, i);
        if (value > 0) setRefcount(view, this.bits, i, value - 1);
        else uncounted(next);
        if (value === 1) freed(next);
      }
    });
    skipTo(first + count);
  }

  /** Calls `visit` with the entries `[index, end)` of each block; the first of them is that of `cluster`. */
  async #each(
    first: number,
    count: number,
    visit: (block: Table, index: number, end: number, cluster: number) => void,
  ): Promise<void> {
    const end = first + count;
    for (let cluster = first; cluster < end; ) {
      const found = this.block(Math.floor(cluster / this.perBlock));
      const block = isPromise(found) ? await found : found;
      const stop = Math.min(end, cluster - (cluster % this.perBlock) + this.perBlock);
      const index = cluster % this.perBlock;
      if (block) {
        this.cache.markDirty(block);
        visit(block, index, index + stop - cluster, cluster);
      }
      cluster = stop;
    }
  }

  /** Number of free clusters from `cluster` on, up to `limit`; 0 if it is in use. */
  async freeRun(cluster: number, limit: number): Promise<number> {
    let count = 0;
    while (count < limit) {
      const at = cluster + count;
      const block = await this.block(Math.floor(at / this.perBlock));
      const inBlock = at % this.perBlock;
      const room = Math.min(limit - count, this.perBlock - inBlock);
      if (!block) {
        count += room;
        continue;
      }
      let free = this.#areZero(block, inBlock, inBlock + room) ? room : 0;
      while (free < room && getRefcount(block.view, this.bits, inBlock + free) === 0) free++;
      count += free;
      if (free < room) break;
    }
    return count;
  }

  /** True if the entries `[index, end)` are all zero; not found out for entries that share bytes with others. */
  #areZero(block: Table, index: number, end: number): boolean {
    return this.bits >= 8 && isZero(block.bytes, (index * this.bits) / 8, (end * this.bits) / 8);
  }

  /** Number of clusters in use from `cluster` on, up to `limit`. */
  async usedRun(cluster: number, limit: number): Promise<number> {
    let count = 0;
    while (count < limit && (await this.get(cluster + count)) !== 0) count++;
    return count;
  }

  /** The first free cluster at or after `cluster`. */
  async firstFree(cluster: number): Promise<number> {
    for (let at = cluster; ; ) {
      const block = await this.block(Math.floor(at / this.perBlock));
      if (!block) return at;
      const inBlock = at % this.perBlock;
      let used = 0;
      while (inBlock + used < this.perBlock && getRefcount(block.view, this.bits, inBlock + used) !== 0) used++;
      at += used;
      if (inBlock + used < this.perBlock) return at;
    }
  }

  /** Makes the table, which is long enough, name another block, or none. */
  setBlock(table: DataView, index: number, offset: number): void {
    setEntry(table, index * 8, offset, false);
    if (offset !== 0) this.#image.guard.noteTable('refblocks', offset);
    this.#tableDirty = true;
  }

  /** Writes blocks, then the table, and makes them durable. */
  async flush(): Promise<void> {
    await this.#turn.run(() => this.#flush());
  }

  async #flush(): Promise<void> {
    const bytes = await behind(
      () => [this.cache],
      () => this.#takeTable(),
    );
    try {
      if (bytes) await this.#writeTable(bytes);
    } catch (error) {
      this.#tableDirty = true;
      throw error;
    }
    await this.#tableWritten.flush();
  }

  /** A copy of the table if it changed, which counts as written from here on. */
  #takeTable(): Uint8Array | undefined {
    if (!this.#tableDirty || !this.#table) return undefined;
    this.#tableDirty = false;
    this.#tableWritten.arm();
    return new Uint8Array(this.#table.buffer, this.#table.byteOffset, this.#table.byteLength).slice();
  }

  async #writeTable(bytes: Uint8Array): Promise<void> {
    const { reftableOffset } = this.#image.header;
    await this.#image.guard.check(reftableOffset, bytes.length, 'refcount table');
    this.#image.file.debugEvent?.('reftable_update');
    await this.#image.file.write(reftableOffset, bytes);
  }
}
