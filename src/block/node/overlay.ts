/** An overlay that nobody keeps: what is written goes into a storage beside the image, which stays as it is. */
import { alignDown, alignUp, KiB } from '../../base/offset.ts';
import type { Storage } from '../../storage/storage.ts';
import type { FormatInfo, ImageDriver, Writing } from '../capabilities.ts';
import type { Allocation, Mapping } from '../mapping.ts';
import { ImageNode } from './node.ts';

/** Guest bytes that are stored as one. */
const UNIT = 64 * KiB;

/** What is known of a unit. */
const State = { below: 0, stored: 1, zero: 2 } as const;

/** The layer: each unit that was written is where it is in the guest's disk. */
class Overlay implements ImageDriver {
  readonly virtualSize: number;
  readonly allocationUnit: number = UNIT;
  readonly writing: Writing;
  readonly #storage: Storage;
  /** A byte for each unit. */
  readonly #states: Uint8Array;

  constructor(size: number, storage: Storage) {
    this.virtualSize = size;
    this.#storage = storage;
    this.#states = new Uint8Array(Math.ceil(size / UNIT));
    this.writing = {
      allocate: (offset, length) => this.#allocate(offset, length),
      writeZeroes: (offset, length) => this.#zero(offset, length),
      discard: (offset, length) => this.#zero(offset, length),
    };
  }

  map(offset: number, length: number): Mapping {
    const state = this.#state(offset);
    const run = Math.min(length, this.#run(offset, offset + length) - offset);
    if (state === State.stored) return { kind: 'data', length: run, storage: this.#storage, offset };
    return { kind: state === State.zero ? 'zero' : 'unallocated', length: run };
  }

  #state(offset: number): number {
    return this.#states[Math.floor(offset / UNIT)] ?? State.below;
  }

  /** The end of the units from `offset` on that are in the same state; it may be behind `end`. */
  #run(offset: number, end: number): number {
    const state = this.#state(offset);
    let unit = Math.floor(offset / UNIT) + 1;
    while (unit * UNIT < end && this.#states[unit] === state) unit++;
    return unit * UNIT;
  }

  #allocate(offset: number, length: number): Allocation {
    const end = this.#run(offset, offset + length);
    if (this.#state(offset) === State.stored) {
      return { start: offset, length: end - offset, storage: this.#storage, offset, fresh: false };
    }
    const start = alignDown(offset, UNIT);
    const room = Math.min(end, alignUp(offset + length, UNIT)) - start;
    return {
      start,
      length: room,
      storage: this.#storage,
      offset: start,
      fresh: true,
      commit: () => this.#mark(start, room, State.stored),
    };
  }

  /** Whole units, or up to the end of the image. */
  #zero(offset: number, length: number): void {
    this.#mark(offset, length, State.zero);
  }

  #mark(offset: number, length: number, state: number): void {
    this.#states.fill(state, Math.floor(offset / UNIT), Math.ceil((offset + length) / UNIT));
  }

  info(): FormatInfo {
    return {};
  }

  /** Nobody is going to look for it. */
  flush(): void {
    // Nothing is kept.
  }

  close(): void {
    // Nor here.
  }
}

/**
 * An image that begins as `below` is and can be written to, without a change below.
 * @param storage takes what is written; both are closed with the image.
 */
export function temporaryOverlay(below: ImageNode, storage: Storage): ImageNode {
  return new ImageNode({
    name: below.name,
    format: below.format,
    driver: new Overlay(below.size(), storage),
    readOnly: false,
    file: storage,
    backing: below,
    unsafe: true,
  });
}
