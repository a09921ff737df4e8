/** What one L2 table says, in runs: the part of a check that looks at every entry. */
import { type Kernels, kernelsFor } from '../../../base/kernels.ts';
import { endOfRun, entryOffset, type Geometry, ownsHost, setEntry } from '../structure/geometry.ts';
import { hexHalves } from '../structure/hex.ts';
import { COMPRESSED_HIGH, COPIED_HIGH, OFFSET_HIGH, OFFSET_LOW, TWO32, ZERO_LOW } from '../structure/layout.ts';

/** A table's part of the statistics. */
export interface Statistics {
  allocated: number;
  compressed: number;
  fragmented: number;
}

/** Receives what a table says, in the order of its entries. */
export interface TableSink {
  /** Whole clusters that follow each other are referenced, each once. */
  run(offset: number, clusters: number): void;
  /** A byte range is referenced. @param shown gives the offset's exact text, where numbers may not be exact. */
  bytes(offset: number, length: number, shown: () => string): void;
  /** Something is wrong. */
  corrupt(line: string): void;
  /** Something that can be put right by itself is wrong, and was put right in the table. */
  mended(line: string): void;
}

/** What is looked at besides the table. */
interface Settings {
  readonly geometry: Geometry;
  /** Clusters without data forget places that cannot be. */
  readonly mend: boolean;
  /** Zeroes can be marked as such where no place is named. */
  readonly zeroFlag: boolean;
}

/** Bits of a standard cluster's entry, high half, that are not part of its place, without COPIED. */
const OTHER_HIGH = 0x7f000000;

/** Bytes that are looked at together in the search for zeroes. */
const STEP = 64;

/** Scans the entries of one L2 table. */
export class TableScan {
  readonly statistics: Statistics = { allocated: 0, compressed: 0, fragmented: 0 };
  readonly #settings: Settings;
  readonly #view: DataView;
  readonly #kernels: Kernels | undefined;
  readonly #sink: TableSink;
  #nextContiguous = 0;
  #uncopied = false;

  constructor(settings: Settings, bytes: Uint8Array, sink: TableSink) {
    this.#settings = settings;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#kernels = kernelsFor(bytes);
    this.#sink = sink;
  }

  /** True if a place was named without the COPIED flag. */
  get uncopied(): boolean {
    return this.#uncopied;
  }

  /** Looks at the entries from byte `start` on, up to one that is put right: gives its place, or the table's length. */
  from(start: number): number {
    const { geometry } = this.#settings;
    const { entrySize, extended } = geometry;
    const view = this.#view;
    const end = view.byteLength;
    const inCluster = geometry.clusterSize - 1 - ZERO_LOW;
    for (let at = start; at < end; ) {
      const high = view.getUint32(at);
      const low = view.getUint32(at + 4);
      if (high === 0 && (low & ~ZERO_LOW) === 0 && !(extended && view.getUint32(at + 12) !== 0)) {
        at = at % STEP === 0 ? this.#zeroEnd(at, end) : at + entrySize;
      } else if (isPlain(high, low, inCluster) && (!extended || !clash(view, at))) {
        at = this.#run(at, high, low);
      } else if ((high & COMPRESSED_HIGH) !== 0) {
        this.#compressed(at);
        at += entrySize;
      } else {
        if (this.#odd(at)) return at;
        at += entrySize;
      }
    }
    return end;
  }

  /** Where the zeroes from the zero entry at `at` on end, at the latest. */
  #zeroEnd(at: number, end: number): number {
    const { byteOffset } = this.#view;
    const found = this.#kernels?.zeroEnd(byteOffset + at, byteOffset + end, STEP) ?? 0;
    return Math.max(at + this.#settings.geometry.entrySize, found - byteOffset);
  }

  /** The sound entry at `at`, and all that follow it and name the clusters that follow. Gives the end of the run. */
  #run(at: number, high: number, low: number): number {
    const { geometry } = this.#settings;
    const { clusterSize, entrySize, external } = geometry;
    const next = endOfRun(this.#view, at, this.#view.byteLength, entrySize, clusterSize);
    if (high < COPIED_HIGH) this.#uncopied = true;
    const offset = (high & OFFSET_HIGH) * TWO32 + ((low & OFFSET_LOW) >>> 0);
    this.#count(offset, (next - at) / entrySize);
    if (!external) this.#sink.run(offset, (next - at) / entrySize);
    return next;
  }

  #compressed(at: number): void {
    const { geometry } = this.#settings;
    const view = this.#view;
    const high = view.getUint32(at);
    const place = anyPlace(geometry, view, at);
    if (high >= COPIED_HIGH) {
      this.#sink.corrupt(`ERROR: coffset=${place.shown()}: copied flag must never be set for compressed clusters`);
    }
    const entry = (): string => `0x${hexHalves((high & 0x7fffffff) >>> 0, view.getUint32(at + 4))}`;
    if (geometry.external) {
      this.#sink.corrupt(`ERROR compressed cluster ${at / geometry.entrySize} with data file, entry=${entry()}`);
      return;
    }
    if (geometry.extended && (view.getUint32(at + 8) !== 0 || view.getUint32(at + 12) !== 0)) {
      const which = at / geometry.entrySize;
      const what = 'with non-zero subcluster allocation bitmap';
      this.#sink.corrupt(`ERROR compressed cluster ${which} ${what}, entry=${entry()}`);
      return;
    }
    this.#sink.bytes(place.offset, place.length, place.shown);
    this.statistics.compressed++;
    this.statistics.allocated++;
    // A compressed cluster never continues the one before it.
    this.statistics.fragmented++;
  }

