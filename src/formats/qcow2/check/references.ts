/**
 * The walk of a check: every reference to a host cluster is counted, and damage on the way is reported. Repair uses
 * the same walk.
 */
import { orElse } from '../../../base/async.ts';
import { ioError } from '../../../base/error.ts';
import type { Advice } from '../../../base/hint.ts';
import { alignUp, MAX_DISK, SECTOR } from '../../../base/offset.ts';
import type { CheckFindings, RepairMode } from '../../../block/capabilities.ts';
import { parseBitmapDirectory } from '../bitmaps/directory.ts';
import { bitmapEntryOf } from '../bitmaps/table.ts';
import { CountTable } from './countTable.ts';
import type { Qcow2State } from '../state.ts';
import { hex, hexHalves } from '../structure/hex.ts';
import { L2Walker, type Report } from './l2Walk.ts';
import { MetadataGuard } from '../clusters/guard.ts';
import { entryOffset } from '../structure/geometry.ts';
import { COPIED_HIGH } from '../structure/layout.ts';
import { Lowering } from '../clusters/refcountRuns.ts';
import type { SnapshotEntry, SnapshotTable } from '../snapshots/table.ts';
import { readAt } from '../../../storage/storage.ts';

/** Clusters beyond the end of the file that are remembered. */
const MAX_BEYOND = 65536;
/** Bytes of tables read at a time. */
const PIECE = 1048576;

/** Counts every reference of an image. */
export class ReferenceWalk {
  readonly image: Qcow2State;
  readonly counts: CountTable = new CountTable();
  readonly result: CheckFindings;
  readonly report: Report;
  /** What is put right on the way: `all` repairs entries that can be repaired by themselves. */
  readonly repair: RepairMode;
  readonly guard: MetadataGuard;
  readonly l2: L2Walker;
  /** Clusters that the repair found to be free. */
  readonly lowering: Lowering;
  /** The refcount structures cannot be repaired in place. */
  mustRebuild = false;
  /** Clusters beyond the end of the file that something refers to nevertheless; some of them if there are many. */
  readonly beyond: Set<number> = new Set<number>();
  /** An entry of an L1 table names a table without the COPIED flag. */
  uncopied = false;
  /** Something was too large to be looked at: what was counted is not all. */
  incomplete = false;
  readonly #snapshots = new Map<string, { offset: number; entries: number; repeats: number }>();
  #snapshotBytes = 0;
  /** References beyond the end of the file. */
  #outside = 0;

  constructor(image: Qcow2State, result: CheckFindings, report: Report, repair: RepairMode = 'none') {
    this.image = image;
    this.result = result;
    this.report = report;
    this.repair = repair;
    this.guard = new MetadataGuard(image);
    this.l2 = new L2Walker(this);
    this.lowering = new Lowering(image);
  }

  /** Reports one piece of damage. */
  corrupt(line: string, hint?: Advice): void {
    this.report(line, hint && { hint });
    this.result.corruptions++;
  }

  /**
   * Counts the clusters of a byte range of the image file.
   * @param shown gives the exact text of an offset that is not exact.
   */
  count(offset: number, length: number, shown?: () => string, times = 1): void {
    if (length <= 0) return;
    const { clusterSize } = this.image.geometry;
    if (!this.#isInside(offset, length)) {
      // Millions of tables may lie nowhere: beyond what is shown they cost no text.
      if (++this.#outside > this.image.services.limits.reportLines) this.result.corruptions++;
      else
        this.corrupt(
          'ERROR: counting reference for region exceeding the end of the file by one cluster or more: ' +
            `offset ${shown?.() ?? `0x${offset.toString(16)}`} size ${hex(length)}`,
        );
      if (this.beyond.size < MAX_BEYOND) this.beyond.add(Math.floor(offset / clusterSize));
      return;
    }
    const last = Math.floor((offset + length - 1) / clusterSize);
    for (let cluster = Math.floor(offset / clusterSize); cluster <= last; cluster++) this.#add(cluster, times);
  }

  #isInside(offset: number, length: number): boolean {
    const end = alignUp(this.image.file.size(), SECTOR) + this.image.geometry.clusterSize;
    return offset + length < end && offset < 2 ** 63;
  }

