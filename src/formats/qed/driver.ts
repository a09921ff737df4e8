/** The QED driver: registration, options, and the image's face to the block layer. */
import type { MaybePromise } from '../../base/async.ts';
import { Fields, utf8Bytes } from '../../base/bytes.ts';
import { BlockError, invalidArgument, unsupported } from '../../base/error.ts';
import { alignDown, alignUp, SECTOR } from '../../base/offset.ts';
import type {
  Backing,
  BackingReference,
  Checker,
  FormatInfo,
  ImageDriver,
  Quirks,
  Writing,
} from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { OptionTable } from '../../options/table.ts';
import type { Preallocation, Storage, ZeroFlags } from '../../storage/storage.ts';
import { checkerOf, repairUnclean } from './check.ts';
import { create, createOptions } from './create.ts';
import {
  backingFields,
  encodeHeader,
  Feature,
  HEADER_SIZE,
  type Header,
  isVirtualSize,
  MAX_BACKING_NAME,
  parseHeader,
} from './header.ts';
import { QedImage } from './image.ts';
import { map } from './mapping.ts';
import { probe } from './probe.ts';
import { allocate, writeZeroes } from './write.ts';

/** Requests have less than 2 GiB. */
const MAX_REQUEST = 2147483647;

/** An open QED image as the block layer sees it. */
class QedDriver implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly quirks: Quirks = { inSectors: true };
  readonly backing: Backing;
  readonly #image: QedImage;
  readonly allocationUnit: number;
  readonly limits: NonNullable<ImageDriver['limits']>;
  readonly checker: Checker;

  constructor(image: QedImage) {
    this.#image = image;
    const { clusterSize } = image.header;
    this.allocationUnit = clusterSize;
    this.limits = { writeZeroesAlignment: clusterSize, maxWriteZeroes: alignDown(MAX_REQUEST, clusterSize) };
    this.checker = checkerOf(image);
    this.backing = backingOf(image);
  }

  get virtualSize(): number {
    return this.#image.header.virtualSize;
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return map(this.#image, offset, length);
  }

  allocate(offset: number, length: number): Promise<Allocation> {
    return allocate(this.#image, offset, length);
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    return writeZeroes(this.#image, offset, length, flags);
  }

  async resize(size: number, preallocation: Preallocation): Promise<void> {
    const { header } = this.#image;
    if (preallocation !== 'off') {
      throw unsupported(`Unsupported preallocation mode '${preallocation}'`);
    }
    if (!isVirtualSize(size, header.clusterSize, header.tableClusters)) {
      throw invalidArgument('Invalid image size specified');
    }
    if (size < header.virtualSize) {
      throw unsupported('Shrinking images is currently not supported');
    }
    await this.#image.flush();
    header.virtualSize = size;
    await this.#image.writeHeader();
    await this.#image.file.flush();
  }

  flush(): Promise<void> {
    return this.#image.flush();
  }

  async close(): Promise<void> {
    if (this.#image.readOnly) return;
    await this.#image.flush();
    await this.#image.endChanges();
  }

  info(): FormatInfo {
    return { clusterSize: this.#image.header.clusterSize, dirty: false };
  }
}

/** What the image does with its backing image. */
function backingOf(image: QedImage): Backing {
  return {
    get reference() {
      return image.backing;
    },
    set: (backing) => setBacking(image, backing),
  };
}

/** Names another backing image in the header. */
async function setBacking(image: QedImage, backing: BackingReference | undefined): Promise<void> {
  const { header, file } = image;
  const name = utf8Bytes(backing?.file ?? '');
  const room = header.headerClusters * header.clusterSize - HEADER_SIZE;
  if (name.length > Math.min(room, MAX_BACKING_NAME)) {
    throw new BlockError('no-space', 'No space left in the file header');
  }
  await image.flush();
  const kept = header.features & Feature.needCheck;
  Object.assign(header, backingFields(backing));
  header.features |= kept;
  // Name and header in one write, so that no interruption can leave one without the other.
  const bytes = new Uint8Array(HEADER_SIZE + name.length);
  bytes.set(encodeHeader(header));
  bytes.set(name, HEADER_SIZE);
  await file.write(0, bytes);
  await file.flush();
  image.backing = backing;
}

/** The backing image that the header names. */
async function readBacking(file: Storage, header: Header): Promise<BackingReference | undefined> {
  if ((header.features & Feature.backing) === 0) return undefined;
  const bytes = new Uint8Array(Math.min(header.backingLength, MAX_BACKING_NAME));
  await file.readPadded(header.backingOffset, bytes);
  const name = new Fields(bytes, 'little').utf8(0, bytes.length);
  if (name === '') return undefined;
  return (header.features & Feature.rawBacking) === 0 ? { file: name } : { file: name, format: 'raw' };
}

async function open(context: OpenContext): Promise<ImageDriver> {
  const { file, readOnly } = context;
  const bytes = new Uint8Array(HEADER_SIZE);
  await file.readPadded(0, bytes);
  const header = parseHeader(bytes, alignUp(file.size(), SECTOR));
  const image = new QedImage({ file, header, readOnly, backing: await readBacking(file, header) });
  if (!readOnly && context.intent !== 'info') {
    // Features that this program does not keep up to date.
    if (header.autoclear !== 0n) {
      header.autoclear = 0n;
      await image.writeHeader();
      await file.flush();
    }
    if (context.intent === 'io') await repairUnclean(image);
  }
  return new QedDriver(image);
}

/** The QED format. */
export const qed: FormatDriver = {
  name: 'qed',
  probe,
  openOptions: {},
  createOptions,
  unknownBackingFormat: (format) => `Parameter 'backing-fmt' does not accept value '${format}'`,
  open,
  create,
} satisfies FormatDriver<OptionTable, typeof createOptions>;
