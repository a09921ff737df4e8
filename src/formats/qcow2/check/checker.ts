/** Checks and repairs as a whole: which passes are made, in which order, and what counts as repaired. */
import { BlockError, ioError } from '../../../base/error.ts';
import { divideUp } from '../../../base/offset.ts';
import type { CheckFindings, Checker, RepairMode } from '../../../block/capabilities.ts';
import { checkCopied, compareCounts, walkRefblocks } from './refcounts.ts';
import type { Qcow2State } from '../state.ts';
import type { Report } from './l2Walk.ts';
import { Incompatible } from '../structure/layout.ts';
import { rebuildRefcounts } from './rebuild.ts';
import { ReferenceWalk } from './references.ts';
import { readForCheck, repairSnapshots } from './snapshots.ts';
import type { SnapshotTable } from '../snapshots/table.ts';

/** A result without findings. */
function emptyResult(image: Qcow2State): CheckFindings {
  return {
    corruptions: 0,
    leaks: 0,
    checkErrors: 0,
    corruptionsFixed: 0,
    leaksFixed: 0,
    clusters: {
      total: divideUp(image.header.virtualSize, image.geometry.clusterSize),
      allocated: 0,
      fragmented: 0,
      compressed: 0,
    },
  };
}

/** The checker of an image. */
export function checkerOf(image: Qcow2State): Checker {
  return {
    deepOnly: false,
    repairs: true,
    check: (repair, report) => checkImage(image, repair, (text, how) => report({ severity: 'finding', text, ...how })),
  };
}

/**
 * Checks an image. Every repair leaves it no worse if it is interrupted: what is right already stays so.
 * @throws BlockError if the check broke off: a repair is not possible.
 */
export async function checkImage(image: Qcow2State, repair: RepairMode, report: Report): Promise<CheckFindings> {
  const before = image.reportDamage;
  image.reportDamage = report;
  try {
    return await runPasses(image, repair, report);
  } finally {
    image.reportDamage = before;
  }
}

async function runPasses(image: Qcow2State, repair: RepairMode, report: Report): Promise<CheckFindings> {
  const result = emptyResult(image);
  const snapshots = await readForCheck(image, repair, report);
  let walk = await countReferences(image, snapshots.table, result, report, repair);
  if (repair !== 'none' && walk.incomplete) throw new BlockError('too-large', 'File too large');
  const counted = { ...result };
  await compareCounts(walk);
  if (walk.mustRebuild && repair === 'all') {
    walk = await rebuild(walk, snapshots.table);
  } else if (repair !== 'none') {
    if (walk.mustRebuild) {
      report('ERROR need to rebuild refcount structures');
      throw ioError();
    }
    if (hasFindings(result)) {
      Object.assign(result, counted);
      await compareCounts(walk, repair);
    }
  }
  const sound = !hasFindings(result) && result.corruptionsFixed === 0 && result.leaksFixed === 0;
  // With nothing else wrong, flags can be put right without a risk to data.
  await checkCopied(walk, sound, repair === 'all' || (repair === 'leaks' && !isCorrupt(result)));
  const snapshotFindings = snapshots.damage + snapshots.overhang;
  if (repair === 'all' && snapshotFindings > 0) {
    await repairSnapshots(walk, snapshots);
    result.corruptionsFixed += snapshotFindings;
  } else {
    result.corruptions += snapshotFindings;
  }
  // Corrected refcounts come last: they are given up with the image where tables turn out to lie over each other.
  if (repair !== 'none') await walk.lowering.finish(true);
  if (repair !== 'none') await settle(image, result);
  return result;
}

async function countReferences(
  image: Qcow2State,
  snapshots: SnapshotTable,
  result: CheckFindings,
  report: Report,
  repair: RepairMode,
): Promise<ReferenceWalk> {
  const walk = new ReferenceWalk(image, result, report, repair);
  await walk.walkTables(snapshots);
  await walkRefblocks(walk);
  return walk;
}

function hasFindings(result: CheckFindings): boolean {
  return result.leaks > 0 || isCorrupt(result);
}

function isCorrupt(result: CheckFindings): boolean {
  return result.corruptions > 0 || result.checkErrors > 0;
}

/** New refcount structures, and everything counted again by them: what is gone then was repaired. */
async function rebuild(old: ReferenceWalk, snapshots: SnapshotTable): Promise<ReferenceWalk> {
  const { image, result, report } = old;
  const { corruptions, leaks, corruptionsFixed, leaksFixed } = result;
  report('Rebuilding refcount structure');
  // Refcount blocks that could not be used are no reason to give up any more.
  image.abandoned = false;
  await rebuildRefcounts(old);
  Object.assign(result, emptyResult(image));
  const walk = await countReferences(image, snapshots, result, report, 'all');
  const found = { ...result };
  // What refers to a place of the new structure is damage that stays: counting it would hide it.
  await compareCounts(walk, 'leaks');
  if (walk.mustRebuild) report('ERROR rebuilt refcount structure is still broken');
  result.corruptionsFixed = corruptionsFixed + Math.max(0, corruptions - found.corruptions);
  result.leaksFixed = leaksFixed + Math.max(0, leaks - found.leaks);
  return walk;
}

/** The refcounts are as they should be; an image without damage needs no marks at all. */
async function settle(image: Qcow2State, result: CheckFindings): Promise<void> {
  await image.refcounts.flush();
  image.l2.clear();
  await image.setIncompatible(Incompatible.dirty, false);
  if (!isCorrupt(result)) await image.setIncompatible(Incompatible.corrupt, false);
}
