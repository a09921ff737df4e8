/**
 * Making and removing a snapshot change refcounts, and with them COPIED flags, in many places: here a second set of
 * metadata gets what the first is going to say, so that all of it is in force at once.
 */
import { withStrerror } from '../../../base/error.ts';
import { divideUp } from '../../../base/offset.ts';
import { Lowering, raiseRun } from '../clusters/refcountRuns.ts';
import { setEntry } from '../structure/geometry.ts';
import type { Qcow2State } from '../state.ts';
import { StandIn } from './standIn.ts';
import { flagEntries, flagTable, forEachRun, forEachTable, lowerTree, unflagEntries } from './tree.ts';

/** A snapshot that is gone from the snapshot table. */
export interface GoneSnapshot {
  readonly l1Offset: number;
  readonly l1: DataView;
}

/**
 * Puts a second set in force in which a new snapshot shares everything with the active image.
 * @param l1 the active L1 table.
 * @param tableOf the snapshot table with the new snapshot, whose L1 table is at an offset in bytes.
 * @returns undefined where there is no such set, and nothing is changed.
 * @throws BlockError where the image is damaged, or a refcount is at its limit: nothing is changed.
 */
export async function enforceShared(
  image: Qcow2State,
  l1: DataView,
  tableOf: (l1Offset: number) => { readonly bytes: Uint8Array; readonly count: number },
): Promise<StandIn | undefined> {
  const standIn = await StandIn.prepare(image, [l1.byteLength, l1.byteLength, tableOf(0).bytes.length]);
  if (!standIn) return undefined;
  return withdrawing(standIn, async () => {
    const shared = copyOf(l1);
    const flags = await shareTree(image, standIn, shared);
    // Where there are no flags to take away, the order of changes in place is enough.
    if (!flags) return false;
    const bytes = new Uint8Array(shared.buffer);
    const active = await standIn.add(bytes);
    const table = tableOf(await standIn.add(bytes));
    await standIn.enforce(active, { offset: await standIn.add(table.bytes), count: table.count });
    return true;
  });
}

/** Counts everything twice that an L1 table leads to, without COPIED flags; true if there was one. */
async function shareTree(image: Qcow2State, standIn: StandIn, l1: DataView): Promise<boolean> {
  const { clusterSize, entrySize } = image.geometry;
  const places = new Map<number, number>();
  const progress = { done: 0 };
  let flags = false;
  await forEachTable(image, l1, async (table, index) => {
    if (flagTable(l1, index, false)) flags = true;
    let place = places.get(table.offset);
    if (place === undefined) {
      const copy = table.bytes.slice();
      const changes = unflagEntries(new DataView(copy.buffer), entrySize);
      place = changes ? await standIn.addTable(copy) : table.offset;
      places.set(table.offset, place);
    }
    if (place !== table.offset) {
      flags = true;
      setEntry(l1, index * 8, place, false);
      // The active image and the snapshot: the table that it is a copy of goes on counting as used.
      await raiseRun(image, place / clusterSize, 1, progress);
    }
    await raiseRun(image, place / clusterSize, 1, progress);
    await forEachRun(image, table, (first, count) => raiseRun(image, first, count, progress));
  });
  return flags;
}

/**
 * Puts a second set in force in which a snapshot counts no longer, and what the active image has alone is flagged.
 * @returns undefined where there is no such set or no need for it, and nothing is changed.
 */
export async function enforceWithout(image: Qcow2State, gone: GoneSnapshot): Promise<StandIn | undefined> {
  const l1 = await image.l1.view();
  const standIn = await StandIn.prepare(image, [l1.byteLength]);
  if (!standIn) return undefined;
  return withdrawing(standIn, async () => {
    await withStrerror('Failed to free the cluster and L1 table', async () => {
      const lowering = new Lowering(image, false);
      await lowerTree(image, gone.l1, lowering);
      const { clusterSize } = image.geometry;
      await lowering.lower(gone.l1Offset / clusterSize, divideUp(gone.l1.byteLength, clusterSize));
    });
    const flagged = copyOf(l1);
    const changes = await withStrerror('Failed to update snapshot status in disk', () =>
      flagTree(image, standIn, flagged),
    );
    if (changes) await standIn.enforce(await standIn.add(new Uint8Array(flagged.buffer)));
    return changes;
  });
}

/** Flags what an L1 table leads to and nothing else does; true if that changes anything. */
async function flagTree(image: Qcow2State, standIn: StandIn, l1: DataView): Promise<boolean> {
  const { clusterSize } = image.geometry;
  let changes = false;
  await forEachTable(image, l1, async (table, index) => {
    const alone = (await image.refcounts.get(table.offset / clusterSize)) === 1;
    if (flagTable(l1, index, alone)) changes = true;
    const bytes = table.bytes.slice();
    if (!(await flagEntries(image, { offset: table.offset, view: new DataView(bytes.buffer) }, alone))) return;
    changes = true;
    const place = await standIn.addTable(bytes);
    await image.refcounts.increment(place / clusterSize, 1);
    setEntry(l1, index * 8, place, true);
  });
  return changes;
}

/** Runs what puts a set in force; where it does not, or fails before, the set is left. */
async function withdrawing(standIn: StandIn, work: () => Promise<boolean>): Promise<StandIn | undefined> {
  try {
    if (await work()) return standIn;
  } catch (error) {
    if (standIn.isEnforced) throw error;
    await standIn.withdraw();
    if (standIn.lacksRoom) return undefined;
    throw error;
  }
  await standIn.withdraw();
  return undefined;
}

function copyOf(view: DataView): DataView {
  return new DataView(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
