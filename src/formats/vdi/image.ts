/** An open VDI image as the block layer sees it. */
import type { MaybePromise } from '../../base/async.ts';
import type { BeyondEnd, Checker, FormatInfo, ImageDriver, Quirks, Writing } from '../../block/capabilities.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import { checkerOf } from './check.ts';
import { BLOCK } from './header.ts';
import type { VdiState } from './state.ts';
import { allocate, map } from './mapping.ts';

/** One open image: everything that can be done with it, in the files of this folder. */
export class VdiImage implements ImageDriver, Writing {
  readonly #state: VdiState;
  readonly allocationUnit: number = BLOCK;
  readonly quirks: Quirks = { strideUnit: BLOCK };
  readonly checker: Checker;
  readonly beyondEnd: BeyondEnd = { data: 'lost' };
  readonly writing: Writing = this;

  constructor(state: VdiState) {
    this.#state = state;
    this.checker = checkerOf(state);
  }

  get virtualSize(): number {
    return this.#state.header.virtualSize;
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return map(this.#state, offset, length);
  }

  allocate(offset: number, length: number): Promise<Allocation> {
    return allocate(this.#state, offset, length);
  }

  flush(): Promise<void> {
    return this.#state.flush();
  }

  close(): Promise<void> {
    return this.#state.flush();
  }

  info(): FormatInfo {
    return { clusterSize: BLOCK, dirty: false };
  }
}
