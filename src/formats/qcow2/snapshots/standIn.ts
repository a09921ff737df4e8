/**
 * A second set of metadata that stands in for the first while that is changed in place. It lies behind the end of the
 * file and says what the first is going to say; one write of a sector of the header puts it in force, another one puts
 * the first in force again. So tables in many places change at once, and stay where they are.
 */
import { isPromise, type MaybePromise } from '../../../base/async.ts';
import { concatBytes } from '../../../base/bytes.ts';
import { divideUp } from '../../../base/offset.ts';
import { entryOffset, isCopied, setEntry } from '../structure/geometry.ts';
import { setRefcount } from '../structure/refcountEntry.ts';
import { Refcounts } from '../clusters/refcount.ts';
import type { Qcow2State } from '../state.ts';
import { findRoom, type Room } from './standInRoom.ts';

/** Bytes that are written at a time. */
const BATCH = 4194304;

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
  /** Places in bytes of the first set's tables, in the order of those of this one. */
  readonly #origins: number[] = [];
  /** The active L1 table of this set. */
  #l1: DataView | undefined;
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
   * Puts an L2 table into the set; all of them come before anything else.
   * @param table is kept until it is written.
   * @param origin place in bytes of the table of the first set.
   * @returns its place in bytes, which is not counted yet.
   */
  async addTable(table: Uint8Array, origin: number): Promise<number> {
    const { clusterSize } = this.#image.geometry;
    this.#tables.push(table);
    this.#origins.push(origin);
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
   * Puts the set in force, durably, with an active L1 table. The image works with its first set again, which the disk does not name from here on:
   * it may be written in any order.
   */
  async enforce(l1: DataView, snapshots?: { readonly offset: number; readonly count: number }): Promise<void> {
    const image = this.#image;
    const { table, tableClusters } = this.#room;
    this.#l1 = l1;
    const l1Offset = await this.add(new Uint8Array(l1.buffer, l1.byteOffset, l1.byteLength));
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

  /** Makes the first set say what this one says, but for the counts of what only this one has. */
  async #settle(): Promise<void> {
    const { l1, l2, allocator } = this.#image;
    await this.#settleTables();
    l2.clear();
    await this.#settleBlocks();
    this.#own.cache.clear();
    allocator.reset();
    const own = await l1.view();
    const from = this.#l1 ?? own;
    for (let at = 0; at < own.byteLength; at += 8) {
      const offset = entryOffset(from, at);
      if (offset === 0) continue;
      const before = own.getBigUint64(at);
      setEntry(own, at, this.#originOf(offset), isCopied(from, at));
      if (own.getBigUint64(at) !== before) l1.markDirty(at / 8);
    }
    await l1.flush();
  }

  #originOf(offset: number): number {
    return this.#origins[offset / this.#image.geometry.clusterSize - this.#room.rest] ?? offset;
  }

  async #settleTables(): Promise<void> {
    const { clusterSize } = this.#image.geometry;
    const perBatch = Math.max(1, BATCH / clusterSize);
    for (let start = 0; start < this.#origins.length; start += perBatch) {
      const origins = this.#origins.slice(start, start + perBatch);
      const bytes = new Uint8Array(origins.length * clusterSize);
      await this.#image.file.read((this.#room.rest + start) * clusterSize, bytes);
      await this.#writeBack(origins, bytes, 'active L2 table');
    }
  }

  async #settleBlocks(): Promise<void> {
    const { clusterSize } = this.#image.geometry;
    const { first, blocks } = this.#room;
    const { perBlock, bits } = this.#own;
    const table = await this.#own.table();
    const known = blocks.filter((index) => index * 8 < table.byteLength && entryOffset(table, index * 8) !== 0);
    const perBatch = Math.max(1, BATCH / clusterSize);
    for (let start = 0; start < known.length; start += perBatch) {
      const part = known.slice(start, start + perBatch);
      const bytes = new Uint8Array(part.length * clusterSize);
      await this.#image.file.read((first + start) * clusterSize, bytes);
      for (const [i, index] of part.entries()) {
        const view = new DataView(bytes.buffer, i * clusterSize, clusterSize);
        const stop = Math.min(this.#next - index * perBlock, perBlock);
        for (let at = Math.max(0, first - index * perBlock); at < stop; at++) setRefcount(view, bits, at, 0);
      }
      const places = part.map((index) => entryOffset(table, index * 8));
      await this.#writeBack(places, bytes, 'refcount block');
    }
  }

  /** Writes clusters to their places, neighbours together. */
  async #writeBack(
    places: readonly number[],
    bytes: Uint8Array,
    what: 'active L2 table' | 'refcount block',
  ): Promise<void> {
    const { file, geometry, guard } = this.#image;
    const { clusterSize } = geometry;
    for (let start = 0; start < places.length; ) {
      const offset = places[start] ?? 0;
      let count = 1;
      while (places[start + count] === offset + count * clusterSize) count++;
      await guard.check(offset, count * clusterSize, what);
      await file.write(offset, bytes.subarray(start * clusterSize, (start + count) * clusterSize));
      start += count;
    }
  }

  /** Places in bytes of the tables that this set has others for. */
  get origins(): readonly number[] {
    return this.#origins;
  }

  /** Leaves the set, which was not put in force. */
  async withdraw(): Promise<void> {
    this.#work(this.#own);
    await this.#cut();
  }

  /**
   * Makes the first set say what this one says, in its own places, and puts it in force again. If that fails, this set
   * stays in force, and nothing more is written.
   * @param finish does what is left to do in the first set, and writes the header, with which nothing stands in any more.
   */
  async settle(finish: () => Promise<void>): Promise<void> {
    await this.#orAbandon(async () => {
      await this.#settle();
      await finish();
    });
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
