/** What is left to do when an image has grown: the new area reads as zeroes, whatever the backing image holds there. */
import type { MaybePromise } from '../../base/async.ts';
import { withStrerror } from '../../base/error.ts';
import { alignDown, alignUp, MiB } from '../../base/offset.ts';
import type { Preallocation, Storage } from '../../storage/storage.ts';
import type { Mapping } from '../mapping.ts';

/** What is asked of an image that has grown; a node is one. */
interface Grown extends Pick<Storage, 'size' | 'limits' | 'read' | 'write' | 'writeZeroes' | 'status' | 'flush'> {
  readonly allocationUnit: number | undefined;
  /** The backing image, if it is open. */
  readonly backing: object | undefined;
  map(offset: number, length: number): MaybePromise<Mapping>;
}

/** A growth that the driver has made. */
export interface Growth {
  /** Guest size in bytes before. */
  readonly before: number;
  readonly preallocation: Preallocation;
  /** The backing image reaches into the new area. */
  readonly covered: boolean;
}

/**
 * Makes the new area of an image read as zeroes.
 * @param undo sets the old size again: called where that fails, so that nobody sees what the backing image holds there.
 */
export async function finishGrowth(node: Grown, growth: Growth, undo: () => MaybePromise<void>): Promise<void> {
  try {
    await withStrerror('Failed to zero out the new area', () => hideBelow(node, growth));
    if (growth.covered) await node.flush();
  } catch (error) {
    try {
      await undo();
    } catch {
      // The failure that led here is the one to report. Formats that cannot shrink keep the new size.
    }
    throw error;
  }
}

async function hideBelow(node: Grown, { before, preallocation, covered }: Growth): Promise<void> {
  if (preallocation !== 'off') await completeUnit(node, before);
  const reserved = preallocation === 'falloc' || preallocation === 'full';
  // A backing image that reaches into the new area is hidden in all of it, as it could grow one day.
  if (covered && !reserved) {
    return node.writeZeroes(before, node.size() - before, { unmap: preallocation === 'off' });
  }
  const unit = node.allocationUnit ?? 1;
  // The old last unit may hold bytes from before the image was shrunk.
  const tail = before % unit === 0 ? before : Math.min(node.size(), alignUp(before, unit));
  if (covered) return overwrite(node, before, tail);
  if (await isHole(node, before, tail)) return;
  await node.writeZeroes(before, tail - before, { unmap: true });
}

/** Stores a unit that ends at `end` and comes from the backing image, unless its parts can be stored on their own. */
async function completeUnit(node: Grown, end: number): Promise<void> {
  const { allocationUnit: unit = 1, limits } = node;
  const start = alignDown(end, unit);
  if (!node.backing || start === end || (limits?.writeZeroesAlignment ?? unit) < unit) return;
  if ((await node.map(start, end - start)).kind !== 'unallocated') return;
  const bytes = new Uint8Array(end - start);
  await node.read(start, bytes);
  await node.write(start, bytes);
}

/** Stores zeroes from `start` to `tail`, and behind that where the backing image still shows through. */
async function overwrite(node: Grown, start: number, tail: number): Promise<void> {
  await node.write(start, new Uint8Array(tail - start));
  for (let at = tail; at < node.size(); ) {
    const { kind, length } = await node.map(at, Math.min(MiB, node.size() - at));
    if (kind === 'unallocated') await node.write(at, new Uint8Array(length));
    at += length;
  }
}

/** True if a range is known to read as zeroes without reading it. */
export async function isHole(image: Pick<Storage, 'status'>, start: number, end: number): Promise<boolean> {
  for (let at = start; at < end; ) {
    const extent = await image.status(at, end - at);
    if (extent.kind !== 'hole') return false;
    at += extent.length;
  }
  return true;
}
