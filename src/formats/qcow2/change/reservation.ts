/**
 * Growing by space that is reserved in the file system (`falloc`, `full`). As in the real tool, all of it is one run
 * behind everything in use, and the refcount table moves in front of it, with the blocks that the run needs.
 */
import { alignDown, divideUp } from '../../../base/offset.ts';
import type { Table } from '../../../block/kit/cache.ts';
import { type Preallocation, readAt } from '../../../storage/storage.ts';
import { moveTable } from '../clusters/refcountTable.ts';
import { flushImage } from '../flush.ts';
import { entryOffset, ownsHost, setEntry } from '../structure/geometry.ts';
import type { Qcow2State } from '../state.ts';
import { COMPRESSED_HIGH, ZERO_LOW } from '../structure/layout.ts';
import { claim } from './preallocation.ts';
import { usedClusters } from './shrink.ts';
import { entryPosition, releaseOld, writableL2 } from '../guest/write.ts';

/**
 * Gives every cluster from the one that `start` lies in up to `end` a place in one new run. What the first of them held
 * moves along; where only a backing image knows what that is, or it is compressed, it stays as it is.
 * @param start the guest size in bytes before the growth.
 */
export async function reserve(image: Qcow2State, start: number, end: number, mode: Preallocation): Promise<void> {
  const { clusterSize, l2Coverage, l2Entries } = image.geometry;
  await flushImage(image);
  const first = alignDown(start, clusterSize);
  const count = divideUp(end - first, clusterSize);
  const place = await moveTable(image, await usedClusters(image), count + divideUp(count, l2Entries));
  // The first new L2 tables take the places of the old table, as in the real tool.
  await flushImage(image);
  const host = await claim(image, place, count, mode);
  for (let guest = first; guest < end; ) {
    const stop = Math.min(end, alignDown(guest, l2Coverage) + l2Coverage);
    if (image.allocator.shouldApply) await flushImage(image);
    const table = await writableL2(image, guest);
    for (let at = guest; at < stop; at += clusterSize) {
      const moved = at < start ? await move(image, table, at, host) : true;
      if (moved) refer(image, table, at, host + (at - first));
      else await image.allocator.giveBack(host, 1);
    }
    image.l2.markDirty(table);
    guest = stop;
  }
}

/** Makes an entry refer to a cluster of its own; what its subclusters are stays so. */
function refer(image: Qcow2State, table: Table, guest: number, host: number): void {
  const at = entryPosition(image, guest);
  releaseOld(image, table, at, host);
  setEntry(table.view, at, host, true);
}

/** Copies what a guest cluster holds to a new place, which reads as zeroes; false if it cannot be told here. */
async function move(image: Qcow2State, table: Table, guest: number, host: number): Promise<boolean> {
  const { geometry, header, cipher } = image;
  const { view } = table;
  const at = entryPosition(image, guest);
  if ((view.getUint32(at) & COMPRESSED_HIGH) !== 0) return false;
  const owned = ownsHost(geometry, view, at);
  const zero = !geometry.extended && (view.getUint32(at + 4) & ZERO_LOW) !== 0;
  if (!owned && !zero && !geometry.extended && header.backingFile !== undefined) return false;
  if (!owned || zero) return true;
  const old = entryOffset(view, at);
  // Damage that reading and writing tell of.
  if (old % geometry.clusterSize !== 0) return false;
  const bytes = await readAt(image.file, old, geometry.clusterSize);
  if (header.cryptMethod !== 0) {
    await cipher?.decrypt(bytes, old, guest);
    await cipher?.encrypt(bytes, host, guest);
  }
  await image.file.write(host, bytes);
  return true;
}
