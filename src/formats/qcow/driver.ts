/** The qcow (version 1) driver: registration, options, and the image's face to the block layer. */
import type { MaybePromise } from '../../base/async.ts';
import { Fields } from '../../base/bytes.ts';
import { asBlockError, type BlockError } from '../../base/error.ts';
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
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import { MissingTables } from '../../block/node/missing.ts';
import type { Limits, Storage } from '../../storage/storage.ts';
import { create } from './create.ts';
import { deepCheckerOf } from './deepCheck.ts';
import { checkFormatOption, cipherOf } from './encryption.ts';
import { HEADER_SIZE, type Header, parseHeader } from './header.ts';
import { QcowImage } from './image.ts';
import { createOptions, openOptions } from './options.ts';
import { map } from './mapping.ts';
import { probe } from './probe.ts';
import { SpecialReader } from './special.ts';
import { allocate, compressorOf } from './write.ts';

/** An open qcow image as the block layer sees it. */
class QcowDriver implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly beyondEnd: BeyondEnd = { data: 'told' };
  readonly #image: QcowImage;
  readonly #special: SpecialReader;
  readonly backing: Backing;
  readonly allocationUnit: number;
  readonly quirks: Quirks;
  readonly limits: Partial<Limits>;
  readonly compressor: Compressor;
  readonly checker: Checker;

  constructor(image: QcowImage, backing: BackingReference | undefined) {
    this.#image = image;
    this.#special = new SpecialReader(image);
    this.backing = { reference: backing, makeEmpty: () => image.makeEmpty() };
    this.allocationUnit = image.clusterSize;
    this.quirks = { strideUnit: image.clusterSize, inSectors: true };
    this.limits = { requestAlignment: image.encrypted ? 512 : 1 };
    this.compressor = compressorOf(image);
    this.checker = deepCheckerOf(image);
  }

  get virtualSize(): number {
    return this.#image.header.virtualSize;
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return map(this.#image, offset, length);
  }

  readSpecial(offset: number, into: Uint8Array): Promise<void> {
    return this.#special.read(offset, into);
  }

  allocate(offset: number, length: number): Promise<Allocation> {
    return allocate(this.#image, offset, length);
  }

  flush(): Promise<void> {
    return this.#image.flush();
  }

  close(): Promise<void> {
    return this.#image.flush();
  }

  info(): FormatInfo {
    const { clusterSize, encrypted } = this.#image;
    return { clusterSize, dirty: false, ...(encrypted ? { encrypted } : {}) };
  }
}

/** The backing image that the header names; the format does not record its format. */
async function readBacking(file: Storage, header: Header): Promise<BackingReference | undefined> {
  if (header.backingOffset === 0 || header.backingLength === 0) return undefined;
  const bytes = new Uint8Array(header.backingLength);
  await file.readPadded(header.backingOffset, bytes);
  const name = new Fields(bytes, 'big').utf8(0, bytes.length);
  return name === '' ? undefined : { file: name };
}

/** Tables at impossible places are reported as what reading them comes to, with the name once more. */
function openError(thrown: unknown, filename: string): BlockError {
  const error = asBlockError(thrown);
  return error.kind === 'io' ? error.prepend(`Could not open '${filename}': `) : error;
}

async function open(context: OpenContext<typeof openOptions>): Promise<ImageDriver> {
  const { file, filename, readOnly, services, options } = context;
  const bytes = new Uint8Array(HEADER_SIZE);
  await file.readPadded(0, bytes);
  let header: Header;
  try {
    header = parseHeader(bytes);
  } catch (thrown) {
    throw openError(thrown, filename);
  }
  checkFormatOption(header, options);
  const wantsKey = header.encryption !== 0 && !context.keyless;
  const cipher = wantsKey ? await cipherOf(services, options) : undefined;
  const image = new QcowImage({ file, header, filename, readOnly, services, cipher });
  if (context.tellMissing) image.missing = new MissingTables(file, context.tellMissing);
  return new QcowDriver(image, await readBacking(file, header));
}

/** The qcow format, version 1. */
export const qcow: FormatDriver = {
  name: 'qcow',
  probe,
  openOptions,
  createOptions,
  compresses: true,
  unknownBackingFormat: (format) => `unrecognized backing format '${format}'`,
  open,
  create,
} satisfies FormatDriver<typeof openOptions, typeof createOptions>;
