/** Keeps writes off other metadata: damaged tables may lie over each other, or over guest data. */
import type { MaybePromise } from '../../../base/async.ts';
import { entryOffset } from '../structure/geometry.ts';
import type { L1Table } from '../structure/l1.ts';
import { MAX_L1_BYTES, OFFSET_LOW, TWO32 } from '../structure/layout.ts';
import type { OverlapKind } from '../structure/overlapKinds.ts';
import type { Refcounts } from './refcount.ts';
import type { SnapshotTable } from '../snapshots/table.ts';
import type { ImageState } from '../structure/imageState.ts';

/** What is written. */
type Written =
  | 'active L1 table'
  | 'active L2 table'
  | 'new L2 table'
  | 'refcount table'
  | 'refcount block'
  | 'new structure'
  | 'guest data';

/** Clusters that are not aligned and are remembered. */
const MAX_ODD = 65536;
/** Bytes of a snapshot's L1 table that are looked at together. */
const PIECE = 65536;

/** What is guarded. */
interface GuardedImage extends ImageState {
  readonly l1: L1Table;
  readonly refcounts: Refcounts;
  /** Kinds of metadata that writes are kept off. */
  readonly overlapKinds: ReadonlySet<OverlapKind>;
}

/** Clusters that a table leads to. */
class ClusterSet {
  readonly #clusterSize: number;
  readonly #clusters = new Set<number>();
  readonly #odd: number[] = [];

  /**
   * @param table undefined for none.
   * @param offsetAt reads the offset in an entry.
   */
  constructor(table: DataView | undefined, clusterSize: number, offsetAt: (table: DataView, at: number) => number) {
    this.#clusterSize = clusterSize;
    if (!table) return;
    // Most entries are zero: words tell that in a tenth of the time, which counts for a new image.
    const words =
      table.byteOffset % 4 === 0 ? new Int32Array(table.buffer, table.byteOffset, table.byteLength / 4) : [];
    for (let word = 0, end = table.byteLength / 4; word < end; word += 2) {
      if (words[word] === 0 && words[word + 1] === 0) continue;
      const place = offsetAt(table, word * 4);
      if (place !== 0) this.add(place);
    }
  }

  add(place: number): void {
    if (place % this.#clusterSize === 0) this.#clusters.add(place / this.#clusterSize);
    else if (this.#odd.length < MAX_ODD) this.#odd.push(place);
  }

  /** True if one of the clusters shares a byte with the range. */
  meets(offset: number, length: number): boolean {
    const size = this.#clusterSize;
    const first = Math.floor(offset / size);
    // Counted: from 2^53 on, which refcount tables can name, adding one to a cluster's number changes nothing.
    const count = Math.floor((offset + length - 1) / size) - first + 1;
    for (let i = 0; i < count; i++) {
      if (this.#clusters.has(first + i)) return true;
    }
    return this.#odd.some((place) => offset < place + size && place < offset + length);
  }
}

/** The offset in an entry of the refcount table, which has more bits than those of other tables. */
function blockOffset(table: DataView, at: number): number {
  return table.getUint32(at) * TWO32 + ((table.getUint32(at + 4) & OFFSET_LOW) >>> 0);
}

/** Where the tables of an image are. */
interface TablePlaces {
  readonly l2Tables: ClusterSet;
  readonly refblocks: ClusterSet;
}

/**
 * The metadata of an image. Places of tables are remembered as they are when this is used first; {@link noteTable} adds
 * to them. Before a write is refused they are looked up again, for tables may have been given up meanwhile.
 */
export class MetadataGuard {
  readonly #image: GuardedImage;
  #snapshots: SnapshotTable = { entries: [], size: 0 };
  #places: TablePlaces | undefined;

  constructor(image: GuardedImage) {
    this.#image = image;
  }

  /** Tells which snapshots there are. */
  setSnapshots(snapshots: SnapshotTable): void {
    this.#snapshots = snapshots;
  }

  /** Forgets where tables are: others are in force. */
  forget(): void {
    this.#places = undefined;
  }

  /** There is a new L2 table or refcount block at an offset. */
  noteTable(kind: keyof TablePlaces, offset: number): void {
    this.#places?.[kind].add(offset);
  }

  /**
   * Refuses to write where other metadata is.
   * @param what what is written: overlaps with its own kind are no harm.
   * @param complain is called before the error is thrown.
   * @throws BlockError `io`; the image is marked as corrupt then.
   */
  check(offset: number, length: number, what: Written, complain?: () => void): MaybePromise<void> {
    const places = this.#places;
    if (places && this.#overlapped(places, offset, length, what) === undefined) {
      return this.#image.overlapKinds.has('inactive-l2')
        ? this.#checkSnapshots(offset, length, what, complain)
        : undefined;
    }
    return this.#lookAgain(offset, length, what, complain);
  }

  async #lookAgain(offset: number, length: number, what: Written, complain: (() => void) | undefined): Promise<void> {
    const { geometry, l1, refcounts, overlapKinds } = this.#image;
    const l1View = overlapKinds.has('active-l2') ? await l1.view() : undefined;
    const reftable = overlapKinds.has('refcount-block') ? await refcounts.table() : undefined;
    this.#places = {
      l2Tables: new ClusterSet(l1View, geometry.clusterSize, entryOffset),
      refblocks: new ClusterSet(reftable, geometry.clusterSize, blockOffset),
    };
    const other = this.#overlapped(this.#places, offset, length, what);
    if (other !== undefined) await this.#refuse(other, complain);
    if (overlapKinds.has('inactive-l2')) await this.#checkSnapshots(offset, length, what, complain);
  }

  async #refuse(other: string, complain: (() => void) | undefined): Promise<never> {
    const error = await this.#image.overlaps(other);
    complain?.();
    throw error;
  }

