/** An open QED image as the block layer sees it. */
import type { MaybePromise } from '../../base/async.ts';
import { utf8Bytes } from '../../base/bytes.ts';
import { BlockError, invalidArgument, unsupported } from '../../base/error.ts';
import { alignDown } from '../../base/offset.ts';
import type {
  Backing,
  BackingReference,
  Checker,
  FormatInfo,
  ImageDriver,
  Quirks,
  Writing,
} from '../../block/capabilities.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { Preallocation, ZeroFlags } from '../../storage/storage.ts';
import { checkerOf } from './check.ts';
import { backingFields, Feature, HEADER_SIZE, isVirtualSize, MAX_BACKING_NAME } from './header.ts';
import type { QedState } from './state.ts';
import { map } from './mapping.ts';
import { allocate, writeZeroes } from './write.ts';

/** Requests have less than 2 GiB. */
const MAX_REQUEST = 2147483647;

/** One open image: everything that can be done with it, in the files of this folder. */
export class QedImage implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly quirks: Quirks = { inSectors: true };
  readonly backing: Backing;
  readonly #state: QedState;
  readonly allocationUnit: number;
  readonly limits: NonNullable<ImageDriver['limits']>;
  readonly checker: Checker;

  constructor(state: QedState) {
    this.#state = state;
    const { clusterSize } = state.header;
    this.allocationUnit = clusterSize;
    this.limits = { writeZeroesAlignment: clusterSize, maxWriteZeroes: alignDown(MAX_REQUEST, clusterSize) };
    this.checker = checkerOf(state);
    this.backing = backingOf(state);
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

  writeZeroes(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    return writeZeroes(this.#state, offset, length, flags);
  }

  async resize(size: number, preallocation: Preallocation): Promise<void> {
    const { header } = this.#state;
    if (preallocation !== 'off') {
      throw unsupported(`Unsupported preallocation mode '${preallocation}'`);
    }
    if (!isVirtualSize(size, header.clusterSize, header.tableClusters)) {
      throw invalidArgument('Invalid image size specified');
    }
    if (size < header.virtualSize) {
      throw unsupported('Shrinking images is currently not supported');
    }
    await this.#state.flush();
    await this.#state.changeHeader({ virtualSize: size });
  }

  flush(): Promise<void> {
    return this.#state.flush();
  }

  async close(): Promise<void> {
    if (this.#state.readOnly) return;
    await this.#state.flush();
    await this.#state.endChanges();
  }

  info(): FormatInfo {
    return { clusterSize: this.#state.header.clusterSize, dirty: false };
  }
}

/** What the image does with its backing image. */
function backingOf(image: QedState): Backing {
  return {
    get reference() {
      return image.backing;
    },
    set: (backing) => setBacking(image, backing),
  };
}

/** Names another backing image in the header. */
async function setBacking(image: QedState, backing: BackingReference | undefined): Promise<void> {
  const { header } = image;
  const name = utf8Bytes(backing?.file ?? '');
  const room = header.headerClusters * header.clusterSize - HEADER_SIZE;
  if (name.length > Math.min(room, MAX_BACKING_NAME)) {
    throw new BlockError('no-space', 'No space left in the file header');
  }
  await image.flush();
  const kept = header.features & Feature.needCheck;
  const fields = backingFields(backing);
  // Name and header in one write, so that no interruption can leave one without the other.
  await image.changeHeader({ ...fields, features: fields.features | kept }, name);
  image.backing = backing;
}
