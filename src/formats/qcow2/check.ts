/** Structure check: counts references, compares them with the refcounts, and looks at the COPIED flags. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { asBlockError } from '../../base/error.ts';
import { divideUp } from '../../base/offset.ts';
import { isZero } from '../../base/zero.ts';
import type { Checker, CheckResult, RepairMode } from '../../block/driver.ts';
import type { Table } from '../../block/cache.ts';
import { entryOffset, isCopied } from './geometry.ts';
import type { Qcow2Image } from './image.ts';
import type { Report } from './l2Walk.ts';
import { COMPRESSED_HIGH } from './layout.ts';
import { getRefcount } from './refcount.ts';
import { hexHalves } from './hex.ts';
import { ReferenceWalk } from './references.ts';

/** Lines of a report; what hostile images would add is only counted. */
const MAX_LINES = 100000;

/** A result without findings. */
export function emptyResult(image: Qcow2Image): CheckResult {
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
export function checkerOf(image: Qcow2Image): Checker {
  return {
    async check(_repair: RepairMode, report): Promise<CheckResult> {
      const result = emptyResult(image);
      const before = image.reportDamage;
      let lines = 0;
      const line: Report = (text) => {
        if (lines++ < MAX_LINES) report(text, 'err');
      };
      image.reportDamage = line;
      try {
        await checkImage(image, result, line);
      } finally {
        image.reportDamage = before;
      }
      return result;
    },
  };
}

/** Reports what is wrong with an image; nothing is changed. Returns the references that were counted. */
export async function checkImage(image: Qcow2Image, result: CheckResult, report: Report): Promise<ReferenceWalk> {
  const walk = new ReferenceWalk(image, result, report);
  await walk.walkTables();
  await walkRefblocks(walk);
  await compareCounts(walk);
  await checkCopied(walk);
  return walk;
}

/** Counts the refcount blocks. */
export async function walkRefblocks(walk: ReferenceWalk): Promise<void> {
  const { image } = walk;
  const { clusterSize } = image.geometry;
  const table = await image.refcounts.table();
  const fileClusters = divideUp(image.file.size(), clusterSize);
  for (let index = 0; index * 8 < table.byteLength; index++) {
    const low = table.getUint32(index * 8 + 4);
    if (low === 0 && table.getUint32(index * 8) === 0) continue;
    const offset = table.getUint32(index * 8) * 4294967296 + ((low & 0xfffffe00) >>> 0);
    if ((low & 0x1ff) !== 0) {
      walk.corrupt(`ERROR refcount table entry ${index} has reserved bits set`);
    } else if (offset % clusterSize !== 0) {
      walk.corrupt(`ERROR refcount block ${index} is not cluster aligned; refcount table entry corrupted`);
    } else if (offset / clusterSize >= fileClusters) {
      walk.corrupt(`ERROR refcount block ${index} is outside image`);
    } else {
      walk.count(offset, clusterSize);
      const references = walk.counts.get(offset / clusterSize);
      if (references !== 1) walk.corrupt(`ERROR refcount block ${index} refcount=${references}`);
    }
  }
}

/** Compares every cluster's refcount with the references that were counted. */
export async function compareCounts(walk: ReferenceWalk): Promise<void> {
  const { image, counts, result } = walk;
  const { refcounts } = image;
  const { clusterSize } = image.geometry;
  const table = await refcounts.table();
  const described = (table.byteLength / 8) * refcounts.perBlock;
  const end = Math.max(counts.end, Math.min(divideUp(image.file.size(), clusterSize), described));
  let highest = 0;
  for (let start = 0; start < end; start += refcounts.perBlock) {
    const stop = Math.min(end, start + refcounts.perBlock);
    const found = blockOrError(walk, start / refcounts.perBlock);
    const block = isPromise(found) ? await found : found;
    const counted = counts.skipEmpty(start) < stop;
    if (!counted && (block === undefined || (!(block instanceof Error) && isZero(block.bytes)))) continue;
    for (let cluster = start; cluster < stop; cluster++) {
      const references = counts.get(cluster);
      if (block instanceof Error) {
        walk.report(`Can't get refcount for cluster ${cluster}: ${asBlockError(block).strerror}`);
        result.checkErrors++;
        continue;
      }
      const refcount = block ? getRefcount(block.view, refcounts.bits, cluster - start) : 0;
      if (refcount > 0 || references > 0) highest = cluster;
      if (refcount !== references) compareOne(walk, cluster, refcount, references);
    }
  }
  result.imageEndOffset = (highest + 1) * clusterSize;
}

function compareOne(walk: ReferenceWalk, cluster: number, refcount: number, references: number): void {
  if (refcount < references) {
    walk.corrupt(`ERROR cluster ${cluster} refcount=${refcount} reference=${references}`);
    return;
  }
  walk.report(`Leaked cluster ${cluster} refcount=${refcount} reference=${references}`);
  walk.result.leaks++;
}

/** A refcount block, or why it cannot be read. */
function blockOrError(walk: ReferenceWalk, index: number): MaybePromise<Table | Error | undefined> {
  try {
    const block = walk.image.refcounts.block(index);
    return isPromise(block) ? block.catch(asBlockError) : block;
  } catch (error) {
    return asBlockError(error);
  }
}

/** Refcount of the cluster at an offset; undefined if it cannot be told. */
function refcountAt(image: Qcow2Image, offset: number): MaybePromise<number | undefined> {
  try {
    const count = image.refcounts.get(Math.floor(offset / image.geometry.clusterSize));
    return isPromise(count) ? count.catch(() => undefined) : count;
  } catch {
    return undefined;
  }
}

/** Lines that tables with several references may give again; beyond, they are only counted. */
const REPEATED_LINES = 1000000;

/** Checks that the COPIED flags of the active tables say exactly which clusters have a refcount of one. */
export async function checkCopied(walk: ReferenceWalk): Promise<void> {
  const { image } = walk;
  const l1 = await image.l1.view();
  /** Lines that each table gave. */
  const known = new Map<number, number>();
  let repeated = 0;
  for (let index = 0; index < image.l1.entries; index++) {
    const l2Offset = entryOffset(l1, index * 8);
    if (l2Offset === 0) continue;
    const found = refcountAt(image, l2Offset);
    const refcount = isPromise(found) ? await found : found;
    if (refcount === undefined) continue;
    if ((refcount === 1) !== isCopied(l1, index * 8)) {
      const entry = hexHalves(l1.getUint32(index * 8), l1.getUint32(index * 8 + 4));
      walk.corrupt(`ERROR OFLAG_COPIED L2 cluster: l1_index=${index} l1_entry=${entry} refcount=${refcount}`);
    }
    const hole = walk.l2.isHole(l2Offset);
    if (isPromise(hole) ? await hole : hole) continue;
    const lines = known.get(l2Offset);
    if (lines !== undefined) {
      repeated += lines;
      if (lines > 0 && repeated > REPEATED_LINES) walk.result.corruptions += lines;
      if (lines === 0 || repeated > REPEATED_LINES) continue;
    }
    const before = walk.result.corruptions;
    await checkCopiedL2(walk, l2Offset);
    known.set(l2Offset, walk.result.corruptions - before);
  }
}

async function checkCopiedL2(walk: ReferenceWalk, l2Offset: number): Promise<void> {
  const { image } = walk;
  const { entrySize, clusterSize, external } = image.geometry;
  const bytes = new Uint8Array(clusterSize);
  await image.file.readPadded(l2Offset, bytes);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += entrySize) {
    const high = view.getUint32(at);
    if ((high & COMPRESSED_HIGH) !== 0) continue;
    const offset = entryOffset(view, at);
    if (offset === 0) continue;
    const found = external ? 1 : refcountAt(image, offset);
    const refcount = isPromise(found) ? await found : found;
    if (refcount === undefined || (refcount === 1) === isCopied(view, at)) continue;
    walk.corrupt(
      `ERROR OFLAG_COPIED data cluster: l2_entry=${hexHalves(high, view.getUint32(at + 4))} refcount=${refcount}`,
    );
  }
}
