/** Where guest bytes of a VDI image are, and room for new ones. */
import { andThen, type MaybePromise } from '../../base/async.ts';
import { Place, type Run } from '../../block/kit/units.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import { BLOCK, FIRST_UNALLOCATED, ImageType } from './header.ts';
import type { VdiState } from './state.ts';

/** The run at a guest offset. Blocks that were never written are zeroes: the format has no backing images. */
function runAt({ map: blocks, units, header }: VdiState, offset: number, length: number): MaybePromise<Run> {
  return blocks.run(units.indexOf(offset), units.count(offset, length), BLOCK, (page, position) => {
    const index = page.getUint32(position, true);
    return index < FIRST_UNALLOCATED ? header.dataOffset + index * BLOCK : Place.zero;
  });
}

/** Where the run at a guest offset is. */
export function map(image: VdiState, offset: number, length: number): MaybePromise<Mapping> {
  return andThen(runAt(image, offset, length), (run) => {
    const found = image.units.mapping(run, offset, length);
    const fixed = image.header.imageType === ImageType.fixed;
    return fixed && found.kind === 'data' ? { ...found, sparse: true } : found;
  });
}

/** Finds or makes room for guest bytes. */
export async function allocate(image: VdiState, offset: number, length: number): Promise<Allocation> {
  const { units } = image;
  const run = await runAt(image, offset, length);
  if (run.place >= 0) {
    image.checkStored(image.indexOf(run.place) + run.count - 1);
    return units.room(run, offset, length);
  }
  return units.append(await image.end(), run.count, offset, (place) =>
    image.link(units.indexOf(offset), image.indexOf(place), run.count),
  );
}
