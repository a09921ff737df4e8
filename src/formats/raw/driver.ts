/** Raw images: the bytes of the storage as they are, or a window of them. */
import { invalidArgument, unsupported } from '../../base/error.ts';
import type { FormatInfo, ImageDriver, Quirks, Writing } from '../../block/capabilities.ts';
import type { CreateContext, FormatDriver, MeasureContext, Measurement, OpenContext } from '../../block/format.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { ProtocolStorage } from '../../block/protocol.ts';
import type { MaybePromise } from '../../base/async.ts';
import { alignUp, MAX_SIZE } from '../../base/offset.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import { readAt, type Preallocation, type Storage, type ZeroFlags } from '../../storage/storage.ts';

const openOptions = {
  offset: { kind: 'size', help: 'First byte of the storage that belongs to the image' },
  size: { kind: 'size', help: 'Bytes of the storage that belong to the image' },
} as const satisfies OptionTable;

const createOptions = {
  size: { kind: 'size', help: 'Virtual disk size' },
} as const satisfies OptionTable;

/** Bytes by which the real tool tells whether a raw image turns into another format. */
const HEAD = 512;

/** An open raw image. */
class RawImage implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly quirks: Quirks;
  readonly #file: Storage;
  readonly #offset: number;
  /** Fixed by an option; undefined: up to the end of the storage. */
  readonly #size: number | undefined;
  readonly #admitStart: OpenContext['admitStart'];

  constructor(
    { file, admitStart }: Pick<OpenContext, 'file' | 'admitStart'>,
    offset: number,
    size: number | undefined,
  ) {
    this.#file = file;
    this.#offset = offset;
    this.#size = size;
    this.#admitStart = admitStart;
    // The clusters are those of what is below.
    this.quirks = { unknownClusters: (file as ProtocolStorage).quirks?.unknownClusters };
  }

  get virtualSize(): number {
    return this.#size ?? alignUp(Math.max(0, alignUp(this.#file.size(), 512) - this.#offset), 512);
  }

  get limits(): ImageDriver['limits'] & object {
    return this.#file.limits;
  }

  get events(): Storage['debugEvent'] {
    return this.#file.debugEvent;
  }

  map(offset: number, length: number): Mapping {
    return { kind: 'data', length, storage: this.#file, offset: this.#offset + offset, sparse: true };
  }

  allocate(offset: number, length: number): Allocation {
    const room = { start: offset, length, storage: this.#file, offset: this.#offset + offset, fresh: false };
    if (!this.#admitStart || offset >= HEAD) return room;
    return { ...room, length: Math.min(length, HEAD - offset), encode: (at, bytes) => this.#admitted(at, bytes) };
  }

  /** Bytes for the first sector, if it may hold them. */
  async #admitted(offset: number, bytes: Uint8Array): Promise<Uint8Array> {
    const head = await readAt(this.#file, this.#offset, HEAD);
    head.set(bytes, offset);
    this.#admitStart?.(head);
    return bytes;
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    return this.#file.writeZeroes(this.#offset + offset, length, flags);
  }

  discard(offset: number, length: number): MaybePromise<void> {
    return this.#file.discard(this.#offset + offset, length);
  }

  async resize(size: number, preallocation: Preallocation): Promise<void> {
    if (this.#size !== undefined) throw unsupported('Cannot resize fixed-size raw disks');
    if (size > MAX_SIZE - this.#offset) throw invalidArgument('Disk size too large for the chosen offset');
    const end = this.#offset + size;
    // Of an image inside a device, only what the format needs has to fit; here the device is the image.
    const { fixed } = this.#file as Partial<ProtocolStorage>;
    if (fixed !== undefined && end !== alignUp(this.#file.size(), 512)) throw fixed();
    await this.#file.truncate(end, preallocation);
  }

  flush(): MaybePromise<void> {
    return this.#file.flush();
  }

  close(): void {}

  info(): FormatInfo {
    return {};
  }

  allocatedSize(): MaybePromise<number | undefined> {
    return this.#file.allocatedSize();
  }
}

async function open(context: OpenContext<typeof openOptions>): Promise<ImageDriver> {
  const { offset = 0, size } = context.options;
  const real = alignUp(context.file.size(), 512);
  if (real < offset) {
    throw invalidArgument(`Offset (${offset}) cannot be greater than size of the containing file (${real})`);
  }
  if (size !== undefined && real - offset < size) {
    throw invalidArgument(
      `The sum of offset (${offset}) and size (${size}) has to be smaller or equal to the  actual size of the ` +
        `containing file (${real})`,
    );
  }
  if (size !== undefined && size % 512 !== 0) {
    throw invalidArgument('Specified size is not multiple of 512');
  }
  return new RawImage(context, offset, size);
}

/** The file is there already; preallocation is an option of the protocol, which has made it that way. */
async function create(context: CreateContext, options: OptionValues<typeof createOptions>): Promise<void> {
  const size = alignUp(options.size ?? 0, 512);
  if (context.file.size() !== size) await context.file.truncate(size);
}

async function measure(context: MeasureContext): Promise<Measurement> {
  const size = alignUp(context.virtualSize, 512);
  return { required: size, fullyAllocated: size };
}

/** The raw format: what every storage is when no other format fits. */
export const raw: FormatDriver = {
  name: 'raw',
  plain: true,
  sharesFile: true,
  growsFromEmpty: true,
  probe: () => 1,
  openOptions,
  createOptions,
  open,
  create,
  measure,
} satisfies FormatDriver<typeof openOptions, typeof createOptions>;
