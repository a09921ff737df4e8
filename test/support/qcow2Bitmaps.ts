/** What a persistent bitmap may and must hold, for models of qcow2 images. */
import { expect } from 'vitest';

/** Bounds on one bitmap, a byte for each granule. */
export class BitmapModel {
  readonly granularity: number;
  enabled: boolean;
  /** Granules whose content changed while the bitmap recorded. */
  #must: Uint8Array;
  /** Granules that a request touched, in whole clusters. */
  #may: Uint8Array;

  constructor(granularity: number, size: number, enabled: boolean) {
    this.granularity = granularity;
    this.enabled = enabled;
    this.#must = new Uint8Array(Math.ceil(size / granularity));
    this.#may = new Uint8Array(this.#must.length);
  }

  copy(): BitmapModel {
    const other = new BitmapModel(this.granularity, 0, this.enabled);
    other.#must = this.#must.slice();
    other.#may = this.#may.slice();
    return other;
  }

  /** A request touched a byte range. */
  touch(start: number, end: number): void {
    this.#may.fill(1, Math.floor(start / this.granularity), Math.ceil(end / this.granularity));
  }

  /** Bytes from `start` on are `after` now and were `before`. */
  change(start: number, before: Uint8Array, after: Uint8Array): void {
    for (let i = 0; i < Math.min(before.length, after.length); ) {
      const granule = Math.floor((start + i) / this.granularity);
      if (this.#must[granule] === 1) i = (granule + 1) * this.granularity - start;
      else if (before[i++] !== after[i - 1]) this.#must[granule] = 1;
    }
  }

  clear(): void {
    this.#must.fill(0);
    this.#may.fill(0);
  }

  resize(size: number): void {
    const length = Math.ceil(size / this.granularity);
    this.#must = fitted(this.#must, length);
    this.#may = fitted(this.#may, length);
  }

  /** Takes over what another bitmap of the same size holds. */
  merge(other: BitmapModel): void {
    const spread = (from: Uint8Array, to: Uint8Array): void => {
      for (const [granule, dirty] of from.entries()) {
        if (!dirty) continue;
        const end = Math.ceil(((granule + 1) * other.granularity) / this.granularity);
        to.fill(1, Math.floor((granule * other.granularity) / this.granularity), end);
      }
    };
    spread(other.#must, this.#must);
    spread(other.#may, this.#may);
  }

  /** Holds the dirty runs of a bitmap against the bounds. */
  async expectRanges(ranges: AsyncIterable<{ readonly offset: number; readonly length: number }>): Promise<void> {
    const found = new Uint8Array(this.#must.length);
    for await (const { offset, length } of ranges) {
      found.fill(1, Math.floor(offset / this.granularity), Math.ceil((offset + length) / this.granularity));
    }
    const missing: number[] = [];
    const surplus: number[] = [];
    for (const [granule, dirty] of found.entries()) {
      if (this.#must[granule] === 1 && !dirty) missing.push(granule);
      if (dirty && this.#may[granule] !== 1) surplus.push(granule);
    }
    expect({ missing, surplus }).toEqual({ missing: [], surplus: [] });
  }
}

function fitted(flags: Uint8Array, length: number): Uint8Array {
  const result = new Uint8Array(length);
  result.set(flags.subarray(0, length));
  return result;
}
