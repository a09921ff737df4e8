/** Where guest bytes of a VDI image are, and room for new ones. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import { BLOCK, FIRST_UNALLOCATED, ImageType } from './header.ts';
import type { VdiState } from './state.ts';

/** A run of guest blocks, within one page of the block map. */
interface Run {
  /** Block of the file that the first guest block is in; undefined: they read as zeroes. */
  readonly index: number | undefined;
  readonly count: number;
}

/** The run at a guest block, at most `limit` blocks. */
function runAt(image: VdiState, view: DataView, block: number, limit: number): Run {
  const position = image.position(block);
  const most = Math.min(limit, (image.pageSize - position) / 4);
  const first = view.getUint32(position, true);
  const stored = first < FIRST_UNALLOCATED;
  let count = 1;
  for (; count < most; count++) {
    const next = view.getUint32(position + count * 4, true);
    if (stored ? next !== first + count || next >= FIRST_UNALLOCATED : next < FIRST_UNALLOCATED) break;
  }
  return { index: stored ? first : undefined, count };
}

/** Where the run at a guest offset is. Blocks that were never written are zeroes: the format has no backing images. */
export function map(image: VdiState, offset: number, length: number): MaybePromise<Mapping> {
  const block = Math.floor(offset / BLOCK);
  const view = image.page(block);
  if (isPromise(view)) return view.then((loaded) => mapIn(image, loaded, offset, length));
  return mapIn(image, view, offset, length);
}

function mapIn(image: VdiState, view: DataView, offset: number, length: number): Mapping {
  const inside = offset % BLOCK;
  const run = runAt(image, view, (offset - inside) / BLOCK, Math.ceil((inside + length) / BLOCK));
  const known = Math.min(length, run.count * BLOCK - inside);
  if (run.index === undefined) return { kind: 'zero', length: known };
  const place = { kind: 'data', length: known, storage: image.file, offset: image.place(run.index) + inside } as const;
  return image.header.imageType === ImageType.fixed ? { ...place, sparse: true } : place;
}

/** Finds or makes room for guest bytes. */
export async function allocate(image: VdiState, offset: number, length: number): Promise<Allocation> {
  const inside = offset % BLOCK;
  const block = (offset - inside) / BLOCK;
  const loaded = image.page(block);
  const view = isPromise(loaded) ? await loaded : loaded;
  const run = runAt(image, view, block, Math.ceil((inside + length) / BLOCK));
  const { file } = image;
  if (run.index !== undefined) {
    image.checkStored(run.index + run.count - 1);
    const known = Math.min(length, run.count * BLOCK - inside);
    return { start: offset, length: known, storage: file, offset: image.place(run.index) + inside, fresh: false };
  }
  const index = await image.reserve(run.count);
  const place = image.place(index);
  return {
    start: offset - inside,
    length: run.count * BLOCK,
    storage: file,
    offset: place,
    fresh: true,
    zeroed: place >= file.size(),
    commit: () => image.link(block, index, run.count),
    abort: () => image.giveBack(index, run.count),
  };
}
