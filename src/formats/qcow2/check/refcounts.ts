/**
 * The passes of a check: refcount blocks are counted, references compared with the refcounts, and COPIED flags looked
 * at. Each of them can repair what it finds.
 */
import { isPromise, type MaybePromise } from '../../../base/async.ts';
import { asBlockError, invalidArgument } from '../../../base/error.ts';
import { Breath } from '../../../base/inflight.ts';
import { divideUp } from '../../../base/offset.ts';
import { isZero } from '../../../base/zero.ts';
import type { RepairMode } from '../../../block/capabilities.ts';
import { Table } from '../../../block/kit/cache.ts';
import { entryOffset, isCopied } from '../structure/geometry.ts';
import type { Qcow2State } from '../state.ts';
import { COMPRESSED_HIGH, COPIED_HIGH } from '../structure/layout.ts';
import { getRefcount, refcountText, setRefcount } from '../structure/refcountEntry.ts';
import { hexHalves } from '../structure/hex.ts';
import type { ReferenceWalk } from './references.ts';
import type { TableReader } from './tableReader.ts';

/** Refcount blocks that are compared before other events are let in: some milliseconds. */
const BLOCKS = 64;

/** Counts the refcount blocks. Where all is to be repaired, blocks beyond the end of the file are taken into it. */
export async function walkRefblocks(walk: ReferenceWalk): Promise<void> {
  const { image } = walk;
  const { clusterSize } = image.geometry;
  const table = await image.refcounts.table();
  for (let index = 0; index * 8 < table.byteLength; index++) {
    const low = table.getUint32(index * 8 + 4);
    if (low === 0 && table.getUint32(index * 8) === 0) continue;
    const offset = table.getUint32(index * 8) * 4294967296 + ((low & 0xfffffe00) >>> 0);
    if ((low & 0x1ff) !== 0) {
      walk.corrupt(`ERROR refcount table entry ${index} has reserved bits set`);
      walk.mustRebuild = true;
    } else if (low % clusterSize !== 0) {
      walk.corrupt(`ERROR refcount block ${index} is not cluster aligned; refcount table entry corrupted`);
      walk.mustRebuild = true;
    } else if (offset < image.file.size() || (await takeIn(walk, index, offset))) {
      walk.count(offset, clusterSize);
      const references = walk.counts.get(offset / clusterSize);
      if (references === 1) continue;
      walk.corrupt(`ERROR refcount block ${index} refcount=${references}`);
      walk.mustRebuild = true;
    }
  }
}

/** Makes the file reach over a refcount block; false if that is not to be done, or cannot be. */
async function takeIn(walk: ReferenceWalk, index: number, offset: number): Promise<boolean> {
  if (walk.repair !== 'all') {
    walk.corrupt(`ERROR refcount block ${index} is outside image`);
    return false;
  }
  const { file, geometry } = walk.image;
  walk.report(`Repairing refcount block ${index} is outside image`);
  try {
    if (offset + geometry.clusterSize >= 2 ** 63) throw invalidArgument('Invalid argument');
    await file.truncate(offset + geometry.clusterSize);
  } catch (thrown) {
    const error = asBlockError(thrown);
    if (error.kind !== 'invalid-argument') walk.report(error.message, { severity: 'error' });
    walk.corrupt(`ERROR could not resize image: ${error.strerror}`);
    walk.mustRebuild = true;
    return false;
  }
  walk.result.corruptionsFixed++;
  return true;
}

/**
 * Compares every cluster's refcount with the references that were counted.
 * @param repair what is put right: leaks, or all but refcounts that are zero.
 */
