/** The part of a check that looks at L2 tables: each of them once, however often it is referenced. */
import { andThen, isPromise, type MaybePromise, orElse } from '../../../base/async.ts';
import type { Waiter } from '../../../base/inflight.ts';
import type { CheckFindings, RepairMode } from '../../../block/capabilities.ts';
import type { ReportLine } from '../../../block/report.ts';
import type { MetadataGuard } from '../clusters/guard.ts';
import type { ImageState } from '../structure/imageState.ts';
import { type Statistics, TableScan, type TableSink } from './l2Scan.ts';
import { TableReader } from './tableReader.ts';

/** Receives the lines of the report: findings, unless `how` says otherwise. */
export type Report = (text: string, how?: Partial<Omit<ReportLine, 'text'>>) => void;

/** The walk through all references that tables are a part of. */
interface Walk {
  readonly image: ImageState & { readonly services: Waiter };
  readonly result: CheckFindings;
  readonly report: Report;
  /** What is put right on the way: `all` repairs entries that can be repaired by themselves. */
  readonly repair: RepairMode;
  readonly guard: MetadataGuard;
  /** Reports one piece of damage. */
  corrupt(line: string): void;
  /** Counts the clusters of a byte range of the image file. */
  count(offset: number, length: number, shown?: () => string, times?: number): void;
  /** Counts whole clusters that follow each other. */
  countRun(offset: number, clusters: number, times: number): void;
}

/** What is known about a table that was walked. */
interface TableFindings {
  /** Lines that the table gives; each further reference to the table gives them again. */
  readonly lines: number;
  /** What the table adds to the statistics. */
  readonly statistics: Statistics;
  /** Further references to the table that are not counted yet. */
  repeats: number;
}

/** Lines that repeated references may give; beyond, they are only counted. */
const REPEATED_LINES = 1000000;

/** Walks L2 tables for a {@link Walk}. */
export class L2Walker {
  readonly #walk: Walk;
  readonly #known = new Map<number, TableFindings>();
  #repeatedLines = 0;
  #hole = { start: 0, end: 0 };
  /** The last table had no entries, and may have been a hole. */
  #empty = false;
  #uncopied = false;

  constructor(walk: Walk) {
    this.#walk = walk;
  }

  /** True if a table that was walked names a place without the COPIED flag. */
  get uncopied(): boolean {
    return this.#uncopied;
  }

  /** True if a table was walked. */
  isKnown(offset: number): boolean {
    return this.#known.has(offset);
  }

  /**
   * A reader of the tables at `offsets`; 0 stands for none.
   * @param isNeedless true for a table that nobody is going to ask for.
   */
  reader(offsets: ArrayLike<number>, isNeedless: (offset: number) => boolean): TableReader {
    const { file, geometry, services } = this.#walk.image;
    return new TableReader({
      file,
      size: geometry.clusterSize,
      offsets,
      waiter: services,
      isNeedless,
      isHole: (offset) => this.#isHole(offset),
    });
  }

