/** Everything that an L1 table leads to: what a snapshot shares with the active image, counted and flagged. */
import { isPromise } from '../../../base/async.ts';
import type { Table } from '../../../block/kit/cache.ts';
import { compressedPlace, entryOffset, ownsHost, setEntry } from '../structure/geometry.ts';
import { hex } from '../structure/hex.ts';
import type { Qcow2State } from '../state.ts';
import { COMPRESSED_HIGH, COPIED_HIGH } from '../structure/layout.ts';
import { l2Table } from '../guest/mapping.ts';
import { noRefcount } from '../structure/refcountEntry.ts';
import { Lowering, raiseRun } from '../clusters/refcountRuns.ts';

/** Called with runs of host clusters, once for every reference. */
type RunVisitor = (first: number, count: number) => Promise<unknown>;

/** Visits the L2 tables of an L1 table, with the indices of their entries. */
export async function forEachTable(
  image: Qcow2State,
  l1: DataView,
  visit: (table: Table, index: number) => Promise<void>,
): Promise<void> {
  for (let index = 0; index * 8 < l1.byteLength; index++) {
    const offset = entryOffset(l1, index * 8);
    if (offset === 0) continue;
    if (offset >= image.end) await reachable(image, offset);
    const found = l2Table(image, index, offset);
    await visit(isPromise(found) ? await found : found, index);
  }
}

/**
 * Visits every reference to a host cluster that an L1 table leads to: L2 tables, and what their entries refer to, in
 * the order of the table.
 * @throws BlockError where an entry is damaged; an image that is open for writing is marked then.
 */
async function forEachReference(image: Qcow2State, l1: DataView, visit: RunVisitor): Promise<void> {
  const { clusterSize } = image.geometry;
  await forEachTable(image, l1, async (table) => {
    await visit(table.offset / clusterSize, 1);
    await forEachRun(image, table, visit);
  });
}

/** Refuses a place behind the end of the file that no refcount block describes. */
async function reachable(image: Qcow2State, offset: number): Promise<void> {
  const cluster = Math.floor(offset / image.geometry.clusterSize);
  const block = await image.refcounts.blockOffset(Math.floor(cluster / image.refcounts.perBlock));
  if (block === 0) throw noRefcount(image.refcounts, cluster);
}

/** The entry at `at` refers to where no cluster can be. */
function failUnaligned(image: Qcow2State, table: Pick<Table, 'offset' | 'view'>, at: number): Promise<never> {
  const place = `(L2 offset: ${hex(table.offset)}, L2 index: ${hex(at / image.geometry.entrySize)})`;
  return image.failDamaged(`Cluster allocation offset ${hex(entryOffset(table.view, at))} unaligned ${place}`);
}

/** Visits what the entries of an L2 table refer to, in their order. */
export async function forEachRun(image: Qcow2State, table: Table, visit: RunVisitor): Promise<void> {
  const { geometry } = image;
  const { clusterSize, entrySize } = geometry;
  const { view } = table;
  const limit = image.end;
  let first = 0;
  let count = 0;
  for (let at = 0; at < view.byteLength; at += entrySize) {
    const high = view.getUint32(at);
    if ((high & COMPRESSED_HIGH) !== 0) {
      const place = compressedPlace(geometry, view, at);
      if (place.offset >= limit) await reachable(image, place.offset);
      const start = Math.floor(place.offset / clusterSize);
      await visit(start, Math.floor((place.offset + place.length - 1) / clusterSize) - start + 1);
      continue;
    }
    if (!ownsHost(geometry, view, at)) continue;
    const offset = entryOffset(view, at);
    if (offset % clusterSize !== 0) await failUnaligned(image, table, at);
    if (offset >= limit) await reachable(image, offset);
    if (count > 0 && offset === (first + count) * clusterSize) {
      count++;
      continue;
    }
    if (count > 0) await visit(first, count);
    first = offset / clusterSize;
    count = 1;
  }
  if (count > 0) await visit(first, count);
}

/**
 * Counts every reference of an L1 table once more. If that cannot be done, everything is counted as before.
 * @throws BlockError `invalid-argument` if a refcount is at its limit; others for damaged entries.
 */
