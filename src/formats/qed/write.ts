/** Room for guest data, and zero clusters (specification, section "Write requests"). */
import { alignDown } from '../../base/offset.ts';
import type { Allocation } from '../../block/mapping.ts';
import type { ZeroFlags } from '../../storage/storage.ts';
import { entryOf, type QedState, setEntry, type Slot } from './state.ts';
import { type Run, runAt, ZERO_CLUSTER } from './mapping.ts';

/** The L2 table that covers a guest offset; 0 if there is none. */
async function tableOf(image: QedState, guest: number): Promise<number> {
  const offset = entryOf(await image.l1Slot(Math.floor(guest / image.l2Coverage)));
  if (offset !== 0) image.checkTable(offset);
  return offset;
}

/** The entry of a guest cluster in its L2 table. */
async function slotOf(image: QedState, table: number, guest: number): Promise<Slot> {
  return image.l2Slot(table, Math.floor((guest % image.l2Coverage) / image.header.clusterSize));
}

/** The run of clusters of one nature at a guest offset, within one L2 table. */
async function runFrom(image: QedState, guest: number, end: number): Promise<Run> {
  const { clusterSize } = image.header;
  const tableEnd = alignDown(guest, image.l2Coverage) + image.l2Coverage;
  const limit = Math.ceil((Math.min(end, tableEnd) - alignDown(guest, clusterSize)) / clusterSize);
  const table = await tableOf(image, guest);
  if (table === 0) return { kind: 'unallocated', count: limit, offset: 0 };
  return runAt(image, await slotOf(image, table, guest), limit);
}

/** Finds or makes room for guest bytes. */
export async function allocate(image: QedState, offset: number, length: number): Promise<Allocation> {
  const { clusterSize } = image.header;
  const run = await runFrom(image, offset, offset + length);
  const { file } = image;
  const inside = offset % clusterSize;
  if (run.kind === 'data') {
    const known = Math.min(length, run.count * clusterSize - inside);
    return { start: offset, length: known, storage: file, offset: run.offset + inside, fresh: false };
  }
  await image.beginChanges();
  const place = image.reserve(run.count);
  const start = offset - inside;
  return {
    start,
    length: run.count * clusterSize,
    storage: file,
    offset: place,
    fresh: true,
    zeroed: place >= file.size(),
    commit: () => link(image, start, run.count, (i) => place + i * clusterSize),
    abort: () => image.giveBack(place, run.count),
  };
}

/** Sets the entries of guest clusters in one L2 table, which is made if it is not there. */
async function link(image: QedState, guest: number, count: number, entry: (index: number) => number): Promise<void> {
  const { clusterSize } = image.header;
  const table = (await tableOf(image, guest)) || (await newTable(image, guest));
  image.l2.writeAfter(image.dataBarrier);
  for (let i = 0; i < count; i++) {
    const slot = await slotOf(image, table, guest + i * clusterSize);
    setEntry(slot, entry(i));
    image.l2.markDirty(slot.table);
  }
}

/** Puts an empty L2 table at the end of the file, and into the L1 table. */
async function newTable(image: QedState, guest: number): Promise<number> {
  const offset = image.reserve(image.header.tableClusters);
  await image.file.writeZeroes(offset, image.tableBytes);
  const slot = await image.l1Slot(Math.floor(guest / image.l2Coverage));
  setEntry(slot, offset);
  image.l1.writeAfter(image.l2);
  image.l1.markDirty(slot.table);
  return offset;
}

/**
 * Makes whole clusters read as zeroes. Clusters that have room keep it, as nothing could use it again; the others
 * become zero clusters.
 */
export async function writeZeroes(image: QedState, offset: number, length: number, flags: ZeroFlags): Promise<void> {
  const { clusterSize } = image.header;
  const end = offset + length;
  for (let at = offset; at < end; ) {
    const run = await runFrom(image, at, end);
    const next = at + run.count * clusterSize;
    if (run.kind === 'data') await image.file.writeZeroes(run.offset, run.count * clusterSize, flags);
    if (run.kind === 'unallocated') {
      await image.beginChanges();
      await link(image, at, run.count, () => ZERO_CLUSTER);
    }
    at = next;
  }
}
