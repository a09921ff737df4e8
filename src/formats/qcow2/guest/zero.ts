/** Making guest clusters read as zeroes, or giving them up. */
import { alignDown } from '../../../base/offset.ts';
import type { Table } from '../../../block/kit/cache.ts';
import type { ZeroFlags } from '../../../storage/storage.ts';
import { flushImage } from '../flush.ts';
import { entryOffset, ownsHost, setEntry } from '../structure/geometry.ts';
import type { Qcow2State } from '../state.ts';
import { COMPRESSED_HIGH, SUBCLUSTERS, ZERO_LOW } from '../structure/layout.ts';
import { entryPosition, link, releaseOld, writableL2 } from './write.ts';

/**
 * What becomes of a cluster.
 * - `keep`: reads as zeroes, its space stays.
 * - `zero`: reads as zeroes, its space is given up.
 * - `discard`: the same, but what is not allocated and hides nothing stays as it is.
 * - `drop`: unallocated; the backing image shows through.
 */
export type ClearMode = 'keep' | 'zero' | 'discard' | 'drop';

/** True if zeroes can be recorded: version 3, or there is no backing image to hide. */
export function canRecordZeroes(image: Qcow2State): boolean {
  return image.header.version >= 3 || image.header.backingFile === undefined;
}

/** Makes whole clusters or subclusters (or up to the end of the image) read as zeroes. */
export async function writeZeroes(image: Qcow2State, offset: number, length: number, flags: ZeroFlags): Promise<void> {
  if (image.rawData) return zeroRawData(image, offset, length, flags);
  await clear(image, offset, length, flags.unmap ? 'zero' : 'keep');
}

/** Gives up whole clusters (or up to the end of the image). */
export async function discard(image: Qcow2State, offset: number, length: number): Promise<void> {
  if (!canRecordZeroes(image)) return;
  if (image.rawData) return zeroRawData(image, offset, length, { unmap: true });
  await clear(image, offset, length, 'discard');
  if (image.geometry.external && image.discardFreed) {
    await image.data.discard(offset, Math.max(0, Math.min(length, image.data.size() - offset)));
  }
}

/** The data file shows the guest's view by itself: zeroes go there, and every cluster refers to its place. */
async function zeroRawData(image: Qcow2State, offset: number, length: number, flags: ZeroFlags): Promise<void> {
  const { clusterSize, l2Coverage } = image.geometry;
  await image.markDirty(offset, length);
  await image.data.writeZeroes(offset, length, flags);
  const end = offset + length;
  for (let at = alignDown(offset, clusterSize); at < end; ) {
    const stop = Math.min(end, alignDown(at, l2Coverage) + l2Coverage);
    await link(image, at, stop - at, at);
    at = stop;
  }
}

/** Changes the entries of a guest range; see {@link ClearMode}. */
export async function clear(image: Qcow2State, offset: number, length: number, mode: ClearMode): Promise<void> {
  if (length <= 0) return;
  await image.markDirty(offset, length);
  const { clusterSize, l2Coverage } = image.geometry;
  const end = offset + length;
  const hides = image.header.backingFile !== undefined;
  const l1 = await image.l1.view();
  for (let at = alignDown(offset, clusterSize); at < end; ) {
    const index = Math.floor(at / l2Coverage);
    const stop = Math.min(end, (index + 1) * l2Coverage);
    const absent = entryOffset(l1, index * 8) === 0;
    const nothingToDo = mode === 'drop' || image.header.version < 3 || (mode === 'discard' && !hides);
    if (!absent || !nothingToDo) {
      if (image.allocator.shouldApply) await flushImage(image);
      const table = await writableL2(image, at);
      let changed = false;
      for (let guest = at; guest < stop; guest += clusterSize) {
        const position = entryPosition(image, guest);
        const whole = mode === 'drop' || mode === 'discard' || end >= image.header.virtualSize;
        const part = partOf(image, offset - guest, whole ? clusterSize : end - guest);
        if (part ? clearPart(table, position, part) : clearEntry(image, table, position, mode, hides)) changed = true;
      }
      if (changed) image.l2.markDirty(table);
    }
    at = stop;
  }
}

/** The subclusters of a byte range of a cluster, one bit each; undefined for all of it. */
function partOf({ geometry }: Qcow2State, from: number, to: number): number | undefined {
  const { extended, clusterSize, subclusterSize } = geometry;
  if (!extended) return undefined;
  const first = Math.max(0, Math.floor(from / subclusterSize));
  const count = Math.ceil(Math.min(to, clusterSize) / subclusterSize) - first;
  return count >= SUBCLUSTERS ? undefined : ((2 ** count - 1) << first) >>> 0;
}

/** Makes some subclusters read as zeroes; the cluster's space stays. */
function clearPart({ view }: Table, at: number, part: number): boolean {
  const [zero, data] = [view.getUint32(at + 8), view.getUint32(at + 12)];
  if ((zero & part) >>> 0 === part && (data & part) === 0) return false;
  view.setUint32(at + 8, (zero | part) >>> 0);
  view.setUint32(at + 12, (data & ~part) >>> 0);
  return true;
}

/** Changes one entry; false if it is already as wanted. */
function clearEntry(image: Qcow2State, table: Table, at: number, mode: ClearMode, hides: boolean): boolean {
  const { geometry } = image;
  const { view } = table;
  const compressed = (view.getUint32(at) & COMPRESSED_HIGH) !== 0;
  const owned = ownsHost(geometry, view, at);
  const zeroBefore = geometry.extended ? view.getUint32(at + 8) : view.getUint32(at + 4) & ZERO_LOW;
  if (mode === 'discard' && !compressed && !owned && zeroBefore === 0 && !hides) return false;
  const zero = mode !== 'drop' && image.header.version >= 3;
  const keepHost = zero && mode === 'keep' && owned;
  if (keepHost && !geometry.extended) {
    if (zeroBefore) return false;
    view.setUint32(at + 4, view.getUint32(at + 4) + ZERO_LOW);
    return true;
  }
  const zeroWanted = zero ? (geometry.extended ? 0xffffffff : ZERO_LOW) : 0;
  const unallocated = !compressed && !owned;
  if (unallocated && zeroBefore === zeroWanted) return false;
  if (!keepHost) {
    releaseOld(image, table, at, undefined);
    setEntry(view, at, 0, false);
    if (!geometry.extended && zero) view.setUint32(at + 4, ZERO_LOW);
  }
  if (geometry.extended) {
    view.setUint32(at + 8, zeroWanted);
    view.setUint32(at + 12, 0);
  }
  return true;
}