  /** What is at a place already, in the real tool's words and order. */
  #overlapped(places: TablePlaces, offset: number, length: number, what: Written): string | undefined {
    const { header, geometry, overlapKinds: kinds } = this.#image;
    const { clusterSize } = geometry;
    const meets = (start: number, size: number): boolean =>
      size > 0 && offset < start + size && start < offset + length;
    // Whatever was chosen: without its header nothing is left of an image.
    if (meets(0, clusterSize)) return 'qcow2_header';
    const isOwn = (...own: readonly Written[]): boolean => own.includes(what);
    if (kinds.has('active-l1') && !isOwn('active L1 table') && meets(header.l1Offset, header.l1Entries * 8)) {
      return 'active L1 table';
    }
    const inL2 = kinds.has('active-l2') && !isOwn('active L2 table', 'new L2 table');
    if (inL2 && places.l2Tables.meets(offset, length)) return 'active L2 table';
    const inReftable = kinds.has('refcount-table') && !isOwn('refcount table');
    if (inReftable && meets(header.reftableOffset, header.reftableClusters * clusterSize)) return 'refcount table';
    const inRefblock = kinds.has('refcount-block') && !isOwn('refcount block');
    if (inRefblock && places.refblocks.meets(offset, length)) return 'refcount block';
    if (kinds.has('snapshot-table') && meets(header.snapshotsOffset, this.#snapshots.size)) return 'snapshot table';
    const inactive = kinds.has('inactive-l1') ? this.#snapshots.entries : [];
    if (inactive.some(({ l1Offset, l1Entries }) => meets(l1Offset, l1Entries * 8))) return 'inactive L1 table';
    const { bitmaps } = header;
    if (kinds.has('bitmap-directory') && bitmaps && meets(bitmaps.offset, bitmaps.size)) return 'bitmap directory';
    return undefined;
  }

  /**
   * Looks for L2 tables of snapshots, which may be more than memory holds: their L1 tables are read each time. Tables
   * that are active as well are no harm to themselves.
   */
  async #checkSnapshots(offset: number, length: number, what: Written, complain?: () => void): Promise<void> {
    if (what === 'active L2 table') return;
    const { file, geometry } = this.#image;
    const seen = new Set<number>();
    const piece = new Uint8Array(PIECE);
    const view = new DataView(piece.buffer);
    for (const { l1Offset, l1Entries } of this.#snapshots.entries) {
      const size = l1Entries * 8;
      if (seen.has(l1Offset) || size > MAX_L1_BYTES || l1Offset + size > file.size()) continue;
      seen.add(l1Offset);
      for (let start = 0; start < size; start += PIECE) {
        const part = Math.min(PIECE, size - start);
        await file.readPadded(l1Offset + start, piece.subarray(0, part));
        for (let at = 0; at < part; at += 8) {
          const table = entryOffset(view, at);
          const meets = table !== 0 && offset < table + geometry.clusterSize && table < offset + length;
          if (meets) await this.#refuse('inactive L2 table', complain);
        }
      }
    }
  }
}
