/** A set of cluster numbers that is small where the numbers are dense, and bounded by its members where they are not. */

/** Numbers in a page of the set. */
const PAGE = 1024;

/** A set of whole numbers from 0 on. */
export class UnitSet {
  readonly #pages = new Map<number, Uint8Array>();
  #size = 0;
  /** Numbers below are all members. */
  #lowest = 0;

  #at(unit: number): readonly [page: number, byte: number, mask: number] {
    const inside = unit % PAGE;
    return [(unit - inside) / PAGE, inside >>> 3, 1 << (inside & 7)];
  }

  /** How many numbers are in the set. */
  get size(): number {
    return this.#size;
  }

  has(unit: number): boolean {
    const [page, byte, mask] = this.#at(unit);
    return ((this.#pages.get(page)?.[byte] ?? 0) & mask) !== 0;
  }

  /** Puts a number in; false if it was there. */
  add(unit: number): boolean {
    const [page, byte, mask] = this.#at(unit);
    let bits = this.#pages.get(page);
    if (!bits) {
      bits = new Uint8Array(PAGE / 8);
      this.#pages.set(page, bits);
    }
    const old = bits[byte] ?? 0;
    if ((old & mask) !== 0) return false;
    bits[byte] = old | mask;
    this.#size++;
    return true;
  }

  delete(unit: number): void {
    const [page, byte, mask] = this.#at(unit);
    const bits = this.#pages.get(page);
    const old = bits?.[byte] ?? 0;
    if (!bits || (old & mask) === 0) return;
    bits[byte] = old & ~mask;
    this.#size--;
    this.#lowest = Math.min(this.#lowest, unit);
  }

  /** The first number that is not in the set, and how many of those that follow are not either, up to `most`. */
  firstGap(most: number): { readonly start: number; readonly count: number } {
    while (this.has(this.#lowest)) this.#lowest++;
    let count = 1;
    while (count < most && !this.has(this.#lowest + count)) count++;
    return { start: this.#lowest, count };
  }
}
