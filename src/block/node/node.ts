/**
 * The complete side of the block layer: an opened image as a {@link Storage} of its guest bytes, and everything else that can
 * be asked of one. The driver is the node's own: nobody else calls it. Bounds and locks are seen to here; `reader.ts` and
 * `writer.ts` do what every format needs and no driver should write again.
 */
import { andThen, type MaybePromise } from '../../base/async.ts';
import { invalidArgument, unsupported } from '../../base/error.ts';
import { alignDown, alignUp, MAX_SIZE } from '../../base/offset.ts';
import type { Extent, KernelCopy, Limits, Preallocation, Storage, ZeroFlags } from '../../storage/storage.ts';
import type {
  Amender,
  BackingReference,
  BitmapStore,
  CheckFindings,
  Checker,
  Coder,
  FormatInfo,
  ImageDriver,
  Quirks,
  RepairMode,
} from '../capabilities.ts';
import type { OpenContext } from '../format.ts';
import type { Mapping } from '../mapping.ts';
import { finishGrowth } from './growth.ts';
import { ImageReader, outOfRange } from './reader.ts';
import type { Report } from '../report.ts';
import { LockedBitmaps, LockedSnapshots, type NodeSnapshots } from './stores.ts';
import { ImageWriter, type PlainRun, readOnlyError } from './writer.ts';

/** What a node is made of. */
export interface NodeParts {
  /** Name of the image for messages: what the user typed, or a `json:` description. */
  readonly name: string;
  /** Name of the format driver. */
  readonly format: string;
  readonly driver: ImageDriver;
  /** As `FormatDriver.plain`. */
  readonly plain?: boolean;
  readonly readOnly: boolean;
  /** The storage below; closed together with the node. Undefined for formats without one. */
  readonly file?: Storage;
  /** The backing image; closed together with the node. */
  readonly backing?: ImageNode;
  /** Set where the node is a filter: the role of what is below it, which is then `file` here. */
  readonly filters?: string;
  /** The node is the `file` of a layer above: what that writes behind the end makes it larger. */
  readonly grows?: boolean;
  /** Opens the image and what is below it once more, as it was described then; see {@link ImageNode.reopen}. */
  readonly reopen?: Reopen;
  readonly tellMissing?: OpenContext['tellMissing'] | undefined;
}

const NO_QUIRKS: Quirks = {};

/** Opens an image anew. `resize`: the size of a raw image is going to change. */
export type Reopen = (how: { readonly writable: boolean; readonly resize?: boolean }) => Promise<ImageNode>;

/**
 * Guest bytes of one image and its backing chain. Requests may run beside each other: a read sees each allocation unit as it
 * is before or after a write, never something between. Images that are open for reading only take no locks.
 */
export class ImageNode implements Storage {
  readonly name: string;
  readonly format: string;
  readonly readOnly: boolean;
  readonly file: Storage | undefined;
  /**
   * Opens the same image for another purpose. The locks of this node stand against that, so close it first. Absent
   * for nodes that were not made by opening an image.
   */
  readonly reopen: Reopen | undefined;
  /** Role of the storage below: `file`, but for filters. */
  readonly fileRole: string;
  /** The guest's bytes are bytes of the file as they are, from some offset on. */
  readonly plain: boolean;
  /** The node has no bytes of its own and no tables: what it says is what its file says. */
  readonly transparent: boolean;
  readonly #image: ImageDriver;
  readonly #grows: boolean;
  #backing: ImageNode | undefined;
  readonly #reader: ImageReader;
  readonly #writer: ImageWriter;
  #closed = false;

  constructor(parts: NodeParts) {
    this.name = parts.name;
    this.format = parts.format;
    this.readOnly = parts.readOnly;
    this.file = parts.file;
    this.reopen = parts.reopen;
    this.fileRole = parts.filters ?? 'file';
    this.plain = parts.plain ?? false;
    this.transparent = this.plain || parts.filters !== undefined || parts.file === undefined;
    this.#backing = parts.backing;
    this.#image = parts.driver;
    this.#grows = parts.grows ?? false;
    const { name, format, driver, tellMissing } = parts;
    const below = (): ImageNode | undefined => this.#backing;
    this.#reader = new ImageReader({ name, format, driver, tellMissing, below, admitBelow: () => this.admitBacking() });
    this.#writer = new ImageWriter(this.#reader, driver);
  }

  /** The backing image, if it was opened. */
  get backing(): ImageNode | undefined {
    return this.#backing;
  }

  /** Puts another backing image below; the caller closes the old one, which is returned. */
  replaceBacking(backing: ImageNode | undefined): ImageNode | undefined {
    const old = this.#backing;
    this.#backing = backing;
    return old;
  }