export async function compareCounts(walk: ReferenceWalk, repair: RepairMode = 'none'): Promise<void> {
  const { image, counts, result } = walk;
  const { refcounts } = image;
  const { clusterSize } = image.geometry;
  const table = await refcounts.table();
  const described = (table.byteLength / 8) * refcounts.perBlock;
  const end = Math.max(counts.end, Math.min(divideUp(image.file.size(), clusterSize), described));
  const breath = new Breath(BLOCKS, image.services, undefined);
  let highest = 0;
  for (let start = 0; start < end; start += refcounts.perBlock) {
    if (start >= described) {
      // No blocks any more: only what is referenced counts.
      const next = counts.skipEmpty(start);
      start = Math.max(start, next - (next % refcounts.perBlock));
      if (start >= end) break;
    }
    const stop = Math.min(end, start + refcounts.perBlock);
    const rest = breath.step();
    if (rest) await rest;
    const found = blockOrError(walk, start / refcounts.perBlock);
    const block = isPromise(found) ? await found : found;
    const counted = counts.skipEmpty(start) < stop;
    if (!counted && (block === undefined || (!(block instanceof Error) && isZero(block.bytes)))) continue;
    if (block instanceof Table && counts.equals(start, stop, block.view, refcounts.bits)) {
      highest = counts.lastOf(start, stop) ?? highest;
      continue;
    }
    for (let cluster = start; cluster < stop; cluster++) {
      const references = counts.get(cluster);
      if (block instanceof Error) {
        walk.report(`Can't get refcount for cluster ${cluster}: ${asBlockError(block).strerror}`);
        result.checkErrors++;
        continue;
      }
      const refcount = block ? getRefcount(block.view, refcounts.bits, cluster - start) : 0;
      if (refcount > 0 || references > 0) highest = cluster;
      if (refcount === references) continue;
      const mended = compareOne(walk, cluster, block, repair);
      if (!mended || !block) continue;
      refcounts.cache.markDirty(block);
      if (references === 0) walk.lowering.free(cluster);
    }
  }
  result.imageEndOffset = (highest + 1) * clusterSize;
}

