/**
 * A second set of metadata that stands in for the first while that is changed in place. It lies behind the end of the
 * file and says what the first is going to say; one write of a sector of the header puts it in force, another one puts
 * the first in force again. So tables in many places change at once, and stay where they are.
 */
import { isPromise, type MaybePromise } from '../../../base/async.ts';
import { concatBytes } from '../../../base/bytes.ts';
import { divideUp } from '../../../base/offset.ts';
import { entryOffset, setEntry } from '../structure/geometry.ts';
import { MAX_REFTABLE_BYTES } from '../structure/layout.ts';
import { getRefcount } from '../structure/refcountEntry.ts';
import { Refcounts } from '../clusters/refcount.ts';
import type { Qcow2State } from '../state.ts';

/** Largest second set in bytes: reading and writing it costs time, and room in the file for as long as it is there. */
const MAX_BYTES = 134217728;
/** Most tables and blocks of a second set: those of small clusters are read one by one. */
const MAX_TABLES = 65536;
/** Bytes that are written at a time. */
const BATCH = 4194304;

/** Where the parts of a second set go, as numbers of clusters. */
interface Room {
  /** The first block. */
  readonly first: number;
  /** Blocks that there are, by their index, and then those that only describe the room itself. */
  readonly blocks: readonly number[];
  readonly table: number;
  readonly tableClusters: number;
  /** Everything else. */
  readonly rest: number;
}

/** A second set of metadata; see above. While it is made and in force nobody else uses the image. */
export class StandIn {
  readonly #image: Qcow2State;
  readonly #room: Room;
  readonly #own: Refcounts;
  /** The refcounts as they are going to be, with those of the second set itself. */
  readonly #refcounts: Refcounts;
  #next: number;
  /** L2 tables that are not written yet; they go in front of `#next`. */
  #tables: Uint8Array[] = [];
  #isEnforced = false;
  #lacksRoom = false;

  private constructor(image: Qcow2State, room: Room) {
    this.#image = image;
    this.#room = room;
    this.#own = image.refcounts;
    this.#refcounts = new Refcounts(image);
    this.#next = room.rest;
  }

  /**
   * Makes the refcounts of a second set, with which the image works from then on. Everything was flushed.
   * @param pieces bytes of each L1 table and snapshot table that is going to be in it.
   * @returns undefined if there cannot be one: it would be too large, the file has no room for it, or tables are damaged.
   */
  static async prepare(image: Qcow2State, pieces: readonly number[]): Promise<StandIn | undefined> {
    // Where somebody looks, things happen in the order of the real tool.
    if (image.file.debugEvent) return undefined;
    const room = await findRoom(image, pieces);
    if (!room) return undefined;
    const standIn = new StandIn(image, room);
    image.ownEnd = image.file.size();
    try {
      standIn.#refcounts.replaceTable(await standIn.#copyBlocks());
      await standIn.#refcounts.increment(room.first, room.rest - room.first);
    } catch (error) {
      await standIn.withdraw();
      if (standIn.#lacksRoom) return undefined;
      throw error;
    }
    standIn.#work(standIn.#refcounts);
    return standIn;
  }

  #work(refcounts: Refcounts): void {
    this.#image.refcounts = refcounts;
    this.#image.guard.forget();
  }

