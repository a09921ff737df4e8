/** Where guest bytes are: L1 and L2 tables to mappings. */
import { type MaybePromise, andThen } from '../../../base/async.ts';
import type { Table } from '../../../block/kit/cache.ts';
import type { Mapping } from '../../../block/mapping.ts';
import { endOfRun, entryOffset, Kind, kindOf } from '../structure/geometry.ts';
import { hex } from '../structure/hex.ts';
import type { Qcow2State } from '../state.ts';
import { CryptMethod, SUBCLUSTERS } from '../structure/layout.ts';

/** A run of guest bytes of one kind; with host space, at consecutive places. */
class Run {
  kind = -1;
  length = 0;
  host = 0;

  /** Appends a piece; false if it does not continue the run. */
  add(kind: number, host: number, length: number): boolean {
    if (this.kind < 0) {
      this.kind = kind;
      this.host = host;
    } else if (kind !== this.kind) {
      return false;
    } else if (this.#hasPlace(kind, host) && host !== this.host + this.length) {
      return false;
    }
    this.length += length;
    return true;
  }

  /** True if the same entries may follow: nothing is stored and no place is kept, or places do not matter. */
  get isPlaceless(): boolean {
    return (
      this.kind === Kind.zero || this.kind === Kind.compressed || (this.kind === Kind.unallocated && this.host === 0)
    );
  }

  /** Subclusters that hold nothing can have a place that is kept for them. */
  #hasPlace(kind: number, host: number): boolean {
    if (kind === Kind.unallocated) return host !== 0 || this.host !== 0;
    return kind === Kind.data || kind === Kind.zeroAllocated;
  }
}

/** The run of guest bytes at `offset`, at most `length` bytes, merged over clusters and L2 tables. */
export function map(image: Qcow2State, offset: number, length: number): MaybePromise<Mapping> {
  return andThen(image.l1.view(), (l1) => follow(image, l1, offset, length, new Run()));
}

function follow(image: Qcow2State, l1: DataView, start: number, length: number, run: Run): MaybePromise<Mapping> {
  const { l2Coverage } = image.geometry;
  const last = Math.floor((start + length - 1) / l2Coverage);
  while (run.length < length) {
    const offset = start + run.length;
    const index = Math.floor(offset / l2Coverage);
    const rest = l2Coverage - (offset % l2Coverage);
    const l2Offset = index * 8 < l1.byteLength ? entryOffset(l1, index * 8) : 0;
    if (l2Offset === 0 || isBehindEnd(image, l2Offset)) {
      if (!run.add(Kind.unallocated, 0, rest)) break;
      continue;
    }
    const more = andThen(l2Table(image, index, l2Offset), (table) => {
      const before = run.length;
      const scanned = scan(image, table, offset, start + length, run);
      if (scanned === true && run.isPlaceless && run.length - before === l2Coverage) {
        // One table may be named by all entries: what it says is the same every time.
        run.length += sameEntries(l1, index, last) * l2Coverage;
      }
      return typeof scanned === 'boolean' ? scanned : scanned.then(() => false);
    });
    if (typeof more === 'boolean') {
      if (!more) break;
      continue;
    }
    return more.then((goOn) => (goOn ? follow(image, l1, start, length, run) : toMapping(image, run, length)));
  }
  return toMapping(image, run, length);
}

/** True for a table that nothing is stored of, as damaged entries have it: it is not worth its memory. */
function isBehindEnd(image: Qcow2State, l2Offset: number): boolean {
  return image.readOnly && l2Offset >= image.file.size() && l2Offset % image.geometry.clusterSize === 0;
}

/** How many entries behind `index`, up to `last`, name the same table. */
function sameEntries(l1: DataView, index: number, last: number): number {
  const [high, low] = [l1.getInt32(index * 8), l1.getInt32(index * 8 + 4)];
  const end = Math.min(last, l1.byteLength / 8 - 1);
  let next = index + 1;
  while (next <= end && l1.getInt32(next * 8 + 4) === low && l1.getInt32(next * 8) === high) next++;
  return next - index - 1;
}

/** The L2 table at a place that an L1 entry names. */
export function l2Table(image: Qcow2State, l1Index: number, offset: number): MaybePromise<Table> {
  if (offset % image.geometry.clusterSize !== 0) {
    return image.failDamaged(`L2 table offset ${hex(offset)} unaligned (L1 index: ${hex(l1Index)})`);
  }
  return image.l2.get(offset);
}

