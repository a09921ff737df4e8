/** The qcow2 driver: registration, options, and the image's face to the block layer. */
import type { MaybePromise } from '../../base/async.ts';
import type {
  Amender,
  BackingReference,
  BitmapStore,
  Checker,
  Compressor,
  FormatInfo,
  ImageDriver,
  SnapshotStore,
} from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { Limits, Preallocation, Storage, ZeroFlags } from '../../storage/storage.ts';
import { amenderOf } from './amend.ts';
import { makeEmpty, setBacking } from './backing.ts';
import { openBitmaps } from './bitmap.ts';
import { checkerOf } from './checker.ts';
import { SpecialReader } from './compressedRead.ts';
import { compressorOf } from './compress.ts';
import { create } from './create.ts';
import { openEncryption } from './crypt.ts';
import { repairDirty } from './dirty.ts';
import { closeImage, flushImage } from './flush.ts';
import type { Qcow2Image } from './image.ts';
import { infoOf } from './info.ts';
import { Incompatible } from './layout.ts';
import { map } from './mapping.ts';
import { measure } from './measure.ts';
import { openQcow2, prepareForWriting } from './open.ts';
import { amendOptions, createOptions, openOptions } from './options.ts';
import { probe } from './probe.ts';
import { metadataOnly } from './preallocation.ts';
import { resize } from './resize.ts';
import { Snapshots } from './snapshot.ts';
import { readSnapshotTable } from './snapshotTable.ts';
import { allocate } from './write.ts';
import { canRecordZeroes, discard, writeZeroes } from './zero.ts';

/** An open qcow2 image as the block layer sees it. */
export class Qcow2Driver implements ImageDriver {
  readonly beyondEnd = 'told';
  /** State of the image, for the other files of this folder. */
  readonly state: Qcow2Image;
  readonly #special: SpecialReader;
  readonly compressor: Compressor;
  readonly allocationUnit: number;
  readonly strideUnit: number;
  readonly growsOverBacking: boolean = true;
  readonly limits: Partial<Limits>;
  readonly checker: Checker;
  readonly amender: Amender | undefined;
  /** Absent while the structure of the image is in doubt. */
  readonly snapshots: SnapshotStore | undefined;
  readonly completesZeroes = true;
  /** Absent where zeroes cannot be recorded. */
  writeZeroes?: (offset: number, length: number, flags: ZeroFlags) => Promise<void>;

  constructor(state: Qcow2Image, snapshots?: SnapshotStore) {
    this.state = state;
    this.snapshots = snapshots;
    this.#special = new SpecialReader(state);
    this.compressor = compressorOf(state);
    this.checker = checkerOf(state);
    this.amender = state.readOnly ? undefined : amenderOf(state, () => this.#offerZeroes());
    this.#offerZeroes();
    this.allocationUnit = state.geometry.clusterSize;
    this.strideUnit = state.geometry.l2Coverage;
    this.limits = {
      requestAlignment: state.header.cryptMethod === 0 ? 1 : 512,
      writeZeroesAlignment: state.geometry.subclusterSize,
      discardAlignment: state.geometry.clusterSize,
    };
  }

  /** Refcounts say what was cut off; where they do not, an entry is wild, and the real tool reads zeroes in silence. */
  vouches(storage: Storage, offset: number): MaybePromise<boolean> {
    return storage !== this.state.file || this.state.refcounts.mayUse(Math.floor(offset / this.allocationUnit));
  }

  get bitmaps(): BitmapStore | undefined {
    return this.state.bitmaps;
  }

  get virtualSize(): number {
    return this.state.header.virtualSize;
  }

  get children(): readonly { readonly role: string; readonly node: Storage }[] {
    const { state } = this;
    return state.data === state.file ? [] : [{ role: 'data-file', node: state.data }];
  }

  get backing(): BackingReference | undefined {
    const { backingFile, backingFormat } = this.state.header;
    if (backingFile === undefined) return undefined;
    return { file: backingFile, ...(backingFormat === undefined ? {} : { format: backingFormat }) };
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
  #offerZeroes(): void {
    if (canRecordZeroes(this.state)) {
      this.writeZeroes = (offset, length, flags) => writeZeroes(this.state, offset, length, flags);
    } else {
      delete this.writeZeroes;
    }
  }

  discard(offset: number, length: number): Promise<void> {
    return discard(this.state, offset, length);
  }

  resize(size: number, preallocation: Preallocation, covered = false): Promise<void> {
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

  async setBacking(backing: BackingReference | undefined): Promise<void> {
    await setBacking(this.state, backing);
    this.#offerZeroes();
  }

  makeEmpty(): Promise<void> {
    return makeEmpty(this.state);
  }
}

async function open(context: OpenContext<typeof openOptions>): Promise<ImageDriver> {
  const image = await openQcow2(context);
  const snapshots =
    context.intent === 'check' ? undefined : new Snapshots(image, await readSnapshotTable(image.file, image.header));
  image.bitmaps = await openBitmaps(image);
  await openEncryption(image, context);
  if (context.intent === 'io') {
    image.sparse = await metadataOnly(image);
  }
  if (!context.readOnly) {
    if ((image.header.incompatible & Incompatible.dirty) !== 0 && context.intent === 'io') await repairDirty(image);
    if (context.intent !== 'info') await prepareForWriting(image);
    if (context.intent === 'io') await image.bitmaps?.probeDirectory();
  }
  return new Qcow2Driver(image, snapshots);
}

/** The qcow2 format. */
export const qcow2: FormatDriver = {
  name: 'qcow2',
  probe,
  openOptions,
  createOptions,
  amendOptions,
  supportsBacking: true,
  compresses: true,
  open,
  create,
  measure,
} satisfies FormatDriver<typeof openOptions, typeof createOptions>;