  /** An entry that is not compressed. True if it was put right. */
  #odd(at: number): boolean {
    const { geometry, mend } = this.#settings;
    const view = this.#view;
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    if ((high & 0x3f000000) !== 0 || (low & 0x1fe) !== 0) {
      this.#sink.corrupt(`ERROR found l2 entry with reserved bits set: ${hexHalves(high, low)}`);
    }
    const offset = entryOffset(view, at);
    const dataBits = geometry.extended ? view.getUint32(at + 12) : 0;
    if (!ownsHost(geometry, view, at)) {
      if (dataBits !== 0) this.#sink.corrupt('ERROR: Unallocated cluster has non-zero subcluster allocation map');
      return false;
    }
    if (geometry.extended && clash(view, at)) {
      const what = 'Allocated cluster has corrupted subcluster allocation bitmap';
      this.#sink.corrupt(`ERROR offset=${offset.toString(16)}: ${what}`);
    }
    if (offset % geometry.clusterSize !== 0) {
      const data = geometry.extended ? dataBits !== 0 : (low & ZERO_LOW) === 0;
      const what = `${data ? 'Data' : 'Preallocated'} cluster is not properly aligned; L2 entry corrupted.`;
      if (!data && mend) {
        this.#sink.mended(`Repairing offset=${offset.toString(16)}: ${what}`);
        this.#dropPlace(at);
        return true;
      }
      this.#sink.corrupt(`ERROR offset=${offset.toString(16)}: ${what}`);
    }
    if (offset !== 0 && high < COPIED_HIGH) this.#uncopied = true;
    this.#count(offset, 1);
    if (!geometry.external) this.#sink.run(offset, 1);
    return false;
  }

  /** Makes an entry that reads as zeroes forget a place that cannot be. */
  #dropPlace(at: number): void {
    const { geometry, zeroFlag } = this.#settings;
    setEntry(this.#view, at, 0, false);
    if (!geometry.extended && zeroFlag) this.#view.setUint32(at + 4, ZERO_LOW);
  }

  #count(offset: number, clusters: number): void {
    this.statistics.allocated += clusters;
    if (this.#nextContiguous !== 0 && offset !== this.#nextContiguous) this.statistics.fragmented++;
    this.#nextContiguous = offset + clusters * this.#settings.geometry.clusterSize;
  }
}

/** True for a cluster of its own at a place that can be. @param inCluster the bits of a place inside a cluster. */
function isPlain(high: number, low: number, inCluster: number): boolean {
  return (high & OTHER_HIGH) === 0 && (low & inCluster) === 0 && ((high & OFFSET_HIGH) !== 0 || low > ZERO_LOW);
}

/** True if a subcluster of the extended entry at `at` has data and reads as zeroes. */
function clash(view: DataView, at: number): boolean {
  return (view.getUint32(at + 8) & view.getUint32(at + 12)) !== 0;
}

/** A compressed cluster's place; of damaged entries, which may be beyond exact numbers, with its exact text. */
interface AnyPlace {
  readonly offset: number;
  readonly length: number;
  readonly shown: () => string;
}

function anyPlace(geometry: Geometry, view: DataView, at: number): AnyPlace {
  const bits = 62 - (geometry.clusterBits - 8);
  const high = view.getUint32(at) & 0x3fffffff;
  const low = view.getUint32(at + 4);
  const sectors = (high >>> (bits - 32)) + 1;
  const offset = (high & (2 ** (bits - 32) - 1)) * TWO32 + low;
  const shown = (): string => {
    const exact = view.getBigUint64(at) & ((1n << BigInt(bits)) - 1n);
    return `0x${exact.toString(16)}`;
  };
  return { offset, length: sectors * 512 - (low % 512), shown };
}