  get limits(): Limits {
    return { requestAlignment: 1, ...this.#image.limits };
  }

  size(): number {
    return this.#image.virtualSize;
  }

  /** Where the run at `offset` is in this image's own layer; never beyond its end. Takes no lock. */
  map(offset: number, length: number): MaybePromise<Mapping> {
    return this.#reader.map(offset, length);
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    if (this.readOnly) return this.#reader.read(offset, into);
    return this.#writer.reading(offset, into.length, () => this.#reader.read(offset, into));
  }

  readPadded(offset: number, into: Uint8Array): MaybePromise<void> {
    const available = Math.max(0, Math.min(into.length, this.size() - offset));
    if (available < into.length) into.fill(0, available);
    if (available > 0) return this.read(offset, available === into.length ? into : into.subarray(0, available));
  }

  /** @param placed is called once all room is taken: what is written from then on lies behind it. */
  write(offset: number, from: Uint8Array, placed?: () => void): MaybePromise<void> {
    this.#checkWritable('write', offset, from.length);
    if (from.length === 0) return;
    return andThen(this.#reach(offset + from.length), () => this.#writer.write(offset, from, placed));
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags = {}): MaybePromise<void> {
    this.#checkWritable('write zeroes', offset, length);
    if (length === 0) return;
    return andThen(this.#reach(offset + length), () => this.#writer.writeZeroes(offset, length, flags));
  }

  discard(offset: number, length: number): MaybePromise<void> {
    this.#checkWritable('discard', offset, length);
    const unit = this.#image.allocationUnit ?? 1;
    const start = alignUp(offset, unit);
    const end = offset + length === this.size() ? this.size() : alignDown(offset + length, unit);
    if (!this.#image.writing?.discard || end <= start) return;
    return this.#writer.discard(start, end - start);
  }

  /** Holes are what surely reads as zeroes; backing images are looked through. Takes no lock. */
  status(offset: number, length: number): MaybePromise<Extent> {
    return this.#reader.status(offset, length);
  }

  /**
   * Copies from another image or storage inside the kernel, where both sides store the bytes as they are. The source must not
   * be changed meanwhile.
   */
  async copyFrom(source: Storage, from: number, to: number, length: number, how: KernelCopy = 'copy'): Promise<number> {
    this.#checkWritable('copy', to, length);
    const origin = await plainRun(source, from, length);
    if (!origin) return 0;
    await this.#reach(to + length);
    return this.#writer.copyFrom(origin, to, how);
  }

  /** Compressed writing, where the image has it; what was coded goes to {@link ImageNode.storeCompressed}. */
  get compressor(): Coder | undefined {
    return this.#image.writing?.compressor;
  }

  /** Stores one unit that the {@link ImageNode.compressor} coded. */
  storeCompressed(offset: number, coded: Uint8Array): MaybePromise<void> {
    const compressor = this.#image.writing?.compressor;
    if (!compressor) throw unsupported('Compression not supported for this file format');
    this.#checkWritable('write compressed', offset, 0);
    return this.#writer.store(compressor, offset, coded);
  }

  /** Guest bytes that are allocated as one, a power of two; absent where each byte is on its own. */
  get allocationUnit(): number | undefined {
    return this.#image.allocationUnit;
  }

  /** What the real tool does oddly with images of the format. */
  get quirks(): Quirks {
    return this.#image.quirks ?? NO_QUIRKS;
  }

  /** Zeroes can be recorded without being written. */
  get recordsZeroes(): boolean {
    return this.#image.writing?.writeZeroes !== undefined;
  }

  /** The guest-visible size can be changed, though perhaps not to every size. */
  get resizable(): boolean {
    return this.#image.writing?.resize !== undefined;
  }

  /** Storages besides `file` that hold the image's bytes. */
  get children(): NonNullable<ImageDriver['children']> {
    return this.#image.children ?? [];
  }

  /** What `info` shows about the image beyond what every image has. */
  info(): MaybePromise<FormatInfo> {
    return this.#writer.change(() => this.#image.info());
  }

  /** The backing image as the image names it, open or not. */
  get backingReference(): BackingReference | undefined {
    return this.#image.backing?.reference;
  }

  /** The image can be told to name another backing image. */
  get recordsBacking(): boolean {
    return this.#image.backing?.set !== undefined;
  }

  /** Records another backing image; undefined removes it. Content does not change. */
  async setBacking(backing: BackingReference | undefined): Promise<void> {
    const own = this.#image.backing;
    if (!own?.set) throw unsupported('Operation not supported');
    await this.#writer.change(() => own.set?.(backing));
  }

  /** The image looks at its backing image before that one's bytes are taken for its own. */
  get admitsBacking(): boolean {
    return this.#image.backing?.admit !== undefined;
  }

  /** Throws if the open backing image is not the one that this image was made for. */
  admitBacking(): void {
    if (this.#backing) this.#image.backing?.admit?.(this.#backing.#image);
  }

  /** Drops everything that is stored, so that all content comes from the backing image; false if the format cannot. */
  async makeEmpty(): Promise<boolean> {
    const { backing } = this.#image;
    if (!backing?.makeEmpty) return false;
    await this.#writer.alone(() => backing.makeEmpty?.());
    return true;
  }

  /** Internal snapshots, where the image can have some. */
  get snapshots(): NodeSnapshots<ImageNode> | undefined {
    const { snapshots } = this.#image;
    return snapshots && new LockedSnapshots(snapshots, this.#writer, (driver) => this.#viewOf(driver));
  }

  #viewOf(driver: ImageDriver): ImageNode {
    const { name, format } = this;
    return new ImageNode({
      name,
      format,
      driver,
      readOnly: true,
      ...(this.#backing ? { backing: this.#backing } : {}),
    });
  }

  /** Persistent bitmaps, where the image can have some. */
  get bitmaps(): BitmapStore | undefined {
    const { bitmaps } = this.#image;
    return bitmaps && new LockedBitmaps(bitmaps, this.#writer);
  }

  /** What the checks of the format can do; absent where there are none. */
  get checks(): Pick<Checker, 'deepOnly' | 'repairs'> | undefined {
    return this.#image.checker;
  }

  /**
   * Checks the structure, and repairs it if asked to; {@link ImageNode.checks} says what can be asked for.
   * @param deep also what the real tool does not look at.
   */
  async check(repair: RepairMode, report: Report, deep = false): Promise<CheckFindings> {
    const { checker } = this.#image;
    if (!checker || (repair !== 'none' && !checker.repairs)) {
      throw unsupported(`Checks of format '${this.format}' cannot do that`);
    }
    return this.#writer.alone(() => checker.check(repair, report, deep));
  }

  /** How options of the image can be changed; absent where they cannot. */
  get amends(): Pick<Amender, 'alone'> | undefined {
    return this.#image.amender;
  }

  /** Changes options of the image. */
  async amend(
    options: Parameters<Amender['amend']>[0],
    how: Omit<Parameters<Amender['amend']>[1], 'resize'>,
  ): Promise<void> {
    const { amender } = this.#image;
    if (!amender) throw unsupported(`Format driver '${this.format}' does not support option amendment`);
    const resize = (size: number): Promise<void> => this.#writer.inBetween(() => this.truncate(size));
    await this.#writer.change(() => amender.amend(options, { ...how, resize }));
  }

  /** Changes the guest-visible size; a grown area reads as zeroes whatever the backing image holds there. */
  async truncate(size: number, preallocation: Preallocation = 'off'): Promise<void> {
    if (this.readOnly) throw readOnlyError(this.name, 'resize');
    if (size >= 2 ** 63) throw invalidArgument('Image size cannot be negative');
    const before = this.size();
    const covered = size > before && (this.#backing?.size() ?? 0) > before;
    const { writing } = this.#image;
    if (!writing?.resize) {
      throw unsupported('Image format driver does not support resize');
    }
    if (covered && !this.#image.backing?.hides) {
      throw unsupported('Block driver does not support requested flags');
    }
    const change = async (): Promise<void> => {
      await this.#writer.alone(() => writing.resize?.(size, preallocation, covered));
      const undo = (): MaybePromise<void> => this.#writer.alone(() => writing.resize?.(before, 'off', false));
      if (size > before) await finishGrowth(this, { before, preallocation, covered }, undo);
    };
    await (writing.unrecorded ? writing.unrecorded(change) : change());
  }

  flush(): MaybePromise<void> {
    if (!this.readOnly) return this.#writer.change(() => this.#image.flush());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const failures: unknown[] = [];
    const attempt = async (step: () => MaybePromise<void> | undefined): Promise<void> => {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    };
    await attempt(() => this.#writer.change(() => this.#image.close()));
    await attempt(() => this.file?.close());
    await attempt(() => this.#backing?.close());
    if (failures.length > 0) throw failures[0];
  }

  /** Bytes on the medium: this layer only. */
  async allocatedSize(): Promise<number | undefined> {
    if (this.#image.allocatedSize) return this.#image.allocatedSize();
    let total = await this.file?.allocatedSize();
    for (const child of this.#image.children ?? []) {
      const size = await child.node.allocatedSize();
      if (size !== undefined) total = (total ?? 0) + size;
    }
    return total;
  }

  /** Makes a node that {@link NodeParts.grows} reach to `end`. */
  #reach(end: number): MaybePromise<void> {
    if (end <= this.size()) return;
    return this.#writer.alone(() => (end > this.size() ? this.#image.writing?.resize?.(end, 'off', false) : undefined));
  }

  #checkWritable(access: string, offset: number, length: number): void {
    if (this.readOnly) throw readOnlyError(this.name, access);
    const end = this.#grows ? MAX_SIZE : this.size();
    if (!(offset >= 0 && length >= 0 && offset + length <= end)) {
      throw outOfRange(this.name, access, offset, length);
    }
  }
}

/** The plain run at a guest offset, looking through backing images; undefined if the bytes are not stored plainly. */
async function plainRun(source: Storage, offset: number, length: number): Promise<PlainRun | undefined> {
  if (!(source instanceof ImageNode)) return { storage: source, offset, length };
  const mapping = await source.map(offset, length);
  if (mapping.kind === 'data') {
    const stored = Math.min(mapping.length, mapping.storage.size() - mapping.offset);
    return stored > 0 ? plainRun(mapping.storage, mapping.offset, stored) : undefined;
  }
  if (mapping.kind !== 'unallocated' || !source.backing || offset >= source.backing.size()) return undefined;
  return plainRun(source.backing, offset, Math.min(mapping.length, source.backing.size() - offset));
}
