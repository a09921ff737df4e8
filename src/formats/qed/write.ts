/** Room for guest data, and zero clusters (specification, section "Write requests"). */
import { Place } from '../../block/kit/units.ts';
import type { Allocation } from '../../block/mapping.ts';
import type { ZeroFlags } from '../../storage/storage.ts';
import { runAt, ZERO_CLUSTER } from './mapping.ts';
import { type QedState, setEntry } from './state.ts';

/** Finds or makes room for guest bytes. */
export async function allocate(image: QedState, offset: number, length: number): Promise<Allocation> {
  const { tables, units } = image;
  const run = await runAt(image, offset, tables.lengthIn(offset, length));
  if (run.place >= 0) return units.room(run, offset, length);
  await image.beginChanges();
  return units.append(image.end, run.count, offset, (place) =>
    link(image, offset, run.count, (i) => place + i * units.size),
  );
}

/** Sets the entries of guest clusters in one L2 table, which is made if it is not there. */
async function link(image: QedState, guest: number, count: number, entry: (index: number) => number): Promise<void> {
  const { tables } = image;
  const table = await tables.table(guest);
  if (table !== 0) image.checkTable(table);
  const place = table || (await newTable(image, guest));
  await tables.l2.set(
    tables.unitIndex(guest),
    count,
    image.dataBarrier,
    (page, at, i) => setEntry(page, at, entry(i)),
    place,
  );
}

/** Puts an empty L2 table at the end of the file, and into the L1 table. */
async function newTable(image: QedState, guest: number): Promise<number> {
  const { l1, l2 } = image.tables;
  const place = image.end.reserve(image.tableBytes);
  await image.file.writeZeroes(place, image.tableBytes);
  await l1.set(image.tables.tableIndex(guest), 1, l2.pages, (page, at) => setEntry(page, at, place));
  return place;
}

/**
 * Makes whole clusters read as zeroes. Clusters that have room keep it, as nothing could use it again; the others
 * become zero clusters.
 */
export async function writeZeroes(image: QedState, offset: number, length: number, flags: ZeroFlags): Promise<void> {
  const { tables, units } = image;
  const end = offset + length;
  for (let at = offset; at < end; ) {
    const { place, count } = await runAt(image, at, tables.lengthIn(at, end - at));
    if (place >= 0) await image.file.writeZeroes(place, count * units.size, flags);
    if (place === Place.unallocated) {
      await image.beginChanges();
      await link(image, at, count, () => ZERO_CLUSTER);
    }
    at += count * units.size;
  }
}
