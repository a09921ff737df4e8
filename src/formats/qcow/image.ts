/** An open qcow (version 1) image as the block layer sees it. */
import type { MaybePromise } from '../../base/async.ts';
import type {
  Backing,
  BackingReference,
  BeyondEnd,
  Checker,
  Compressor,
  FormatInfo,
  ImageDriver,
  Quirks,
  Writing,
} from '../../block/capabilities.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { Limits } from '../../storage/storage.ts';
import { deepCheckerOf } from './deepCheck.ts';
import type { QcowState } from './state.ts';
import { map } from './mapping.ts';
import { SpecialReader } from './special.ts';
import { allocate, compressorOf } from './write.ts';

/** One open image: everything that can be done with it, in the files of this folder. */
export class QcowImage implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly beyondEnd: BeyondEnd = { data: 'told' };
  readonly #state: QcowState;
  readonly #special: SpecialReader;
  readonly backing: Backing;
  readonly allocationUnit: number;
  readonly quirks: Quirks;
  readonly limits: Partial<Limits>;
  readonly compressor: Compressor;
  readonly checker: Checker;

  constructor(state: QcowState, backing: BackingReference | undefined) {
    this.#state = state;
    this.#special = new SpecialReader(state);
    this.backing = { reference: backing, makeEmpty: () => state.makeEmpty() };
    this.allocationUnit = state.clusterSize;
    this.quirks = { strideUnit: state.clusterSize, inSectors: true };
    this.limits = { requestAlignment: state.encrypted ? 512 : 1 };
    this.compressor = compressorOf(state);
    this.checker = deepCheckerOf(state);
  }

  get virtualSize(): number {
    return this.#state.header.virtualSize;
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return map(this.#state, offset, length);
  }

  readSpecial(offset: number, into: Uint8Array): Promise<void> {
    return this.#special.read(offset, into);
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
    const { clusterSize, encrypted } = this.#state;
    return { clusterSize, dirty: false, ...(encrypted ? { encrypted } : {}) };
  }
}
