/** Room for guest data: in place where the cluster is ours alone, in new clusters otherwise. */
import { isPromise } from '../../../base/async.ts';
import { BlockError } from '../../../base/error.ts';
import { alignDown, alignUp } from '../../../base/offset.ts';
import { isZero } from '../../../base/zero.ts';
import type { Table } from '../../../block/kit/cache.ts';
import type { Allocation } from '../../../block/mapping.ts';
import { encryptedRoom } from '../../../block/kit/encryptedRoom.ts';
import { flushImage } from '../flush.ts';
import { compressedPlace, entryOffset, isCopied, Kind, kindOf, ownsHost, setEntry } from '../structure/geometry.ts';
import { hex } from '../structure/hex.ts';
import type { Qcow2State } from '../state.ts';
import { COMPRESSED_HIGH, SUBCLUSTERS } from '../structure/layout.ts';
import { l2Table } from './mapping.ts';

/** How a (sub)cluster can be written. */
const Way = { inPlace: 0, reuse: 1, fresh: 2 } as const;

/** The L2 table that covers a guest offset, made writable: allocated, and referenced by the active L1 table alone. */
export async function writableL2(image: Qcow2State, guest: number): Promise<Table> {
  const { clusterSize, l2Coverage } = image.geometry;
  const index = Math.floor(guest / l2Coverage);
  const known = image.l1.view();
  const l1 = isPromise(known) ? await known : known;
  const offset = entryOffset(l1, index * 8);
  if (offset !== 0 && isCopied(l1, index * 8)) return l2Table(image, index, offset);
  const old = offset === 0 ? undefined : (await l2Table(image, index, offset)).bytes;
  const place = await image.allocator.allocate(1, 'L2 table');
  image.guard.noteTable('l2Tables', place);
  if (old) image.file.debugEvent?.('l2_alloc_cow_read');
  const table = await image.l2.create(place, old);
  image.file.debugEvent?.('l2_alloc_write');
  if (old) image.allocator.release(offset / clusterSize, 1);
  setEntry(l1, index * 8, place, true);
  image.l1.markDirty(index);
  // Where somebody looks, a new table is on the disk before it is used, as in the real tool.
  if (image.file.debugEvent) await image.l1.flush();
  return table;
}

/** Byte position of a guest cluster's entry in its L2 table. */
export function entryPosition(image: Qcow2State, guest: number): number {
  const { clusterSize, entrySize, l2Coverage } = image.geometry;
  return Math.floor((guest % l2Coverage) / clusterSize) * entrySize;
}

/** True if the entries of all clusters in `[guest, end)` are empty, which is quicker to know than to look at each. */
function areEmpty(image: Qcow2State, table: Table, guest: number, end: number): boolean {
  const stop = entryPosition(image, end - 1) + image.geometry.entrySize;
  return isZero(table.bytes, entryPosition(image, guest), stop);
}

function wayOf(image: Qcow2State, table: Table, guest: number): number {
  const { geometry } = image;
  const at = entryPosition(image, guest);
  if (!ownsHost(geometry, table.view, at)) return Way.fresh;
  if (!geometry.external && !isCopied(table.view, at)) return Way.fresh;
  const sub = geometry.extended ? Math.floor((guest % geometry.clusterSize) / geometry.subclusterSize) : 0;
  return kindOf(geometry, table.view, at, sub) === Kind.data ? Way.inPlace : Way.reuse;
}

/** What keeps a guest byte from being written: its entry cannot be. */
function damageOf(image: Qcow2State, table: Table, guest: number): string | undefined {
  const { geometry } = image;
  const at = entryPosition(image, guest);
  const host = entryOffset(table.view, at);
  if (geometry.extended) {
    const sub = Math.floor((guest % geometry.clusterSize) / geometry.subclusterSize);
    if (kindOf(geometry, table.view, at, sub) === Kind.invalid) {
      return `Invalid cluster entry found (L2 offset: ${hex(table.offset)}, L2 index: ${hex(at / geometry.entrySize)})`;
    }
  }
  if (geometry.external || !isCopied(table.view, at) || !ownsHost(geometry, table.view, at)) return undefined;
  if (host % geometry.clusterSize === 0) return undefined;
  return `Data cluster offset ${hex(host)} unaligned (guest offset: ${hex(alignDown(guest, geometry.clusterSize))})`;
}

function hostOf(image: Qcow2State, table: Table, guest: number): number {
  return entryOffset(table.view, entryPosition(image, guest)) + (guest % image.geometry.clusterSize);
}

/** Finds or makes room for guest bytes, within one L2 table. */
export async function allocate(image: Qcow2State, offset: number, length: number): Promise<Allocation> {
  if (image.allocator.shouldApply) await flushImage(image);
  const { geometry } = image;
  const tableEnd = alignDown(offset, geometry.l2Coverage) + geometry.l2Coverage;
  const end = Math.min(offset + length, tableEnd);
  const noted = image.markDirty(offset, end - offset);
  if (isPromise(noted)) await noted;
  const table = await writableL2(image, offset);
  const damage = damageOf(image, table, offset);
  if (damage !== undefined) await image.failDamaged(damage);
  const way = wayOf(image, table, offset);
  // Fresh room is made of clusters, the rest of subclusters.
  const unit = way === Way.fresh ? geometry.clusterSize : geometry.subclusterSize;
  let stop = alignDown(offset, unit) + unit;
  const host = hostOf(image, table, offset);
  if (way === Way.fresh && areEmpty(image, table, offset, end)) stop = alignUp(end, unit);
  while (stop < end && wayOf(image, table, stop) === way && damageOf(image, table, stop) === undefined) {
    if (way !== Way.fresh && hostOf(image, table, stop) !== host + (stop - offset)) break;
    stop += unit;
  }
  if (way !== Way.fresh && !geometry.external) {
    const free = image.guard.check(host, stop - offset, 'guest data');
    if (isPromise(free)) await free;
  }
  if (way === Way.inPlace) {
    return withCipher(image, {
      start: offset,
      length: Math.min(stop, end) - offset,
      storage: image.data,
      offset: host,
      fresh: false,
    });
  }
  if (way === Way.reuse) {
    const start = alignDown(offset, unit);
    return withCipher(image, freshRoom(image, start, stop - start, host - (offset - start), false));
  }
  return newRoom(image, table, offset, Math.min(stop, end), stop);
}

