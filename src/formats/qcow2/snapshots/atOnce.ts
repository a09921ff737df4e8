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
import { flagEntries, flagTable, forEachRun, forEachTable, giveBackTree, lowerTree, unflagEntries } from './tree.ts';

/** A snapshot that is gone from the snapshot table. */
export interface GoneSnapshot {
  readonly l1Offset: number;
  readonly l1: DataView;
}

/**
 * Shares everything that the active L1 table leads to with a new snapshot.
 * @param tableOf the snapshot table with the new snapshot, whose L1 table is at an offset in bytes.
 * @param finish stores the snapshot where it is going to stay.
 * @returns false if it has to be done step by step: nothing is changed.
 * @throws BlockError where the image is damaged, or a refcount is at its limit: nothing is changed.
 */
export async function shareAtOnce(
  image: Qcow2State,
  tableOf: (l1Offset: number) => { readonly bytes: Uint8Array; readonly count: number },
  finish: () => Promise<void>,
): Promise<boolean> {
  const l1 = copyOf(await image.l1.view());
  const bytes = new Uint8Array(l1.buffer);
  const standIn = await StandIn.prepare(image, [bytes.length, bytes.length, tableOf(0).bytes.length]);
  if (!standIn) return false;
  const isEnforced = await withdrawing(standIn, async () => {
    // Where there are no flags to take away, the order of changes in place is enough.
    if (!(await shareTree(image, standIn, l1))) return false;
    const table = tableOf(await standIn.add(bytes));
    await standIn.enforce(l1, { offset: await standIn.add(table.bytes), count: table.count });
    return true;
  });
  if (!isEnforced) return false;
  await standIn.settle(async () => {
    // The second set has copies of these that are counted twice.
    for (const origin of standIn.origins) await image.refcounts.increment(origin / image.geometry.clusterSize, 1);
    await finish();
  });
  return true;
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
      place = changes ? await standIn.addTable(copy, table.offset) : table.offset;
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
 * Counts down what only a snapshot that is gone referred to, and flags what is the active image's alone.
 * @returns false if it has to be done step by step: nothing is changed.
 */
export async function removeAtOnce(image: Qcow2State, { l1Offset, l1 }: GoneSnapshot): Promise<boolean> {
  const active = copyOf(await image.l1.view());
  const standIn = await StandIn.prepare(image, [active.byteLength]);
  if (!standIn) return false;
  const { clusterSize } = image.geometry;
  const lowering = new Lowering(image, true);
  const isEnforced = await withdrawing(standIn, async () => {
    await withStrerror('Failed to free the cluster and L1 table', async () => {
      await lowerTree(image, l1, lowering);
      await lowering.lower(l1Offset / clusterSize, divideUp(l1.byteLength, clusterSize));
      await lowering.check();
    });
    const flag = (): Promise<boolean> => flagTree(image, standIn, active);
    if (!(await withStrerror('Failed to update snapshot status in disk', flag))) return false;
    await standIn.enforce(active);
    return true;
  });
  if (!isEnforced) return false;
  await standIn.settle(() =>
    image.switchHeader(() => {
      image.standIn = undefined;
    }),
  );
  await lowering.giveBack();
  if (lowering.hasForgotten) await giveBackTree(image, l1);
  return true;
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
    const place = await standIn.addTable(bytes, table.offset);
    await image.refcounts.increment(place / clusterSize, 1);
    setEntry(l1, index * 8, place, true);
  });
  return changes;
}

/** Runs what puts a set in force; where it does not, or fails before, the set is left. */
async function withdrawing(standIn: StandIn, work: () => Promise<boolean>): Promise<boolean> {
  try {
    if (await work()) return true;
  } catch (error) {
    if (standIn.isEnforced) throw error;
    await standIn.withdraw();
    if (standIn.lacksRoom) return false;
    throw error;
  }
  await standIn.withdraw();
  return false;
}

function copyOf(view: DataView): DataView {
  return new DataView(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
