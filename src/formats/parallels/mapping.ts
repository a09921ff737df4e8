/** Where guest bytes of a Parallels image are, room for new ones, and giving it up. */
import { andThen, type MaybePromise } from '../../base/async.ts';
import type { TableRun } from '../../block/kit/pagedTable.ts';
import { Place } from '../../block/kit/units.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { ParallelsState } from './state.ts';

/** The run at a guest offset. */
function runAt(image: ParallelsState, offset: number, length: number): MaybePromise<TableRun> {
  const { bat, units } = image;
  return bat.run(
    units.indexOf(offset),
    units.count(offset, length),
    units.size,
    (page, position) => image.place(page.getUint32(position, true)) ?? Place.unallocated,
  );
}

/** Where the run at a guest offset is. */
export function map(image: ParallelsState, offset: number, length: number): MaybePromise<Mapping> {
  return andThen(runAt(image, offset, length), (run) => {
    if (run.place < 0 && image.tellMissing) tellOutside(image, run, image.units.indexOf(offset));
    return image.units.mapping(run, offset, length);
  });
}

/** Clusters whose place is not in the file read as zeroes, as in the real tool, which does not tell. */
function tellOutside(image: ParallelsState, { page, position, count }: TableRun, cluster: number): void {
  for (let i = 0; i < count; i++) {
    if (page.getUint32(position + i * 4, true) === 0) continue;
    const at = (cluster + i) * image.header.cluster;
    image.tellMissing?.(`'${image.file.name}' does not have the data of the disk at ${at}; it reads as zeroes`);
    image.tellMissing = undefined;
    return;
  }
}

/** Finds or makes room for guest bytes. */
export async function allocate(image: ParallelsState, offset: number, length: number): Promise<Allocation> {
  const { units } = image;
  await image.begin();
  const run = await runAt(image, offset, length);
  if (run.place >= 0) return units.room(run, offset, length);
  const { start, count } = await image.reserve(run.count);
  return units.newRoom(
    { place: image.placeOfUnit(start), count },
    offset,
    () => image.link(units.indexOf(offset), start, count),
    () => image.giveBack(start, count),
  );
}

/** Takes the place of whole guest clusters away: they read as zeroes. */
export async function release(image: ParallelsState, offset: number, length: number): Promise<void> {
  const { cluster } = image.header;
  for (let at = offset; at < offset + length; ) {
    const { place, count } = await runAt(image, at, offset + length - at);
    const index = image.units.indexOf(at);
    if (place >= 0) {
      await image.begin();
      await image.usage();
      for (let i = 0; i < count; i++) {
        await image.setEntry(index + i, 0);
        image.free(place + i * cluster);
      }
    }
    at = (index + count) * cluster;
  }
}
