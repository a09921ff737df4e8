/** Changing the guest-visible size. */
import { asBlockError, BlockError, invalidArgument, unsupported, withStrerror } from '../../../base/error.ts';
import { alignDown, alignUp, divideUp } from '../../../base/offset.ts';
import type { Preallocation } from '../../../storage/storage.ts';
import { flushImage } from '../flush.ts';
import { l1EntriesFor } from '../structure/header.ts';
import type { Qcow2State } from '../state.ts';
import { MAX_L1_BYTES } from '../structure/layout.ts';
import { map } from '../guest/mapping.ts';
import { preallocate } from './preallocation.ts';
import { reserve } from './reservation.ts';
import { cutTail, dropTables } from './shrink.ts';
import { canRecordZeroes, clear, writeZeroes } from '../guest/zero.ts';

/**
 * Grows or shrinks the image to `size` bytes.
 * @param covered the backing image reaches into the new area.
 */
export async function resize(
  image: Qcow2State,
  size: number,
  preallocation: Preallocation,
  covered: boolean,
): Promise<void> {
  const { header } = image;
  const before = header.virtualSize;
  if (size % 512 !== 0) throw invalidArgument('The new size must be a multiple of 512');
  if (header.version < 3 && header.snapshotCount > 0) {
    throw unsupported("Can't resize a v2 image which has snapshots");
  }
  if (size < before) {
    if (preallocation !== 'off') {
      throw invalidArgument(`Preallocation can't be used for shrinking an image`);
    }
  } else {
    checkLength(image, size);
    if (covered) checkHiding(image, before, size, preallocation);
  }
  await image.bitmaps?.resize(size);
  try {
    if (size < before) await shrink(image, size);
    else await grow(image, before, size, preallocation, covered);
  } catch (error) {
    await image.bitmaps?.resize(header.virtualSize);
    throw error;
  }
}

/** Version 2 cannot hide a backing image but by data: space for that has to be asked for. */
function checkHiding(image: Qcow2State, before: number, size: number, preallocation: Preallocation): void {
  if (canRecordZeroes(image) || preallocation === 'falloc' || preallocation === 'full') return;
  if (alignUp(before, image.geometry.clusterSize) >= size) return;
  throw unsupported('Failed to zero out new clusters: Operation not supported');
}

/** Refuses sizes that no L1 table can describe. */
function checkLength(image: Qcow2State, size: number): void {
  if (l1EntriesFor(size, image.header) * 8 <= MAX_L1_BYTES) return;
  throw new BlockError('too-large', 'Failed to grow the L1 table: File too large');
}

async function shrink(image: Qcow2State, size: number): Promise<void> {
  const { header } = image;
  const before = header.virtualSize;
  const { clusterSize, l2Coverage, external } = image.geometry;
  // The smaller size first: whatever is interrupted later is only leaked. It is there even if nothing else can be stored.
  await recordSize(image, size);
  await flushImage(image);
  const first = alignUp(size, clusterSize);
  await withStrerror('Failed to discard cropped clusters', async () => {
    await clear(image, first, Math.min(before, alignUp(size, l2Coverage)) - first, 'drop');
    await dropTables(image, divideUp(size, l2Coverage));
    await flushImage(image);
  });
  if (external) {
    await image.data.truncate(size);
    return;
  }
  await cutTail(image);
}

async function grow(
  image: Qcow2State,
  before: number,
  size: number,
  preallocation: Preallocation,
  covered: boolean,
): Promise<void> {
  const { header } = image;
  const entries = l1EntriesFor(size, header);
  try {
    if (entries > header.l1Entries) await growL1(image, entries);
  } catch (thrown) {
    throw asBlockError(thrown).prepend('Failed to grow the L1 table: ');
  }
  if (image.geometry.external && preallocation === 'off' && image.data.size() < size) await image.data.truncate(size);
  if (preallocation !== 'off') {
    await clearOldEnd(image, before);
    const apart = preallocation !== 'metadata' && !image.geometry.external;
    await withStrerror('Allocating clusters failed', () =>
      (apart ? reserve : preallocate)(image, before, size, preallocation),
    );
  } else if (image.rawData) await preallocate(image, before, size, 'metadata');
  if (covered) await hideNewClusters(image, before, size, preallocation);
  await flushImage(image);
  await recordSize(image, size);
}

async function recordSize(image: Qcow2State, size: number): Promise<void> {
  image.file.debugEvent?.('flush_asked');
  await withStrerror('Failed to update the image size', () =>
    image.changeHeader((changed) => {
      changed.virtualSize = size;
    }),
  );
}

/** Zeroes the new clusters before they can be seen: what fails or is killed never shows what the backing image has there. */
async function hideNewClusters(
  image: Qcow2State,
  before: number,
  size: number,
  preallocation: Preallocation,
): Promise<void> {
  const start = alignUp(before, image.geometry.clusterSize);
  if (start >= size || preallocation === 'falloc' || preallocation === 'full' || !canRecordZeroes(image)) return;
  await withStrerror('Failed to zero out new clusters', async () => {
    await writeZeroes(image, start, size - start, { unmap: preallocation === 'off' });
    await flushImage(image);
  });
}

/** Puts a longer L1 table into new clusters; the header names it when it is on the disk. */
async function growL1(image: Qcow2State, entries: number): Promise<void> {
  const { header } = image;
  const { clusterSize } = image.geometry;
  await flushImage(image);
  const old = await image.l1.view();
  const bytes = new Uint8Array(entries * 8);
  bytes.set(new Uint8Array(old.buffer, 0, header.l1Entries * 8));
  image.file.debugEvent?.('l1_grow_alloc_table');
  const offset = await image.allocator.place(bytes, () => image.file.debugEvent?.('l1_grow_write_table'));
  image.file.debugEvent?.('l1_grow_activate_table');
  const { l1Offset, l1Entries } = header;
  await image.switchHeader(
    (changed) => {
      changed.l1Offset = offset;
      changed.l1Entries = entries;
    },
    () => image.l1.replace(offset, entries, bytes),
  );
  if (l1Offset === 0) return;
  image.allocator.release(l1Offset / clusterSize, divideUp(l1Entries * 8, clusterSize));
  // The first new L2 table takes the old place, as in the real tool.
  await flushImage(image);
}

/**
 * Preallocation makes the cluster that the old end lies in refer to its place in an external data file. What was
 * discarded there may be anything, and has to read as zeroes.
 */
async function clearOldEnd(image: Qcow2State, before: number): Promise<void> {
  const { clusterSize, external } = image.geometry;
  const start = alignDown(before, clusterSize);
  const end = Math.min(before, image.data.size());
  if (!external || image.rawData || image.header.backingFile !== undefined) return;
  for (let at = start; at < end; ) {
    const { kind, length } = await map(image, at, end - at);
    if (kind === 'unallocated') await image.data.writeZeroes(at, length, { unmap: true });
    at += length;
  }
}
