/** An open Parallels image as the block layer sees it. */
import type { MaybePromise } from '../../base/async.ts';
import type { Checker, FormatInfo, ImageDriver, Quirks, Writing } from '../../block/capabilities.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import { checkerOf } from './check.ts';
import type { ParallelsState } from './state.ts';
import { allocate, map, release } from './mapping.ts';

/** One open image: everything that can be done with it, in the files of this folder. */
export class ParallelsImage implements ImageDriver, Writing {
  readonly #state: ParallelsState;
  readonly checker: Checker;
  readonly quirks: Quirks = {
    backedByOptions: true,
    ignoresBitmaps: true,
    unknownClusters: true,
    inSectors: true,
    staysReadOnly: true,
  };
  readonly writing: Writing = this;

  constructor(state: ParallelsState) {
    this.#state = state;
    this.checker = checkerOf(state);
  }

  get virtualSize(): number {
    return this.#state.header.virtualSize;
  }

  get allocationUnit(): number {
    return this.#state.header.cluster;
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return map(this.#state, offset, length);
  }

  allocate(offset: number, length: number): Promise<Allocation> {
    return allocate(this.#state, offset, length);
  }

  writeZeroes(offset: number, length: number): Promise<void> {
    return release(this.#state, offset, length);
  }

  discard(offset: number, length: number): Promise<void> {
    return release(this.#state, offset, length);
  }

  flush(): Promise<void> {
    return this.#state.flush();
  }

  close(): Promise<void> {
    return this.#state.close();
  }

  info(): FormatInfo {
    return {};
  }
}
