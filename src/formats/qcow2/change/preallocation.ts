/** Allocating guest clusters without data, and recognising images that were made so. */
import { withPrefix } from '../../../base/error.ts';
import { alignDown, alignUp, divideUp } from '../../../base/offset.ts';
import type { Preallocation } from '../../../storage/storage.ts';
import { entryOffset, ownsHost, setEntry } from '../structure/geometry.ts';
import type { Qcow2State } from '../state.ts';
import { COMPRESSED_HIGH } from '../structure/layout.ts';
import type { Refcounts } from '../clusters/refcount.ts';
import { getRefcount } from '../structure/refcountEntry.ts';
import { entryPosition, writableL2 } from '../guest/write.ts';

/** Clusters allocated at a time. */
const PIECE = 65536;
/** Refcount blocks that are looked at to recognise preallocated metadata. */
const MAX_BLOCKS = 4096;

/**
 * Allocates the unallocated guest clusters of a range. With subclusters they stay marked as unallocated, so that a
 * backing image still shows through.
 * @param mode how the space itself is reserved; `metadata` leaves it to the file system.
 */
export async function preallocate(image: Qcow2State, start: number, end: number, mode: Preallocation): Promise<void> {
  const { clusterSize, external } = image.geometry;
  // The cluster that the old end lies in may show what is in the backing image, unless its parts are on their own.
  const shows = image.header.backingFile !== undefined && !image.geometry.extended;
  const first = shows ? alignUp(start, clusterSize) : alignDown(start, clusterSize);
  for (let guest = first; guest < end; ) guest += (await allocateRun(image, guest, end, mode)) * clusterSize;
  if (!external) return reachEnd(image, end);
  // The last cluster is there as a whole.
  const dataEnd = alignUp(end, clusterSize);
  if (mode === 'falloc' || mode === 'full') await reserve(image, start, dataEnd, mode);
  else if (image.data.size() < dataEnd) await image.data.truncate(dataEnd);
}

/** Makes the file reach over a last cluster that was there before, but not all of it. */
async function reachEnd(image: Qcow2State, end: number): Promise<void> {
  const { geometry, file } = image;
  if (!geometry.extended || end === 0) return;
  const guest = alignDown(end - 1, geometry.clusterSize);
  const { view } = await writableL2(image, guest);
  const at = entryPosition(image, guest);
  if ((view.getUint32(at) & COMPRESSED_HIGH) !== 0 || !ownsHost(geometry, view, at)) return;
  const wanted = entryOffset(view, at) + alignUp(end - guest, geometry.subclusterSize);
  if (file.size() < wanted) await file.truncate(wanted);
}

async function reserve(image: Qcow2State, start: number, end: number, mode: Preallocation): Promise<void> {
  // The area has to be new for the storage to reserve it.
  await image.data.truncate(start);
  await image.data.truncate(end, mode);
}

/** Allocates clusters from `guest` on within one L2 table; returns how many were passed. */
async function allocateRun(image: Qcow2State, guest: number, end: number, mode: Preallocation): Promise<number> {
  const { clusterSize, l2Coverage, external } = image.geometry;
  const stop = Math.min(end, alignDown(guest, l2Coverage) + l2Coverage);
  const wanted = Math.min(PIECE, divideUp(stop - guest, clusterSize));
  let table = await writableL2(image, guest);
  const isFree = (cluster: number): boolean => {
    const at = entryPosition(image, guest + cluster * clusterSize);
    return table.view.getUint32(at) === 0 && table.view.getUint32(at + 4) === 0;
  };
  const free = isFree(0);
  let count = 1;
  while (count < wanted && isFree(count) === free) count++;
  if (!free) return count;
  // Only where the parts of a cluster are on their own the file may end within one.
  const bytes = count * clusterSize;
  const used = Math.min(bytes, alignUp(end - guest, image.geometry.subclusterSize));
  const host = external ? guest : await allocateZeroed(image, count, mode, used);
  table = await writableL2(image, guest);
  for (let i = 0; i < count; i++) {
    const at = entryPosition(image, guest + i * clusterSize);
    // Subclusters that read as zeroes go on to do so.
    setEntry(table.view, at, host + i * clusterSize, true);
  }
  image.l2.markDirty(table);
  return count;
}

/** New clusters that read as zeroes. */
async function allocateZeroed(image: Qcow2State, count: number, mode: Preallocation, used: number): Promise<number> {
  return makeZero(image, await image.allocator.allocate(count), count, mode, used);
}

/** Takes a run of free clusters, which has its refcount blocks, and makes it read as zeroes. Gives its offset. */
export async function claim(image: Qcow2State, first: number, count: number, mode: Preallocation): Promise<number> {
  const { clusterSize } = image.geometry;
  await image.allocator.take(first, count);
  return makeZero(image, first * clusterSize, count, mode, count * clusterSize);
}

/**
 * The file reaches over new clusters before anything refers to them: if it cannot, they are given back, and the image
 * stays sound.
 * @param used bytes that the file has to reach over.
 * @returns `host`, the offset of the clusters.
 */
async function makeZero(
  image: Qcow2State,
  host: number,
  count: number,
  mode: Preallocation,
  used: number,
): Promise<number> {
  const { file } = image;
  const size = file.size();
  const end = host + count * image.geometry.clusterSize;
  try {
    // Those that were in use before may still hold what they held then.
    if (host < size) await file.writeZeroes(host, Math.min(size, end) - host, { unmap: false });
    if (host + used > file.size()) {
      await withPrefix(mode === 'metadata' ? '' : 'Failed to resize underlying file: ', async () =>
        file.truncate(host + used, mode === 'metadata' ? 'off' : mode),
      );
    }
  } catch (error) {
    await image.allocator.giveBack(host, count);
    throw error;
  }
  return host;
}

/**
 * True if guest clusters are allocated that the file system holds no data for: then holes of the file mean zeroes.
 * More than a tenth of the clusters in use have to be holes.
 */
export async function metadataOnly(image: Qcow2State): Promise<boolean> {
  const { clusterSize } = image.geometry;
  const size = image.file.size();
  const stored = await image.file.allocatedSize();
  if (stored === undefined || stored >= size) return false;
  const { refcounts } = image;
  const clusters = divideUp(size, clusterSize);
  // A look that nobody asked for does not mark an image as corrupt.
  if (!image.readOnly && !(await refcounts.isAligned())) return false;
  if (clusters > MAX_BLOCKS * refcounts.perBlock) return false;
  // Observed: a tenth of the clusters, and at least two.
  const full = Math.floor(stored / clusterSize);
  const enough = Math.max(Math.floor((full * 10) / 9), full + 2);
  if (clusters < enough) return false;
  try {
    return await areUsed(refcounts, clusters, enough);
  } catch {
    return false;
  }
}

/** True if `enough` of the first clusters are in use; not looked further then. */
async function areUsed(refcounts: Refcounts, clusters: number, enough: number): Promise<boolean> {
  let used = 0;
  for (let first = 0; first < clusters && used < enough; first += refcounts.perBlock) {
    const block = await refcounts.block(first / refcounts.perBlock);
    const count = Math.min(refcounts.perBlock, clusters - first);
    if (block) for (let i = 0; i < count; i++) if (getRefcount(block.view, refcounts.bits, i) !== 0) used++;
  }
  return used >= enough;
}
