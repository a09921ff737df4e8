/** How often each host cluster was seen, in little memory: pages of 16-bit counts, made when they are needed. */
import { getRefcount } from '../structure/refcountEntry.ts';

/** Clusters on a page. */
const PAGE = 65536;
/** Pages that are tried one after the other before all of them are looked through. */
const NEAR = 64;
/** Counts from here on are kept apart. */
const LARGE = 65535;

/** Counts by cluster number. */
export class CountTable {
  readonly #pages = new Map<number, Uint16Array>();
  readonly #large = new Map<number, number>();
  #end = 0;
  #sharing = false;

  /** One more than the highest cluster that was counted. */
  get end(): number {
    return this.#end;
  }

  /** True if some cluster was ever counted more than once. */
  get sharing(): boolean {
    return this.#sharing;
  }

  /** Count of a cluster. */
  get(cluster: number): number {
    const inPage = cluster % PAGE;
    const count = this.#pages.get((cluster - inPage) / PAGE)?.[inPage] ?? 0;
    return count === LARGE ? (this.#large.get(cluster) ?? LARGE) : count;
  }

  /** Counts a cluster `times` times. */
  add(cluster: number, times: number): void {
    const inPage = cluster % PAGE;
    const page = this.#pageFor((cluster - inPage) / PAGE);
    const sum = this.get(cluster) + times;
    page[inPage] = Math.min(sum, LARGE);
    if (sum >= LARGE) this.#large.set(cluster, sum);
    if (sum > 1) this.#sharing = true;
    if (cluster >= this.#end) this.#end = cluster + 1;
  }

  /** Counts clusters from `first` on, up to the first that was counted before; gives how many, at most `count`. */
  addNew(first: number, count: number): number {
    let done = 0;
    while (done < count) {
      const start = (first + done) % PAGE;
      const page = this.#pageFor((first + done - start) / PAGE);
      const stop = Math.min(PAGE, start + count - done);
      let at = start;
      while (at < stop && page[at] === 0) page[at++] = 1;
      done += at - start;
      if (at < stop) break;
    }
    if (first + done > this.#end) this.#end = first + done;
    return done;
  }

  #pageFor(number: number): Uint16Array {
    let page = this.#pages.get(number);
    if (!page) {
      page = new Uint16Array(PAGE);
      this.#pages.set(number, page);
    }
    return page;
  }

  /**
   * True if the clusters `[start, end)` were counted as often as a refcount block says.
   * @param block whose first entry is that of `start`, with entries of `bits` bits.
   */
  equals(start: number, end: number, block: DataView, bits: number): boolean {
    for (let cluster = start; cluster < end; ) {
      const inPage = cluster % PAGE;
      const page = this.#pages.get((cluster - inPage) / PAGE) ?? EMPTY;
      const stop = Math.min(PAGE, inPage + end - cluster);
      if (!equalPart(page, inPage, stop, block, bits, cluster - start)) return false;
      cluster += stop - inPage;
    }
    return true;
  }

  /** The last of the clusters `[start, end)` that has a count; undefined if none has. */
  lastOf(start: number, end: number): number | undefined {
    for (let cluster = end - 1; cluster >= start; cluster--) if (this.get(cluster) !== 0) return cluster;
    return undefined;
  }

  /** The first cluster from `cluster` on that may have a count: whole pages without any are skipped. */
  skipEmpty(cluster: number): number {
    const first = Math.floor(cluster / PAGE);
    if (this.#pages.has(first)) return cluster;
    for (let number = first + 1; number <= first + NEAR; number++) {
      if (this.#pages.has(number) || number * PAGE >= this.#end) return number * PAGE;
    }
    let next = Infinity;
    for (const number of this.#pages.keys()) if (number > first && number < next) next = number;
    return next === Infinity ? Math.max(cluster, this.#end) : next * PAGE;
  }
}

const EMPTY = new Uint16Array(PAGE);

/** True if the counts `[start, end)` of a page are those of a block from its entry `index` on. Large counts never are. */
function equalPart(
  page: Uint16Array,
  start: number,
  end: number,
  block: DataView,
  bits: number,
  index: number,
): boolean {
  if (bits === 16) {
    for (let at = start, place = index * 2; at < end; at++, place += 2) {
      const count = page[at];
      if (count !== block.getUint16(place) || count === LARGE) return false;
    }
    return true;
  }
  for (let at = start; at < end; at++) {
    const count = page[at] as number;
    if (count === LARGE || count !== getRefcount(block, bits, index + at - start)) return false;
  }
  return true;
}
