/** The part of a check that looks at L2 tables. */
import { andThen, isPromise, type MaybePromise } from '../../../base/async.ts';
import type { CheckFindings, RepairMode } from '../../../block/capabilities.ts';
import type { ReportLine } from '../../../block/report.ts';
import { entryOffset, type Geometry, ownsHost, setEntry } from '../structure/geometry.ts';
import { hexHalves } from '../structure/hex.ts';
import { COMPRESSED_HIGH, COPIED_HIGH, ZERO_LOW } from '../structure/layout.ts';
import type { MetadataGuard } from '../clusters/guard.ts';
import type { ImageState } from '../structure/imageState.ts';
import { readAt } from '../../../storage/storage.ts';

/** Receives the lines of the report: findings, unless `how` says otherwise. */
export type Report = (text: string, how?: Partial<Omit<ReportLine, 'text'>>) => void;

/** The walk through all references that tables are a part of. */
interface Walk {
  readonly image: ImageState;
  readonly result: CheckFindings;
  readonly report: Report;
  /** What is put right on the way: `all` repairs entries that can be repaired by themselves. */
  readonly repair: RepairMode;
  readonly guard: MetadataGuard;
  /** Reports one piece of damage. */
  corrupt(line: string): void;
  /** Counts the clusters of a byte range of the image file. */
  count(offset: number, length: number, shown?: string, times?: number): void;
}

/** A reference from an L2 entry. */
interface Reference {
  readonly offset: number;
  readonly length: number;
  /** The offset's exact text, where numbers may not be exact. */
  readonly shown?: string;
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

/** A table's part of the statistics. */
interface Statistics {
  allocated: number;
  compressed: number;
  fragmented: number;
}

/** Lines that repeated references may give; beyond, they are only counted. */
const REPEATED_LINES = 1000000;

/** Walks L2 tables for a {@link Walk}. */
export class L2Walker {
  readonly #walk: Walk;
  readonly #known = new Map<number, TableFindings>();
  #repeatedLines = 0;
  #hole = { start: 0, end: 0 };
  #nextContiguous = 0;
  #statistics: Statistics = { allocated: 0, compressed: 0, fragmented: 0 };

  constructor(walk: Walk) {
    this.#walk = walk;
  }

  /**
   * Counts the references of the table at `offset`.
   * @param active it belongs to the active L1 table.
   * @param times how often it is referenced like this.
   */
  async walk(offset: number, active: boolean, times: number): Promise<void> {
    const hole = this.isHole(offset);
    if (isPromise(hole) ? await hole : hole) return;
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
    this.#statistics = { allocated: 0, compressed: 0, fragmented: 0 };
    this.#nextContiguous = 0;
    await this.#scanAndMend(offset);
    const statistics = this.#statistics;
    if (active) this.#addStatistics(statistics);
    this.#known.set(offset, { lines: this.#walk.result.corruptions - before, statistics, repeats: 0 });
  }

  /** Counts the references of tables that were referenced more than once. */
  async finish(): Promise<void> {
    for (const [offset, { repeats }] of this.#known) {
      if (repeats === 0) continue;
      const view = await this.#read(offset);
      const count = (event: Reference | string): void => {
        if (typeof event !== 'string') this.#walk.count(event.offset, event.length, event.shown, repeats);
      };
      for (let at = 0; at < view.byteLength; ) at = this.#scan(view, at, count) + this.#walk.image.geometry.entrySize;
    }
  }

  /** Entries that can be put right are stored at once: where that fails, the rest of the table is not looked at. */
  async #scanAndMend(offset: number): Promise<void> {
    const view = await this.#read(offset);
    const { entrySize } = this.#walk.image.geometry;
    let at = this.#scan(view, 0, (event) => this.#apply(event));
    while (at < view.byteLength) {
      await this.#writeEntry(offset, view, at);
      at = this.#scan(view, at + entrySize, (event) => this.#apply(event));
    }
  }