  /** Counts clusters that follow each other, as {@link count} would one after the other. */
  countRun(offset: number, clusters: number, times: number): void {
    const { clusterSize } = this.image.geometry;
    const quick = times === 1 && offset % clusterSize === 0 && this.#isInside(offset, clusters * clusterSize);
    for (let done = 0; done < clusters; done++) {
      if (quick) done += this.counts.addNew(offset / clusterSize + done, clusters - done);
      if (done < clusters) this.count(offset + done * clusterSize, clusterSize, undefined, times);
    }
  }

  /** No more references are counted than a refcount can hold. */
  #add(cluster: number, times: number): void {
    const { refcounts, geometry } = this.image;
    const room = refcounts.max - this.counts.get(cluster);
    const added = Math.min(times, room);
    if (added > 0) this.counts.add(cluster, added);
    if (added === times) return;
    this.result.corruptions += times - added - 1;
    const place = `0x${(cluster * geometry.clusterSize).toString(16)}`;
    this.corrupt(`ERROR: overflow cluster offset=${place}`, { about: 'refcount-width' });
  }

  /** Walks everything but the refcount structures. */
  async walkTables(snapshots: SnapshotTable): Promise<void> {
    const { header, geometry } = this.image;
    this.guard.setSnapshots(snapshots);
    this.count(0, geometry.clusterSize);
    await this.#walkL1(header.l1Offset, header.l1Entries, true, 1);
    const { length: snapshotCount } = snapshots.entries;
    if (geometry.external && snapshotCount > 0) {
      this.corrupt(`ERROR ${snapshotCount} snapshots in image with data file`);
    }
    for (const entry of snapshots.entries) {
      if (entry.l1OffsetBits % BigInt(geometry.clusterSize) !== 0n) {
        this.corrupt(
          `ERROR snapshot ${entry.id} (${entry.name}) l1_offset=0x${entry.l1OffsetBits.toString(16)}: ` +
            'L1 table is not cluster aligned; snapshot table entry corrupted',
        );
        continue;
      }
      if (entry.l1Entries * 8 > 33554432) {
        this.corrupt(
          `ERROR snapshot ${entry.id} (${entry.name}) l1_size=${hex(entry.l1Entries)}: ` +
            'L1 table is too large; snapshot table entry corrupted',
        );
        continue;
      }
      await this.#walkSnapshot(entry);
    }
    for (const { offset, entries, repeats } of this.#snapshots.values()) {
      if (repeats > 0) await this.#walkL1(offset, entries, false, repeats);
    }
    await this.l2.finish();
    this.count(header.snapshotsOffset, snapshots.size);
    if (header.crypto) this.count(header.crypto.offset, header.crypto.length);
    await this.#walkBitmaps();
    this.count(header.reftableOffset, header.reftableClusters * geometry.clusterSize);
  }

  /** Snapshots may share an L1 table: it is walked once, and once more for all the others. */
  async #walkSnapshot(entry: SnapshotEntry): Promise<void> {
    const { l1Offset: offset, l1Entries: entries } = entry;
    const key = `${offset}/${entries}`;
    const known = this.#snapshots.get(key);
    if (known) {
      known.repeats++;
      return;
    }
    this.#snapshotBytes += Math.max(0, Math.min(entries * 8, this.image.file.size() - offset));
    if (this.#snapshotBytes > this.image.services.limits.snapshotTableBytes) {
      this.result.checkErrors++;
      this.incomplete = true;
      return;
    }
    this.#snapshots.set(key, { offset, entries, repeats: 0 });
    await this.#walkL1(offset, entries, false, 1);
  }

  async #walkL1(offset: number, entries: number, active: boolean, times: number): Promise<void> {
    this.count(offset, entries * 8, undefined, times);
    if (entries > 0 && offset + entries * 8 > MAX_DISK) {
      this.report('ERROR: I/O error in check_refcounts_l1');
      throw ioError();
    }
    const end = this.image.file.size();
    for await (const view of this.#pieces(offset, entries)) {
      const offsets = placesOf(view);
      const reader = this.l2.reader(offsets, (l2Offset) => this.l2.isKnown(l2Offset));
      try {
        for (let index = 0; index < offsets.length; index++) {
          const [high, low] = [view.getUint32(index * 8), view.getUint32(index * 8 + 4)];
          if (high === 0 && low === 0) continue;
          const l2Offset = offsets[index] as number;
          this.#countTable(high, low, l2Offset, times);
          // What the file does not have is a table without entries.
          if (l2Offset < end) await this.l2.walk(reader, index, l2Offset, active, times);
        }
      } finally {
        await reader.settle();
      }
    }
  }

  /** A table of 8-byte entries, piece by piece. Entries beyond the end of the file are zero, and left out. */
  async *#pieces(offset: number, entries: number): AsyncGenerator<DataView, void, undefined> {
    const { file } = this.image;
    const stored = Math.max(0, Math.min(entries * 8, file.size() - offset));
    for (let start = 0; start < stored; start += PIECE) {
      const length = Math.min(PIECE, Math.ceil((stored - start) / 8) * 8);
      const bytes = await orElse(
        () => readAt(file, offset + start, length),
        (error) => {
          this.report('ERROR: I/O error in check_refcounts_l1');
          throw error;
        },
      );
      yield new DataView(bytes.buffer);
    }
  }

  /** Counts the table that an L1 entry refers to. */
  #countTable(high: number, low: number, l2Offset: number, times: number): void {
    const { clusterSize } = this.image.geometry;
    if ((high & 0x7f000000) !== 0 || (low & 0x1ff) !== 0) {
      this.corrupt(`ERROR found L1 entry with reserved bits set: ${hexHalves(high, low)}`);
    }
    if (high < COPIED_HIGH) this.uncopied = true;
    this.count(l2Offset, clusterSize, undefined, times);
    if (l2Offset % clusterSize !== 0) {
      this.corrupt(`ERROR l2_offset=${l2Offset.toString(16)}: Table is not cluster aligned; L1 entry corrupted`);
    }
  }

  async #walkBitmaps(): Promise<void> {
    const { bitmaps } = this.image.header;
    if (!bitmaps) return;
    const { file, geometry } = this.image;
    this.count(bitmaps.offset, bitmaps.size);
    if (bitmaps.offset + bitmaps.size > file.size() || bitmaps.size > 67108864) {
      this.result.checkErrors++;
      this.incomplete = true;
      return;
    }
    const bytes = await readAt(file, bitmaps.offset, bitmaps.size);
    let entries: ReturnType<typeof parseBitmapDirectory>;
    try {
      entries = parseBitmapDirectory(bytes, bitmaps.count, geometry.clusterSize);
    } catch {
      this.result.corruptions++;
      this.incomplete = true;
      return;
    }
    for (const entry of entries) {
      this.count(entry.tableOffset, entry.tableEntries * 8);
      await this.#walkBitmapTable(entry.tableOffset, entry.tableEntries, geometry.clusterSize);
    }
  }

  async #walkBitmapTable(offset: number, entries: number, clusterSize: number): Promise<void> {
    for await (const view of this.#pieces(offset, entries)) {
      for (let at = 0; at < view.byteLength; at += 8) {
        const entry = bitmapEntryOf(view, at);
        if (entry === undefined) this.result.corruptions++;
        else if (entry > 1) this.count(entry, clusterSize);
      }
    }
  }
}

/** Where the tables are that an L1 table names; 0 for those that are not there. */
function placesOf(l1: DataView): Float64Array {
  const places = new Float64Array(l1.byteLength / 8);
  for (let index = 0; index < places.length; index++) places[index] = entryOffset(l1, index * 8);
  return places;
}