export async function raiseTree(image: Qcow2State, l1: DataView): Promise<void> {
  const progress = { done: 0 };
  try {
    await forEachReference(image, l1, (first, count) => raiseRun(image, first, count, progress));
  } catch (error) {
    let left = progress.done;
    const undo = new Lowering(image);
    const lowerSome = async (first: number, count: number): Promise<void> => {
      const some = Math.min(left, count);
      left -= some;
      if (some > 0) await undo.lower(first, some);
    };
    // What is damaged comes after what was counted.
    await forEachReference(image, l1, lowerSome).catch(() => undefined);
    throw error;
  }
}

/**
 * Counts every reference of an L1 table down. The table is gone from the disk.
 * @throws BlockError if something has more references than its refcount says: so the work is bounded.
 */
export function lowerTree(image: Qcow2State, l1: DataView, lowering: Lowering): Promise<void> {
  return forEachReference(image, l1, (first, count) => lowering.lower(first, count));
}

/** Gives the space back of what an L1 table leads to and nothing refers to any more. */
export function giveBackTree(image: Qcow2State, l1: DataView): Promise<void> {
  return forEachReference(image, l1, async (first, count) => {
    const freed = new Lowering(image, true);
    for (let cluster = first; cluster < first + count; cluster++) {
      if ((await image.refcounts.get(cluster)) === 0) freed.free(cluster);
    }
    await freed.giveBack();
  });
}

/** Flags or unflags entry `at`; true if that changes it. */
function flag(view: DataView, at: number, copied: boolean): boolean {
  const high = view.getUint32(at);
  if (high >= COPIED_HIGH === copied) return false;
  view.setUint32(at, copied ? (high | COPIED_HIGH) >>> 0 : (high & ~COPIED_HIGH) >>> 0);
  return true;
}

/** Flags or unflags the L1 entry of a table, which loses its reserved bits; true if that changes it. */
export function flagTable(l1: DataView, index: number, copied: boolean): boolean {
  const before = l1.getBigUint64(index * 8);
  setEntry(l1, index * 8, entryOffset(l1, index * 8), copied);
  return l1.getBigUint64(index * 8) !== before;
}

/**
 * Takes the COPIED flags from everything that an L1 table leads to, and from its own entries.
 * @param mark called with the index of every L1 entry that changed.
 */
export async function unflagTree(image: Qcow2State, l1: DataView, mark: (index: number) => void): Promise<void> {
  const { entrySize } = image.geometry;
  const seen = new Set<number>();
  await forEachTable(image, l1, async (table, index) => {
    if (flagTable(l1, index, false)) mark(index);
    if (seen.has(table.offset)) return;
    seen.add(table.offset);
    if (unflagEntries(table.view, entrySize)) image.l2.markDirty(table);
  });
}

/** Takes the COPIED flags from the entries of an L2 table; true if that changes it. */
export function unflagEntries(view: DataView, entrySize: number): boolean {
  let changed = false;
  for (let at = 0; at < view.byteLength; at += entrySize) {
    // Compressed clusters never have the flag.
    if ((view.getUint32(at) & COMPRESSED_HIGH) === 0 && flag(view, at, false)) changed = true;
  }
  return changed;
}

/** Gives the COPIED flags of the active tables to exactly those clusters that have a single reference now. */
export async function flagActive(image: Qcow2State): Promise<void> {
  const { clusterSize } = image.geometry;
  const l1 = await image.l1.view();
  await forEachTable(image, l1, async (table, index) => {
    const alone = (await image.refcounts.get(table.offset / clusterSize)) === 1;
    if (flagTable(l1, index, alone)) image.l1.markDirty(index);
    if (await flagEntries(image, table, alone)) image.l2.markDirty(table);
  });
}

/**
 * Flags the entries of an L2 table that refer to a cluster alone, and unflags the others.
 * @param alone the table has a single reference: what shared tables refer to is shared as well.
 * @returns true if that changes the table.
 */
export async function flagEntries(
  image: Qcow2State,
  table: Pick<Table, 'offset' | 'view'>,
  alone: boolean,
): Promise<boolean> {
  const { geometry, refcounts } = image;
  const { clusterSize, entrySize } = geometry;
  let changed = false;
  for (let at = 0; at < table.view.byteLength; at += entrySize) {
    if ((table.view.getUint32(at) & COMPRESSED_HIGH) !== 0 || !ownsHost(geometry, table.view, at)) continue;
    const offset = entryOffset(table.view, at);
    if (offset % clusterSize !== 0) await failUnaligned(image, table, at);
    if (!alone) continue;
    const known = refcounts.get(offset / clusterSize);
    if (flag(table.view, at, (isPromise(known) ? await known : known) === 1)) changed = true;
  }
  return changed;
}
