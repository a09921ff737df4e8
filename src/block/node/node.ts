/**
 * The complete side of the block layer: an opened image as a {@link Storage} of its guest bytes, and everything else that can
 * be asked of one. The driver is the node's own: nobody else calls it. Bounds and locks are seen to here; `reader.ts` and
 * `writer.ts` do what every format needs and no driver should write again.
 */
import { andThen, closeEach, type MaybePromise } from '../../base/async.ts';
import { asBlockError, invalidArgument, unsupported } from '../../base/error.ts';
import { alignDown, alignUp, MAX_SIZE } from '../../base/offset.ts';
import type { Extent, KernelCopy, Preallocation, Storage, ZeroFlags } from '../../storage/storage.ts';
import type {
  Amender,
  BackingReference,
  BitmapStore,
  CheckFindings,
  FilterPart,
  FormatInfo,
  ImageDriver,
  RepairMode,
} from '../capabilities.ts';
import type { OpenContext } from '../format.ts';
import type { Mapping } from '../mapping.ts';
import { finishGrowth } from './growth.ts';
import { ImageLayer } from './layer.ts';
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
  /** As `FormatDriver.compresses`. */
  readonly compresses?: boolean;
  readonly readOnly: boolean;
  /** The storage below; closed together with the node. Undefined for formats without one. */
  readonly file?: Storage;
  /** The backing image; closed together with the node. */
  readonly backing?: ImageNode;
  /** Set where the node is a filter; what it stands in front of is then `file` here. */
  readonly filter?: FilterPart;
  /** The node is the `file` of a layer above: what that writes behind the end makes it larger. */
  readonly grows?: boolean;
  /** Opens the image and what is below it once more, as it was described then; see {@link ImageNode.reopen}. */
  readonly reopen?: Reopen;
  readonly tellMissing?: OpenContext['tellMissing'] | undefined;
  /** Nobody said what format it is: it was looked for. */
  readonly probed?: boolean;
  /** Nothing is made durable. */
  readonly unsafe?: boolean;
  /** Where somebody looks at requests: what fails when the node is closed is told, and is no failure of closing. */
  readonly tellOfClose?: (text: string) => void;
}

/** Opens an image anew. `resize`: the size of a raw image is going to change. */
export type Reopen = (how: { readonly writable: boolean; readonly resize?: boolean }) => Promise<ImageNode>;

/**
 * Guest bytes of one image and its backing chain. Requests may run beside each other: a read sees each allocation unit as it
 * is before or after a write, never something between. Images that are open for reading only take no locks.
 */
export class ImageNode extends ImageLayer implements Storage {
  readonly name: string;
  readonly format: string;
  readonly readOnly: boolean;
  readonly file: Storage | undefined;
  /** Opens the same image for another purpose; this node's locks stand against that. Absent where none was opened. */
  readonly reopen: Reopen | undefined;
  /** The guest's bytes are bytes of the file as they are, from some offset on. */
  readonly plain: boolean;
  /** Images of the format can have a compressor. */
  readonly compresses: boolean;
  /** The node has no bytes of its own and no tables: what it says is what its file says. */
  readonly transparent: boolean;
  /** The node stands in front of others, and changes requests: nobody may pass it by. */
  readonly filter: FilterPart | undefined;
  readonly #grows: boolean;
  readonly #unsafe: boolean;
  /** Nobody said what format it is. */
  readonly probed: boolean;
  readonly #tellOfClose: NodeParts['tellOfClose'];
  #backing: ImageNode | undefined;
  readonly #reader: ImageReader;
  readonly #writer: ImageWriter;
  #owners = 1;
  /** Guest bytes were changed since the last flush. */
  #isWritten = false;

  constructor(parts: NodeParts) {
    super(parts.driver);
    this.name = parts.name;
    this.format = parts.format;
    this.readOnly = parts.readOnly;
    this.file = parts.file;
    this.reopen = parts.reopen;
    this.filter = parts.filter;
    this.plain = parts.plain ?? false;
    this.compresses = parts.compresses ?? false;
    this.transparent = this.plain || parts.filter !== undefined || parts.file === undefined;
    this.#backing = parts.backing;
    this.#grows = parts.grows ?? false;
    this.#unsafe = parts.unsafe ?? false;
    this.#tellOfClose = parts.tellOfClose;
    this.probed = parts.probed ?? false;
    const { name, format, driver, tellMissing } = parts;
    const below = (): ImageNode | undefined => this.backing;
    this.#reader = new ImageReader({ name, format, driver, tellMissing, below, admitBelow: () => this.admitBacking() });
    this.#writer = new ImageWriter(this.#reader, driver);
  }

