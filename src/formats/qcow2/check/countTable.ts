/** How often each host cluster was seen, in little memory: pages of 16-bit counts, made when they are needed. */

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

  /** One more than the highest cluster that was counted. */
  get end(): number {
    return this.#end;
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
    const number = (cluster - inPage) / PAGE;
    let page = this.#pages.get(number);
    if (!page) {
      page = new Uint16Array(PAGE);
      this.#pages.set(number, page);
    }
    const sum = this.get(cluster) + times;
    page[inPage] = Math.min(sum, LARGE);
    if (sum >= LARGE) this.#large.set(cluster, sum);
    if (cluster >= this.#end) this.#end = cluster + 1;
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