  /** Copies of all blocks, and new ones for the room that the set itself takes; gives the table that names them. */
  async #copyBlocks(): Promise<Uint8Array> {
    const { file, geometry } = this.#image;
    const { clusterSize } = geometry;
    const { first, blocks, tableClusters } = this.#room;
    const old = await this.#own.table();
    const bytes = new Uint8Array(tableClusters * clusterSize);
    bytes.set(new Uint8Array(old.buffer, old.byteOffset, old.byteLength));
    const table = new DataView(bytes.buffer);
    const perBatch = Math.max(1, BATCH / clusterSize);
    for (let start = 0; start < blocks.length; start += perBatch) {
      const part = blocks.slice(start, start + perBatch);
      const batch = new Uint8Array(part.length * clusterSize);
      for (const [i, index] of part.entries()) {
        const offset = index * 8 < old.byteLength ? entryOffset(old, index * 8) : 0;
        const reading = offset && file.readPadded(offset, batch.subarray(i * clusterSize, (i + 1) * clusterSize));
        if (isPromise(reading)) await reading;
        setEntry(table, index * 8, (first + start + i) * clusterSize, false);
      }
      await this.#write(first + start, batch);
    }
    return bytes;
  }

  #write(cluster: number, bytes: Uint8Array): Promise<void> {
    return this.#attempt(() => this.#image.file.write(cluster * this.#image.geometry.clusterSize, bytes));
  }

  async #attempt(write: () => MaybePromise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#lacksRoom = true;
      throw error;
    }
  }

  /** True if a failure was one of writing the set: what it is for can be done without it. */
  get lacksRoom(): boolean {
    return this.#lacksRoom;
  }

  /** True when the disk names the set, or may do so. */
  get isEnforced(): boolean {
    return this.#isEnforced;
  }

  /**
   * Puts an L2 table into the set.
   * @param table is kept until it is written.
   * @returns its place in bytes, which is not counted yet.
   */
  async addTable(table: Uint8Array): Promise<number> {
    const { clusterSize } = this.#image.geometry;
    this.#tables.push(table);
    const cluster = this.#next++;
    if (this.#tables.length * clusterSize >= BATCH) await this.#writeTables();
    return cluster * clusterSize;
  }

  async #writeTables(): Promise<void> {
    const tables = this.#tables;
    if (tables.length === 0) return;
    this.#tables = [];
    await this.#write(this.#next - tables.length, concatBytes(tables));
  }

  /**
   * Puts an L1 or snapshot table into the set, and counts it.
   * @returns its place in bytes.
   */
  async add(bytes: Uint8Array): Promise<number> {
    const { clusterSize } = this.#image.geometry;
    await this.#writeTables();
    const count = Math.max(1, divideUp(bytes.length, clusterSize));
    const first = this.#next;
    this.#next += count;
    await this.#refcounts.increment(first, count);
    await this.#write(first, bytes);
    return first * clusterSize;
  }

  /**
   * Puts the set in force, durably. The image works with its first set again, which the disk does not name from here on:
   * it may be written in any order.
   */
  async enforce(l1Offset: number, snapshots?: { readonly offset: number; readonly count: number }): Promise<void> {
    const image = this.#image;
    const { table, tableClusters } = this.#room;
    await this.#writeTables();
    const view = await this.#refcounts.table();
    await this.#write(table, new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    await this.#attempt(() => this.#refcounts.cache.flush());
    await this.#attempt(() => image.file.flush());
    this.#work(this.#own);
    image.standIn = {
      l1Offset,
      reftableOffset: table * image.geometry.clusterSize,
      reftableClusters: tableClusters,
      ...(snapshots ? { snapshotsOffset: snapshots.offset, snapshotCount: snapshots.count } : {}),
    };
    this.#isEnforced = true;
    await this.#orAbandon(() => image.changeHeader(() => undefined));
  }

  /** Leaves the set, which was not put in force. */
  async withdraw(): Promise<void> {
    this.#work(this.#own);
    await this.#cut();
  }

  /**
   * Runs what changes the first set in place and ends in a header that names it. If that fails, the second set stays in
   * force, and nothing more is written.
   */
  async during(change: () => Promise<void>): Promise<void> {
    await this.#orAbandon(change);
    await this.#cut();
  }

  async #orAbandon(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#image.abandoned = true;
      throw error;
    }
  }

  /** Gives the room back, as far as the file can be made smaller. */
  async #cut(): Promise<void> {
    const image = this.#image;
    const { clusterSize } = image.geometry;
    const { reftableOffset, reftableClusters } = image.header;
    let end = Math.max(image.ownEnd ?? 0, reftableOffset + reftableClusters * clusterSize);
    const table = await this.#own.table();
    for (let at = 0; at < table.byteLength; at += 8) end = Math.max(end, entryOffset(table, at) + clusterSize);
    image.ownEnd = undefined;
    try {
      if (end < image.file.size()) await image.file.truncate(end);
    } catch {
      // What stays there is no part of the image.
    }
  }
}

/** Room behind everything that is in use, and behind what a change in place may take meanwhile. */
async function findRoom(image: Qcow2State, pieces: readonly number[]): Promise<Room | undefined> {
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
  for (const index of [...blocks].reverse()) {
    const block = await refcounts.block(index);
    for (let i = perBlock - 1; block && i >= 0; i--) {
      if (getRefcount(block.view, bits, i) !== 0) return index * perBlock + i + 1;
    }
  }
  return 0;
}
