/** Where guest bytes of a Parallels image are, room for new ones, and giving it up. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { ParallelsState } from './state.ts';

/** A run of guest clusters, within one page of the BAT. */
interface Run {
  /** Where the first one is in the file; undefined: they have no place and read as zeroes. */
  readonly place: number | undefined;
  readonly count: number;
}

/** The run at a guest cluster, at most `limit` clusters. */
function runAt(image: ParallelsState, view: DataView, cluster: number, limit: number): Run {
  const position = image.position(cluster);
  const most = Math.min(limit, (image.pageSize - position) / 4);
  const first = image.place(view.getUint32(position, true));
  let count = 1;
  for (; count < most; count++) {
    const next = image.place(view.getUint32(position + count * 4, true));
    if (next !== (first === undefined ? undefined : first + count * image.header.cluster)) break;
  }
  return { place: first, count };
}

/** Where the run at a guest offset is. */
export function map(image: ParallelsState, offset: number, length: number): MaybePromise<Mapping> {
  const view = image.page(Math.floor(offset / image.header.cluster));
  if (isPromise(view)) return view.then((loaded) => mapIn(image, loaded, offset, length));
  return mapIn(image, view, offset, length);
}

function mapIn(image: ParallelsState, view: DataView, offset: number, length: number): Mapping {
  const { cluster } = image.header;
  const inside = offset % cluster;
  const run = runAt(image, view, (offset - inside) / cluster, Math.ceil((inside + length) / cluster));
  const known = Math.min(length, run.count * cluster - inside);
  if (run.place === undefined) {
    if (image.tellMissing) tellOutside(image, view, (offset - inside) / cluster, run.count);
    return { kind: 'unallocated', length: known };
  }
  return { kind: 'data', length: known, storage: image.file, offset: run.place + inside };
}

/** Clusters whose place is not in the file read as zeroes, as in the real tool, which does not tell. */
function tellOutside(image: ParallelsState, view: DataView, cluster: number, count: number): void {
  const position = image.position(cluster);
  for (let i = 0; i < count; i++) {
    if (view.getUint32(position + i * 4, true) === 0) continue;
    const at = (cluster + i) * image.header.cluster;
    image.tellMissing?.(`'${image.file.name}' does not have the data of the disk at ${at}; it reads as zeroes`);
    image.tellMissing = undefined;
    return;
  }
}

/** Finds or makes room for guest bytes. */
export async function allocate(image: ParallelsState, offset: number, length: number): Promise<Allocation> {
  const { cluster } = image.header;
  const { file } = image;
  const inside = offset % cluster;
  const index = (offset - inside) / cluster;
  await image.begin();
  const loaded = image.page(index);
  const view = isPromise(loaded) ? await loaded : loaded;
  const run = runAt(image, view, index, Math.ceil((inside + length) / cluster));
  if (run.place !== undefined) {
    const known = Math.min(length, run.count * cluster - inside);
    return { start: offset, length: known, storage: file, offset: run.place + inside, fresh: false };
  }
  const { start, count } = await image.reserve(run.count);
  const place = image.placeOfUnit(start);
  return {
    start: offset - inside,
    length: count * cluster,
    storage: file,
    offset: place,
    fresh: true,
    zeroed: place >= file.size(),
    commit: () => image.link(index, start, count),
    abort: () => image.giveBack(start, count),
  };
}

/** Takes the place of whole guest clusters away: they read as zeroes. */
export async function release(image: ParallelsState, offset: number, length: number): Promise<void> {
  const { cluster } = image.header;
  const end = Math.ceil((offset + length) / cluster);
  for (let at = Math.floor(offset / cluster); at < end; ) {
    const loaded = image.page(at);
    const view = isPromise(loaded) ? await loaded : loaded;
    const { place, count } = runAt(image, view, at, end - at);
    if (place !== undefined) {
      await image.begin();
      await image.usage();
      for (let i = 0; i < count; i++) {
        await image.setEntry(at + i, 0);
        image.free(place + i * cluster);
      }
    }
    at += count;
  }
}
