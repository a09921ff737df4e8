/** The part of a check that looks at L2 tables. */
import { compressedPlace, entryOffset } from './geometry.ts';
import { COMPRESSED_HIGH, COPIED_HIGH, OFFSET_HIGH, TWO32 } from './layout.ts';
import { hexHalves, type ReferenceWalk } from './references.ts';

/** Receives the lines of the report. */
export type Report = (line: string) => void;

/** A reference from an L2 entry. */
interface Reference {
  readonly offset: number;
  readonly length: number;
}

/** What one L2 table holds; kept, so that tables that are referenced again are not read again. */
interface TableFindings {
  /** References and report lines, in order. */
  readonly events: readonly (Reference | string)[];
}

/** Findings with at least this many events are not kept. */
const KEEP = 65536;
/** Events that are kept in all tables together. */
const KEEP_ALL = 4194304;

/** Walks L2 tables for a {@link ReferenceWalk}. */
export class L2Walker {
  readonly #walk: ReferenceWalk;
  readonly #known = new Map<number, TableFindings>();
  /** Places that were walked once; from the second time on findings are kept. */
  readonly #seen = new Set<number>();
  #kept = 0;
  #hole = { start: 0, end: 0 };
  #nextContiguous = 0;

  constructor(walk: ReferenceWalk) {
    this.#walk = walk;
  }

  /** Counts the references of the table at `offset`. `active`: it belongs to the active L1 table. */
  async walk(offset: number, active: boolean): Promise<void> {
    if (await this.#isHole(offset)) return;
    const known = active ? undefined : this.#known.get(offset);
    if (known) {
      for (const event of known.events) this.#apply(event);
      return;
    }
    const bytes = new Uint8Array(this.#walk.image.geometry.clusterSize);
    await this.#walk.image.file.readPadded(offset, bytes);
    const events: (Reference | string)[] = [];
    const keep = !active && this.#seen.has(offset);
    this.#seen.add(offset);
    this.#scan(new DataView(bytes.buffer), active, (event) => {
      this.#apply(event);
      if (keep && events.length < KEEP) events.push(event);
    });
    if (keep && events.length < KEEP && this.#kept + events.length < KEEP_ALL) {
      this.#kept += events.length;
      this.#known.set(offset, { events });
    }
  }

  #apply(event: Reference | string): void {
    if (typeof event === 'string') this.#walk.corrupt(event);
    else this.#walk.count(event.offset, event.length);
  }

  /** True if the table is beyond the end or in a hole of the file: then it is empty. */
  async #isHole(offset: number): Promise<boolean> {
    const { file, geometry } = this.#walk.image;
    const end = Math.min(offset + geometry.clusterSize, file.size());
    if (end <= offset) return true;
    if (offset >= this.#hole.start && end <= this.#hole.end) return true;
    const extent = await file.status(offset, file.size() - offset);
    if (extent.kind !== 'hole') return false;
    this.#hole = { start: offset, end: offset + extent.length };
    return end <= this.#hole.end;
  }

  #scan(view: DataView, active: boolean, event: (event: Reference | string) => void): void {
    const { entrySize } = this.#walk.image.geometry;
    for (let at = 0; at < view.byteLength; at += entrySize) {
      const high = view.getUint32(at);
      const low = view.getUint32(at + 4);
      if (high === 0 && low === 0 && entrySize === 8) continue;
      if ((high & COMPRESSED_HIGH) !== 0) this.#compressed(view, at, active, event);
      else this.#plain(view, at, active, event);
    }
  }

  #compressed(view: DataView, at: number, active: boolean, event: (event: Reference | string) => void): void {
    const { geometry } = this.#walk.image;
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    const shown = `0x${hexHalves((high & 0x7fffffff) >>> 0, low)}`;
    const index = at / geometry.entrySize;
    const place = safePlace(() => compressedPlace(geometry, view, at));
    if (high >= COPIED_HIGH) {
      event(`ERROR: coffset=0x${place.offset.toString(16)}: copied flag must never be set for compressed clusters`);
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
    if (!active) return;
    const { clusters } = this.#walk.result;
    if (!clusters) return;
    clusters.compressed++;
    clusters.allocated++;
    // A compressed cluster never continues the one before it.
    clusters.fragmented++;
  }

  #plain(view: DataView, at: number, active: boolean, event: (event: Reference | string) => void): void {
    const { geometry } = this.#walk.image;
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    if ((high & 0x3f000000) !== 0 || (low & 0x1fe) !== 0) {
      event(`ERROR found l2 entry with reserved bits set: ${hexHalves(high, low)}`);
    }
    const offset = entryOffset(view, at);
    const zeroBits = geometry.extended ? view.getUint32(at + 8) : 0;
    const dataBits = geometry.extended ? view.getUint32(at + 12) : 0;
    const owned = offset !== 0 || (geometry.external && high >= COPIED_HIGH);
    if (!owned) {
      if (dataBits !== 0) event('ERROR: Unallocated cluster has non-zero subcluster allocation map');
      return;
    }
    if ((zeroBits & dataBits) !== 0) {
      event(`ERROR offset=${offset.toString(16)}: Allocated cluster has corrupted subcluster allocation bitmap`);
    }
    if (offset % geometry.clusterSize !== 0) {
      const data = geometry.extended ? dataBits !== 0 : (low & 1) === 0;
      const what = data ? 'Data' : 'Preallocated';
      event(`ERROR offset=${offset.toString(16)}: ${what} cluster is not properly aligned; L2 entry corrupted.`);
    }
    if (active) this.#countPlain(offset);
    if (!geometry.external) event({ offset, length: geometry.clusterSize });
  }

  #countPlain(offset: number): void {
    const { clusters } = this.#walk.result;
    if (!clusters) return;
    clusters.allocated++;
    if (this.#nextContiguous !== 0 && offset !== this.#nextContiguous) clusters.fragmented++;
    this.#nextContiguous = offset + this.#walk.image.geometry.clusterSize;
  }
}

/** A place that may not be exact: it is beyond any file then. */
function safePlace(place: () => Reference): Reference {
  try {
    return place();
  } catch {
    return { offset: (OFFSET_HIGH + 1) * TWO32, length: 512 };
  }
}