  /**
   * Counts the references of a table.
   * @param reader of a list in which the table has the place `index`.
   * @param active it belongs to the active L1 table.
   * @param times how often it is referenced like this.
   */
  async walk(reader: TableReader, index: number, offset: number, active: boolean, times: number): Promise<void> {
    const known = this.#known.get(offset);
    if (known?.lines === 0) {
      // Many entries may refer to one table: it is read once more at the end, not every time.
      known.repeats += times;
      if (active) this.#addStatistics(known.statistics);
      return;
    }
    if (known) {
      this.#repeatedLines += known.lines;
      if (this.#repeatedLines > REPEATED_LINES) {
        this.#walk.result.corruptions += known.lines;
        if (active) this.#addStatistics(known.statistics);
        return;
      }
    }
    const before = this.#walk.result.corruptions;
    const table = this.#read(reader, index);
    const bytes = isPromise(table) ? await table : table;
    if (!bytes) return;
    const scan = this.#scanOf(bytes, this.#sink(1));
    // Entries that can be put right are stored at once: where that fails, the rest of the table is not looked at.
    for (let at = scan.from(0); at < bytes.length; at = scan.from(at + this.#walk.image.geometry.entrySize)) {
      await this.#writeEntry(offset, bytes, at);
      await reader.forget();
    }
    if (scan.uncopied) this.#uncopied = true;
    if (scan.statistics.allocated === 0) this.#empty = true;
    if (active) this.#addStatistics(scan.statistics);
    const lines = this.#walk.result.corruptions - before;
    this.#known.set(offset, { lines, statistics: scan.statistics, repeats: 0 });
  }

  /** Counts the references of tables that were referenced more than once. */
  async finish(): Promise<void> {
    const repeated = [...this.#known].filter(([, { repeats }]) => repeats > 0);
    const reader = this.reader(
      repeated.map(([offset]) => offset),
      () => false,
    );
    try {
      for (const [index, [, { repeats }]] of repeated.entries()) {
        const bytes = await this.#read(reader, index);
        if (!bytes) continue;
        const sink: TableSink = { ...this.#sink(repeats), corrupt: () => undefined, mended: () => undefined };
        const scan = this.#scanOf(bytes, sink);
        const { entrySize } = this.#walk.image.geometry;
        for (let at = scan.from(0); at < bytes.length; ) at = scan.from(at + entrySize);
      }
    } finally {
      await reader.settle();
    }
  }

  #scanOf(bytes: Uint8Array, sink: TableSink): TableScan {
    const { geometry, header } = this.#walk.image;
    // Version 2 knows no zeroes but those of what is not there.
    const zeroFlag = geometry.zeroFlag || header.backingFile !== undefined;
    return new TableScan({ geometry, mend: this.#walk.repair === 'all', zeroFlag }, bytes, sink);
  }

  /** What is done about the entries of a table that is referenced `times` times. */
  #sink(times: number): TableSink {
    const walk = this.#walk;
    return {
      run: (offset, clusters) => walk.countRun(offset, clusters, times),
      bytes: (offset, length, shown) => walk.count(offset, length, shown, times),
      corrupt: (line) => walk.corrupt(line),
      mended(line) {
        walk.report(line);
        walk.result.corruptionsFixed++;
      },
    };
  }

  /** The table at a place of a reader's list; see `TableReader.table`. */
  #read(reader: TableReader, index: number): MaybePromise<Uint8Array | undefined> {
    return orElse(
      () => reader.table(index),
      (error) => {
        this.#walk.report('ERROR: I/O error in check_refcounts_l2');
        throw error;
      },
    );
  }

  #addStatistics(more: Statistics): void {
    const { clusters } = this.#walk.result;
    if (!clusters) return;
    clusters.allocated += more.allocated;
    clusters.compressed += more.compressed;
    clusters.fragmented += more.fragmented;
  }

  /**
   * True if the table is beyond the end or in a hole of the file: then it is empty. To ask where holes are takes longer than
   * to read a table, in files of many pieces much longer: so that is done only behind tables that were empty.
   */
  #isHole(offset: number): MaybePromise<boolean> {
    const { file, geometry } = this.#walk.image;
    const end = Math.min(offset + geometry.clusterSize, file.size());
    if (end <= offset) return true;
    if (offset >= this.#hole.start && end <= this.#hole.end) return true;
    if (!this.#empty) return false;
    return andThen(file.status(offset, file.size() - offset), (extent) => {
      this.#empty = extent.kind === 'hole';
      if (!this.#empty) return false;
      this.#hole = { start: offset, end: offset + extent.length };
      return end <= this.#hole.end;
    });
  }

  /** Stores an entry that was put right. */
  async #writeEntry(offset: number, table: Uint8Array, at: number): Promise<void> {
    const { image, report, guard } = this.#walk;
    await guard.check(offset + at, 8, 'active L2 table', () => report('ERROR: Overlap check failed'));
    await image.file.write(offset + at, table.slice(at, at + 8));
  }
}