  /** The backing image, if it was opened; of a filter, that of the image below it. */
  get backing(): ImageNode | undefined {
    const { unfiltered } = this;
    return unfiltered === this ? this.#backing : unfiltered.backing;
  }

  /** The image that filters stand in front of; the node itself where it is none, or where they end it. */
  get unfiltered(): ImageNode {
    const passed = this.filter && !this.filter.opaque && this.file instanceof ImageNode;
    return passed ? this.file.unfiltered : this;
  }

  /** Puts another backing image below; the caller closes the old one, which is returned. */
  replaceBacking(backing: ImageNode | undefined): ImageNode | undefined {
    const { unfiltered } = this;
    if (unfiltered !== this) return unfiltered.replaceBacking(backing);
    const old = this.#backing;
    this.#backing = backing;
    return old;
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
    const unit = this.image.allocationUnit ?? 1;
    const start = alignUp(offset, unit);
    const end = offset + length === this.size() ? this.size() : alignDown(offset + length, unit);
    if (!this.image.writing?.discard || end <= start) return;
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
    const origin =
      source instanceof ImageNode ? await source.#plainRun(from, length) : { storage: source, offset: from, length };
    if (!origin) return 0;
    await this.#reach(to + length);
    return this.#writer.copyFrom(origin, to, how);
  }

  /** Stores one unit that the {@link ImageNode.compressor} coded. */
  storeCompressed(offset: number, coded: Uint8Array): MaybePromise<void> {
    const compressor = this.image.writing?.compressor;
    if (!compressor) throw unsupported('Compression not supported for this file format');
    this.#checkWritable('write compressed', offset, 0);
    return this.#writer.store(compressor, offset, coded);
  }

  /** What `info` shows about the image beyond what every image has. */
  info(): MaybePromise<FormatInfo> {
    return this.#writer.change(() => this.image.info());
  }

  /** Records another backing image; undefined removes it. Content does not change. */
  async setBacking(backing: BackingReference | undefined): Promise<void> {
    const own = this.image.backing;
    if (!own?.set) throw unsupported('Operation not supported');
    await this.#writer.change(() => own.set?.(backing));
  }