/** Reports a refcount that is not that of the references; true if it was put right in its block. */
function compareOne(walk: ReferenceWalk, cluster: number, block: Table | undefined, repair: RepairMode): boolean {
  const { refcounts } = walk.image;
  const index = cluster % refcounts.perBlock;
  const references = walk.counts.get(cluster);
  const refcount = block ? getRefcount(block.view, refcounts.bits, index) : 0;
  const values = `cluster ${cluster} refcount=${block ? refcountText(block.view, refcounts.bits, index) : '0'} reference=${references}`;
  const leaked = refcount > references;
  const mend = repair === 'all' || (repair === 'leaks' && leaked);
  if (!mend || !block) {
    if (refcount === 0) walk.mustRebuild = true;
    walk.report(`${leaked ? 'Leaked' : 'ERROR'} ${values}`);
    walk.result[leaked ? 'leaks' : 'corruptions']++;
    return false;
  }
  walk.report(`Repairing ${values}`);
  setRefcount(block.view, refcounts.bits, index, references);
  walk.result[leaked ? 'leaksFixed' : 'corruptionsFixed']++;
  return true;
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
function refcountAt(image: Qcow2State, offset: number): MaybePromise<number | undefined> {
  try {
    const count = image.refcounts.get(Math.floor(offset / image.geometry.clusterSize));
    return isPromise(count) ? count.catch(() => undefined) : count;
  } catch {
    return undefined;
  }
}

/** Lines that tables with several references may give again; beyond, they are only counted. */
const REPEATED_LINES = 1000000;

/**
 * Checks that the COPIED flags of the active tables say exactly which clusters have a refcount of one.
 * @param sound nothing was found: the refcounts are the references that were counted.
 * @param repair puts them right.
 */
export async function checkCopied(walk: ReferenceWalk, sound: boolean, repair: boolean): Promise<void> {
  // Each flag is set, and each cluster has one reference: there is no need to look at them again.
  if (sound && !walk.uncopied && !walk.l2.uncopied && !walk.counts.sharing) return;
  try {
    await checkCopiedL1(walk, sound, repair);
  } finally {
    // What was put right stays so, also where a later table cannot be written.
    await walk.image.l1.flush();
  }
}

async function checkCopiedL1(walk: ReferenceWalk, sound: boolean, repair: boolean): Promise<void> {
  const { image } = walk;
  const l1 = await image.l1.view();
  const offsets = new Float64Array(image.l1.entries);
  for (let index = 0; index < offsets.length; index++) offsets[index] = entryOffset(l1, index * 8);
  /** Lines that each table gave. */
  const known: KnownTables = { lines: new Map<number, number>(), repeated: 0 };
  const reader = walk.l2.reader(offsets, (offset) => known.lines.get(offset) === 0);
  try {
    for (let index = 0; index < offsets.length; index++) {
      const l2Offset = offsets[index] as number;
      if (l2Offset === 0) continue;
      const found = refcountAt(image, l2Offset);
      const refcount = isPromise(found) ? await found : found;
      if (refcount === undefined) continue;
      if ((refcount === 1) !== isCopied(l1, index * 8)) await flagL1Entry(walk, l1, index, repair);
      if (isSettled(walk, known, l2Offset)) continue;
      const table = reader.table(index);
      const bytes = isPromise(table) ? await table : table;
      if (!bytes) continue;
      const before = walk.result.corruptions;
      await checkCopiedL2(walk, { offset: l2Offset, bytes, reader }, sound, repair);
      known.lines.set(l2Offset, walk.result.corruptions - before);
    }
  } finally {
    await reader.settle();
  }
}

/** Tables whose flags were looked at. */
interface KnownTables {
  /** Lines that each table gave, by its offset. */
  readonly lines: Map<number, number>;
  /** Lines that tables with several references gave again. */
  repeated: number;
}

/** True if a table need not be looked at again: it gives no lines, or too many. */
function isSettled(walk: ReferenceWalk, known: KnownTables, l2Offset: number): boolean {
  const lines = known.lines.get(l2Offset);
  if (lines === undefined) return false;
  known.repeated += lines;
  if (lines > 0 && known.repeated > REPEATED_LINES) walk.result.corruptions += lines;
  return lines === 0 || known.repeated > REPEATED_LINES;
}

/** Reports the flag of an L1 entry, and puts it right. */
async function flagL1Entry(walk: ReferenceWalk, l1: DataView, index: number, repair: boolean): Promise<void> {
  const { image } = walk;
  const entry = hexHalves(l1.getUint32(index * 8), l1.getUint32(index * 8 + 4));
  const shown = await image.refcounts.text(Math.floor(entryOffset(l1, index * 8) / image.geometry.clusterSize));
  flagFinding(walk, repair, `OFLAG_COPIED L2 cluster: l1_index=${index} l1_entry=${entry} refcount=${shown}`);
  if (!repair) return;
  await walk.guard.check(image.header.l1Offset + index * 8, 8, 'active L1 table');
  toggleCopied(l1, index * 8);
  image.l1.markDirty(index);
}

function flagFinding(walk: ReferenceWalk, repair: boolean, text: string): void {
  walk.report(`${repair ? 'Repairing' : 'ERROR'} ${text}`);
  walk.result[repair ? 'corruptionsFixed' : 'corruptions']++;
}

function toggleCopied(view: DataView, at: number): void {
  view.setUint32(at, (view.getUint32(at) ^ COPIED_HIGH) >>> 0);
}

/** An L2 table that is looked at. */
interface ReadTable {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly reader: TableReader;
}

async function checkCopiedL2(walk: ReferenceWalk, table: ReadTable, sound: boolean, repair: boolean): Promise<void> {
  const { image, counts } = walk;
  const { entrySize, clusterSize, external } = image.geometry;
  const { bytes } = table;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let changed = false;
  for (let at = 0; at < bytes.length; at += entrySize) {
    const high = view.getUint32(at);
    if ((high & COMPRESSED_HIGH) !== 0) continue;
    const offset = entryOffset(view, at);
    if (offset === 0) continue;
    if (sound && !external && (counts.get(offset / clusterSize) === 1) === isCopied(view, at)) continue;
    const found = external ? 1 : refcountAt(image, offset);
    const refcount = isPromise(found) ? await found : found;
    if (refcount === undefined || (refcount === 1) === isCopied(view, at)) continue;
    const entry = hexHalves(high, view.getUint32(at + 4));
    const shown = external ? '1' : await image.refcounts.text(Math.floor(offset / clusterSize));
    flagFinding(walk, repair, `OFLAG_COPIED data cluster: l2_entry=${entry} refcount=${shown}`);
    toggleCopied(view, at);
    changed = true;
  }
  if (!repair || !changed) return;
  await walk.guard.check(table.offset, clusterSize, 'active L2 table', () =>
    walk.report('ERROR: Could not write L2 table; metadata overlap check failed: Input/output error'),
  );
  await image.file.write(table.offset, bytes.slice());
  await table.reader.forget();
}