async function newRoom(
  image: Qcow2State,
  table: Table,
  offset: number,
  end: number,
  stop: number,
): Promise<Allocation> {
  const { clusterSize, subclusterSize, external } = image.geometry;
  const first = alignDown(offset, clusterSize);
  // With subclusters, what was there before in the first and last cluster decides whether all of it has to move.
  const start = hasContent(image, table, first) ? first : alignDown(offset, subclusterSize);
  const last = hasContent(image, table, stop - clusterSize) ? stop : Math.min(stop, alignUp(end, subclusterSize));
  const count = (stop - first) / clusterSize;
  if (external) return withCipher(image, freshRoom(image, start, last - start, start, false));
  const size = image.file.size();
  const host = await image.allocator.allocate(count);
  const room = freshRoom(image, start, last - start, host + (start - first), host >= size);
  return withCipher(image, { ...room, abort: () => image.allocator.giveBack(host, count) });
}

/** True if a cluster with subclusters has stored bytes that a new cluster would have to take over. */
function hasContent(image: Qcow2State, table: Table, cluster: number): boolean {
  if (!image.geometry.extended) return true;
  const at = entryPosition(image, cluster);
  return (table.view.getUint32(at) & COMPRESSED_HIGH) !== 0 || table.view.getUint32(at + 12) !== 0;
}

function freshRoom(image: Qcow2State, start: number, length: number, host: number, zeroed: boolean): Allocation {
  return {
    start,
    length,
    storage: image.data,
    offset: host,
    fresh: true,
    zeroed,
    commit: () => link(image, start, length, host),
  };
}

function withCipher(image: Qcow2State, room: Allocation): Allocation {
  if (image.header.cryptMethod === 0) return room;
  const { cipher } = image;
  if (!cipher) throw new BlockError('internal', 'encrypted image without a key');
  return encryptedRoom({ ...room, zeroed: false }, image.services.buffers, (guest, bytes) =>
    cipher.encrypt(bytes, room.offset + (guest - room.start), guest),
  );
}

/**
 * Makes L2 entries refer to host space that holds the guest bytes now.
 * @param start guest offset, a multiple of a subcluster; the range lies in one L2 table.
 * @param host where guest byte `start` is.
 */
export async function link(image: Qcow2State, start: number, length: number, host: number): Promise<void> {
  const { clusterSize, entrySize, extended } = image.geometry;
  const table = await writableL2(image, start);
  image.newData.arm();
  const end = start + length;
  const empty = areEmpty(image, table, start, end);
  let at = entryPosition(image, start);
  for (let guest = alignDown(start, clusterSize); guest < end; guest += clusterSize, at += entrySize) {
    const place = host + (guest - start);
    if (!empty) releaseOld(image, table, at, place);
    setEntry(table.view, at, place, true);
    if (extended) setSubclusters(image, table, at, Math.max(0, start - guest), Math.min(clusterSize, end - guest));
  }
  image.l2.markDirty(table);
  image.generation++;
}

/** Marks the subclusters of a byte range of one cluster as stored. */
function setSubclusters(image: Qcow2State, table: Table, at: number, from: number, to: number): void {
  const { subclusterSize } = image.geometry;
  const first = Math.floor(from / subclusterSize);
  const last = Math.min(SUBCLUSTERS, Math.ceil(to / subclusterSize));
  const count = last - first;
  const mask = count >= 32 ? 0xffffffff : ((2 ** count - 1) << first) >>> 0;
  table.view.setUint32(at + 8, (table.view.getUint32(at + 8) & ~mask) >>> 0);
  table.view.setUint32(at + 12, (table.view.getUint32(at + 12) | mask) >>> 0);
}

/** Gives up what the entry at `at` refers to, unless it is `keep`. Clears the entry's subclusters if it was compressed. */
export function releaseOld(image: Qcow2State, table: Table, at: number, keep: number | undefined): void {
  const { geometry } = image;
  if ((table.view.getUint32(at) & COMPRESSED_HIGH) !== 0) {
    const old = compressedPlace(geometry, table.view, at);
    image.allocator.releaseBytes(old.offset, old.length);
    if (geometry.extended) {
      table.view.setUint32(at + 8, 0);
      table.view.setUint32(at + 12, 0);
    }
    return;
  }
  if (geometry.external || !ownsHost(geometry, table.view, at)) return;
  const old = entryOffset(table.view, at);
  if (old === keep) return;
  if (old % geometry.clusterSize === 0) image.allocator.release(old / geometry.clusterSize, 1);
  else image.blemished(`Cannot free unaligned cluster ${hex(old)}`);
}