/** Adds entries of one table to the run, from `offset` to `end`; false if the run ends before. */
function scan(image: Qcow2State, table: Table, offset: number, end: number, run: Run): boolean | Promise<never> {
  const { geometry } = image;
  const { clusterSize, entrySize, l2Coverage, subclusterSize, extended } = geometry;
  const tableEnd = Math.min(end, offset - (offset % l2Coverage) + l2Coverage);
  for (let at = offset; at < tableEnd; ) {
    const inCluster = at % clusterSize;
    const index = Math.floor((at % l2Coverage) / clusterSize);
    const position = index * entrySize;
    const sub = extended ? Math.floor(inCluster / subclusterSize) : 0;
    const kind = kindOf(geometry, table.view, position, sub);
    const host = entryOffset(table.view, position);
    if (kind === Kind.invalid || (kind !== Kind.compressed && host % clusterSize !== 0)) {
      // As in the real tool, impossible subclusters spoil the run that leads up to them too.
      if (run.length > 0 && !(extended && kind === Kind.invalid)) return false;
      return image.failDamaged(damageOf(image, table, index, kind, host));
    }
    const length =
      lengthAt(image, table, { position, sub, kind, host, end: tableEnd - at }) - (inCluster % subclusterSize);
    const nowhere = kind === Kind.unallocated && host === 0;
    if (!run.add(kind, nowhere ? 0 : host + inCluster, length)) return false;
    at += length;
  }
  return true;
}

/** A subcluster (or cluster) of a table. */
interface Place {
  /** Of its entry, in bytes. */
  readonly position: number;
  readonly sub: number;
  readonly kind: number;
  readonly host: number;
  /** Bytes of the guest that are asked for, from there on. */
  readonly end: number;
}

/** Guest bytes from the start of a subcluster (or cluster) on that are of its kind, with places that follow each other. */
function lengthAt(image: Qcow2State, table: Table, { position, sub, kind, host, end }: Place): number {
  const { clusterSize, entrySize, subclusterSize, extended } = image.geometry;
  if (kind === Kind.compressed) return clusterSize - sub * subclusterSize;
  if (extended) {
    const same = sameSubclusters(image, table, position, sub, kind);
    if (same < SUBCLUSTERS) return same * subclusterSize;
  }
  const step = host !== 0 || kind === Kind.data ? clusterSize : 0;
  const last = Math.min(table.view.byteLength, position + Math.ceil(end / clusterSize) * entrySize);
  return ((endOfRun(table.view, position, last, entrySize, step) - position) / entrySize) * clusterSize;
}

/** How many subclusters from `sub` on are of one kind. */
function sameSubclusters(image: Qcow2State, table: Table, position: number, sub: number, kind: number): number {
  let count = 1;
  while (sub + count < SUBCLUSTERS && kindOf(image.geometry, table.view, position, sub + count) === kind) count++;
  return count;
}

function damageOf(image: Qcow2State, table: Table, index: number, kind: number, host: number): string {
  const place = `(L2 offset: ${hex(table.offset)}, L2 index: ${hex(index)})`;
  if (kind !== Kind.invalid) return `Cluster allocation offset ${hex(host)} unaligned ${place}`;
  if (image.geometry.external && (table.view.getUint32(index * image.geometry.entrySize) & 0x40000000) !== 0) {
    return `Compressed cluster entry found in image with external data file ${place}`;
  }
  if (!image.geometry.extended) return `Zero cluster entry found in pre-v3 image ${place}`;
  return `Invalid cluster entry found  ${place}`;
}

function toMapping(image: Qcow2State, run: Run, limit: number): Mapping {
  const length = Math.min(run.length, limit);
  const encrypted = image.header.cryptMethod !== CryptMethod.none;
  // What is stored where means nothing to who has no key.
  const place = encrypted ? {} : { storage: image.data, offset: run.host };
  switch (run.kind) {
    case Kind.data:
      if (encrypted) return { kind: 'special', length, compressed: false, encrypted };
      return { kind: 'data', length, storage: image.data, offset: run.host, sparse: image.sparse };
    case Kind.zeroAllocated:
      return { kind: 'zero', length, ...place };
    case Kind.zero:
      return { kind: 'zero', length };
    case Kind.compressed:
      return { kind: 'special', length, compressed: true, encrypted: false };
    default:
      return { kind: 'unallocated', length, ...(run.host === 0 ? {} : place) };
  }
}
