/** An open qcow2 image as the block layer sees it. */
import type { MaybePromise } from '../../base/async.ts';
import type {
  Amender,
  Backing,
  BeyondEnd,
  BitmapStore,
  Checker,
  Compressor,
  FormatInfo,
  ImageDriver,
  Quirks,
  SnapshotStore,
  Writing,
} from '../../block/capabilities.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { Limits, Preallocation, Storage } from '../../storage/storage.ts';
import { amenderOf } from './change/amend.ts';
import { backingOf } from './change/backing.ts';
import { checkerOf } from './check/checker.ts';
import { SpecialReader } from './guest/special.ts';
import { compressorOf } from './guest/compress.ts';
import { closeImage, flushImage } from './flush.ts';
import type { Qcow2State } from './state.ts';
import { infoOf } from './info.ts';
import { map } from './guest/mapping.ts';
import { resize } from './change/resize.ts';
import { allocate } from './guest/write.ts';
import { canRecordZeroes, discard, writeZeroes } from './guest/zero.ts';

/** One open image: everything that can be done with it, in the rooms of this folder. */
export class Qcow2Image implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly beyondEnd: BeyondEnd;
  readonly backing: Backing;
  /** State of the image, for the rooms of this folder. */
  readonly state: Qcow2State;
  readonly #special: SpecialReader;
  readonly compressor: Compressor;
  readonly allocationUnit: number;
  readonly quirks: Quirks;
  readonly limits: Partial<Limits>;
  readonly checker: Checker;
  readonly amender: Amender | undefined;
  /** Absent while the structure of the image is in doubt. */
  readonly snapshots: SnapshotStore | undefined;
  readonly #writeZeroes: NonNullable<Writing['writeZeroes']>;

  constructor(state: Qcow2State, snapshots?: SnapshotStore) {
    this.state = state;
    this.snapshots = snapshots;
    this.#special = new SpecialReader(state);
    this.compressor = compressorOf(state);
    this.checker = checkerOf(state);
    this.amender = state.readOnly ? undefined : amenderOf(state);
    this.backing = backingOf(state);
    this.#writeZeroes = (offset, length, flags) => writeZeroes(state, offset, length, flags);
    this.allocationUnit = state.geometry.clusterSize;
    this.quirks = {
      strideUnit: state.geometry.l2Coverage,
      zeroesWholeUnits: true,
      noBitmaps: 'Cannot store dirty bitmaps in qcow2 v2 files',
    };
    this.beyondEnd = { data: 'told', vouches: (storage, offset) => this.#vouches(storage, offset) };
    this.limits = {
      requestAlignment: state.header.cryptMethod === 0 ? 1 : 512,
      writeZeroesAlignment: state.geometry.subclusterSize,
      discardAlignment: state.geometry.clusterSize,
    };
  }

  /** Refcounts say what was cut off; where they do not, an entry is wild, and the real tool reads zeroes in silence. */
  #vouches(storage: Storage, offset: number): MaybePromise<boolean> {
    return storage !== this.state.file || this.state.refcounts.mayUse(Math.floor(offset / this.allocationUnit));
  }

  get bitmaps(): BitmapStore | undefined {
    return this.state.bitmaps;
  }

  get events(): Storage['debugEvent'] {
    return this.state.file.debugEvent;
  }

  get virtualSize(): number {
    return this.state.header.virtualSize;
  }

  get children(): readonly { readonly role: string; readonly node: Storage }[] {
    const { state } = this;
    return state.data === state.file ? [] : [{ role: 'data-file', node: state.data }];
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return map(this.state, offset, length);
  }

  readSpecial(offset: number, into: Uint8Array): Promise<void> {
    return this.#special.read(offset, into);
  }

  allocate(offset: number, length: number): Promise<Allocation> {
    return allocate(this.state, offset, length);
  }

  /** Zeroes can be recorded unless an old image would have to hide its backing image. */
  get writeZeroes(): Writing['writeZeroes'] {
    return canRecordZeroes(this.state) ? this.#writeZeroes : undefined;
  }

  discard(offset: number, length: number): Promise<void> {
    return discard(this.state, offset, length);
  }

  resize(size: number, preallocation: Preallocation, covered: boolean): Promise<void> {
    return resize(this.state, size, preallocation, covered);
  }

  async unrecorded(changes: () => Promise<void>): Promise<void> {
    this.state.recording = false;
    try {
      await changes();
    } finally {
      this.state.recording = true;
    }
  }

  flush(): Promise<void> {
    return flushImage(this.state);
  }

  async close(): Promise<void> {
    try {
      await closeImage(this.state);
    } finally {
      if (this.state.data !== this.state.file) await this.state.data.close();
    }
  }

  info(): FormatInfo {
    return infoOf(this.state, { bitmaps: this.state.bitmaps?.info() });
  }
}