  async #read(offset: number): Promise<DataView> {
    const { image, report } = this.#walk;
    try {
      const bytes = await readAt(image.file, offset, image.geometry.clusterSize);
      return new DataView(bytes.buffer);
    } catch (error) {
      report('ERROR: I/O error in check_refcounts_l2');
      throw error;
    }
  }

  #addStatistics(more: Statistics): void {
    const { clusters } = this.#walk.result;
    if (!clusters) return;
    clusters.allocated += more.allocated;
    clusters.compressed += more.compressed;
    clusters.fragmented += more.fragmented;
  }

  #apply(event: Reference | string): void {
    if (typeof event === 'string') this.#walk.corrupt(event);
    else this.#walk.count(event.offset, event.length, event.shown);
  }

  /** True if the table is beyond the end or in a hole of the file: then it is empty. */
  isHole(offset: number): MaybePromise<boolean> {
    const { file, geometry } = this.#walk.image;
    const end = Math.min(offset + geometry.clusterSize, file.size());
    if (end <= offset) return true;
    if (offset >= this.#hole.start && end <= this.#hole.end) return true;
    return andThen(file.status(offset, file.size() - offset), (extent) => {
      if (extent.kind !== 'hole') return false;
      this.#hole = { start: offset, end: offset + extent.length };
      return end <= this.#hole.end;
    });
  }

  /** Stores an entry that was put right. */
  async #writeEntry(offset: number, view: DataView, at: number): Promise<void> {
    const { image, report, guard } = this.#walk;
    await guard.check(offset + at, 8, 'active L2 table', () => report('ERROR: Overlap check failed'));
    await image.file.write(offset + at, new Uint8Array(view.buffer, at, 8).slice());
  }

  /** Calls `event` for what the table says from `start` on, up to an entry that it puts right in `view`: gives its place. */
  #scan(view: DataView, start: number, event: (event: Reference | string) => void): number {
    const { entrySize } = this.#walk.image.geometry;
    for (let at = start; at < view.byteLength; at += entrySize) {
      const high = view.getUint32(at);
      const low = view.getUint32(at + 4);
      if (high === 0 && low === 0 && entrySize === 8) continue;
      if ((high & COMPRESSED_HIGH) !== 0) this.#compressed(view, at, event);
      else if (this.#plain(view, at, event)) return at;
    }
    return view.byteLength;
  }

  #compressed(view: DataView, at: number, event: (event: Reference | string) => void): void {
    const { geometry } = this.#walk.image;
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    const shown = `0x${hexHalves((high & 0x7fffffff) >>> 0, low)}`;
    const index = at / geometry.entrySize;
    const place = anyPlace(geometry, view, at);
    if (high >= COPIED_HIGH) {
      event(`ERROR: coffset=${place.shown}: copied flag must never be set for compressed clusters`);
    }
    if (geometry.external) {
      event(`ERROR compressed cluster ${index} with data file, entry=${shown}`);
      return;
    }
    if (geometry.extended && (view.getUint32(at + 8) !== 0 || view.getUint32(at + 12) !== 0)) {
      event(`ERROR compressed cluster ${index} with non-zero subcluster allocation bitmap, entry=${shown}`);
      return;
    }
    event(place);
    this.#statistics.compressed++;
    this.#statistics.allocated++;
    // A compressed cluster never continues the one before it.
    this.#statistics.fragmented++;
  }

  /** True if the entry was put right. */
  #plain(view: DataView, at: number, event: (event: Reference | string) => void): boolean {
    const { geometry } = this.#walk.image;
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    if ((high & 0x3f000000) !== 0 || (low & 0x1fe) !== 0) {
      event(`ERROR found l2 entry with reserved bits set: ${hexHalves(high, low)}`);
    }
    const offset = entryOffset(view, at);
    const zeroBits = geometry.extended ? view.getUint32(at + 8) : 0;
    const dataBits = geometry.extended ? view.getUint32(at + 12) : 0;
    if (!ownsHost(geometry, view, at)) {
      if (dataBits !== 0) event('ERROR: Unallocated cluster has non-zero subcluster allocation map');
      return false;
    }
    if ((zeroBits & dataBits) !== 0) {
      event(`ERROR offset=${offset.toString(16)}: Allocated cluster has corrupted subcluster allocation bitmap`);
    }
    if (offset % geometry.clusterSize !== 0) {
      const data = geometry.extended ? dataBits !== 0 : (low & 1) === 0;
      const what = data ? 'Data' : 'Preallocated';
      if (!data && this.#walk.repair === 'all') {
        this.#walk.report(
          `Repairing offset=${offset.toString(16)}: ${what} cluster is not properly aligned; L2 entry corrupted.`,
        );
        this.#dropPlace(view, at);
        return true;
      }
      event(`ERROR offset=${offset.toString(16)}: ${what} cluster is not properly aligned; L2 entry corrupted.`);
    }
    this.#countPlain(offset);
    if (!geometry.external) event({ offset, length: geometry.clusterSize });
    return false;
  }

  /** Makes an entry that reads as zeroes forget a place that cannot be. */
  #dropPlace(view: DataView, at: number): void {
    const { geometry, header } = this.#walk.image;
    setEntry(view, at, 0, false);
    // Version 2 knows no zeroes but those of what is not there.
    const flagged = geometry.zeroFlag || header.backingFile !== undefined;
    if (!geometry.extended && flagged) view.setUint32(at + 4, ZERO_LOW);
    this.#walk.result.corruptionsFixed++;
  }

  #countPlain(offset: number): void {
    this.#statistics.allocated++;
    if (this.#nextContiguous !== 0 && offset !== this.#nextContiguous) this.#statistics.fragmented++;
    this.#nextContiguous = offset + this.#walk.image.geometry.clusterSize;
  }
}

/** A compressed cluster's place; of damaged entries, which may be beyond exact numbers, with its exact text. */
function anyPlace(geometry: Geometry, view: DataView, at: number): Reference & { readonly shown: string } {
  const bits = BigInt(62 - (geometry.clusterBits - 8));
  const entry = view.getBigUint64(at) & 0x3fffffffffffffffn;
  const exact = entry & ((1n << bits) - 1n);
  const length = (Number(entry >> bits) + 1) * 512 - Number(exact % 512n);
  return { offset: Number(exact), length, shown: `0x${exact.toString(16)}` };
}