  /** Throws if the open backing image is not the one that this image was made for. */
  admitBacking(): void {
    if (this.#backing) this.image.backing?.admit?.(this.#backing.image);
  }

  /** Drops everything that is stored, so that all content comes from the backing image; false if the format cannot. */
  async makeEmpty(): Promise<boolean> {
    const { backing } = this.image;
    if (!backing?.makeEmpty) return false;
    await this.#writer.alone(() => backing.makeEmpty?.());
    return true;
  }

  /** Internal snapshots, where the image can have some; raw layers and filters show those of the image below. */
  get snapshots(): NodeSnapshots<ImageNode> | undefined {
    const { snapshots } = this.image;
    const looksDown = this.filter ? this.filter.single : this.plain;
    if (looksDown && this.file instanceof ImageNode) return this.file.snapshots;
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
    const { bitmaps } = this.image;
    return bitmaps && new LockedBitmaps(bitmaps, this.#writer);
  }

  /**
   * Checks the structure, and repairs it if asked to; {@link ImageNode.checks} says what can be asked for.
   * @param deep also what the real tool does not look at.
   */
  async check(repair: RepairMode, report: Report, deep = false): Promise<CheckFindings> {
    const { checker } = this.image;
    if (!checker || (repair !== 'none' && !checker.repairs)) {
      throw unsupported(`Checks of format '${this.format}' cannot do that`);
    }
    return this.#writer.alone(() => checker.check(repair, report, deep));
  }

  /** Changes options of the image. */
  async amend(
    options: Parameters<Amender['amend']>[0],
    how: Omit<Parameters<Amender['amend']>[1], 'resize'>,
  ): Promise<void> {
    const { amender } = this.image;
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
    const { writing } = this.image;
    if (!writing?.resize) {
      throw unsupported('Image format driver does not support resize');
    }
    if (covered && !this.image.backing?.hides) {
      throw unsupported('Block driver does not support requested flags');
    }
    const resize = (to: number, how: Preallocation, hides: boolean): MaybePromise<void> =>
      this.#writer.alone(() => writing.resize?.(to, how, hides));
    const change = async (): Promise<void> => {
      await resize(size, preallocation, covered);
      const growth = { before, preallocation, covered };
      if (size > before) await finishGrowth(this, growth, () => resize(before, 'off', false));
    };
    await (writing.unrecorded ? writing.unrecorded(change) : change());
  }

  flush(): MaybePromise<void> {
    if (this.readOnly) return;
    if (!this.#grows && !this.#unsafe) this.debugEvent?.('flush_asked');
    const [file, isWritten] = [this.file, this.#isWritten];
    this.#isWritten = false;
    return this.#writer.change(() => (file?.debugEvent ? this.#flushTold(file, isWritten) : this.image.flush()));
  }

  /** As `flush`, but what is below is not told that somebody asked for it. */
  settle(): MaybePromise<void> {
    if (!this.readOnly) return this.#writer.change(() => this.image.flush());
  }

  /** Formats flush more often than they are asked to: of these flushes only the last one, which is told, counts below. */
  async #flushTold(file: Storage, isWritten: boolean): Promise<void> {
    file.debugEvent?.('flush_to_os');
    await this.image.flush();
    if (this.#unsafe || !isWritten) return;
    file.debugEvent?.('flush_to_disk');
    file.debugEvent?.('flush_asked');
    await file.flush();
  }

  retain(): void {
    this.#owners++;
  }

  /** Somebody looks at requests, or is told of them: bytes are read through the node, wherever they are. */
  get watched(): boolean {
    return this.filter !== undefined || this.file?.debugEvent !== undefined;
  }

  async close(): Promise<void> {
    if (this.#owners === 0) return;
    this.#owners--;
    if (this.#owners > 0) return;
    const image = { close: () => this.#closeImage() };
    const below = this.filter ? this.filter.children.map(({ node }) => node) : [this.file];
    await closeEach([image, ...below, this.#backing]);
  }

  async #closeImage(): Promise<void> {
    const close = (): MaybePromise<void> => this.#writer.change(() => this.image.close());
    if (!this.#tellOfClose || this.readOnly) {
      // Formats do that when they are closed; filters have nothing of their own to do.
      const flushes = this.filter && this.#isWritten && !this.#unsafe;
      return closeEach([{ close: () => (flushes ? this.flush() : undefined) }, { close }]);
    }
    if (this.debugEvent && !this.#unsafe) this.debugEvent('flush_asked');
    for (const step of [() => this.flush(), close]) {
      try {
        await step();
      } catch (thrown) {
        const { strerror } = asBlockError(thrown);
        const name = this.filter ? this.name : (this.file?.name ?? this.name);
        this.#tellOfClose(`Failed flush for '${name}' during close: ${strerror}`);
      }
    }
  }

  /** Bytes on the medium: this layer only. */
  async allocatedSize(): Promise<number | undefined> {
    if (this.image.allocatedSize) return this.image.allocatedSize();
    let total = await this.file?.allocatedSize();
    for (const child of this.image.children ?? []) {
      const size = await child.node.allocatedSize();
      if (size !== undefined) total = (total ?? 0) + size;
    }
    return total;
  }

  /** The plain run at a guest offset, looking through backing images; undefined if the bytes are not stored plainly. */
  async #plainRun(offset: number, length: number): Promise<PlainRun | undefined> {
    if (this.filter) return undefined;
    const mapping = await this.map(offset, length);
    if (mapping.kind === 'data') {
      const { storage, offset: place } = mapping;
      const stored = Math.min(mapping.length, storage.size() - place);
      if (stored <= 0) return undefined;
      return storage instanceof ImageNode
        ? storage.#plainRun(place, stored)
        : { storage, offset: place, length: stored };
    }
    const below = mapping.kind === 'unallocated' ? this.backing : undefined;
    return below && offset < below.size()
      ? below.#plainRun(offset, Math.min(mapping.length, below.size() - offset))
      : undefined;
  }

  /** Makes a node that {@link NodeParts.grows} reach to `end`. */
  #reach(end: number): MaybePromise<void> {
    if (end <= this.size()) return;
    return this.#writer.alone(() => (end > this.size() ? this.image.writing?.resize?.(end, 'off', false) : undefined));
  }

  #checkWritable(access: string, offset: number, length: number): void {
    this.#isWritten = true;
    if (this.readOnly) throw readOnlyError(this.name, access);
    const end = this.#grows ? MAX_SIZE : this.size();
    if (!(offset >= 0 && length >= 0 && offset + length <= end)) {
      throw outOfRange(this.name, access, offset, length);
    }
  }
}
