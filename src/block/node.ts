/**
 * The complete side of the block layer: an opened image as a {@link Storage} of its guest bytes. The node owns what
 * every format needs and no driver should write again: bounds, alignment, and reading through to the backing image;
 * `writer.ts` owns the other half.
 */
import { isPromise, type MaybePromise, andThen } from '../base/async.ts';
import { BlockError } from '../base/error.ts';
import { alignDown, alignUp } from '../base/offset.ts';
import type { Extent, Limits, Preallocation, Storage, ZeroFlags } from '../storage/storage.ts';
import type { ImageDriver, OpenContext } from './driver.ts';
import type { Mapping } from './mapping.ts';
import { finishGrowth } from './growth.ts';
import { MissingData } from './missing.ts';
import { rounded } from './rounding.ts';
import { ImageWriter, type PlainRun, readOnlyError } from './writer.ts';

/** What a node is made of. */
export interface NodeParts {
  /** Name of the image for messages: what the user typed, or a `json:` description. */
  readonly name: string;
  /** Name of the format driver. */
  readonly format: string;
  readonly driver: ImageDriver;
  readonly readOnly: boolean;
  /** The storage below; closed together with the node. Undefined for formats without one. */
  readonly file?: Storage;
  /** The backing image; closed together with the node. */
  readonly backing?: ImageNode;
  /** Set where the node is a filter: the role of what is below it, which is then `file` here. */
  readonly filters?: string;
  /** Opens the image and what is below it once more, as it was described then; see {@link ImageNode.reopen}. */
  readonly reopen?: Reopen;
  readonly tellMissing?: OpenContext['tellMissing'] | undefined;
}

/** Opens an image anew. `resize`: the size of a raw image is going to change. */
export type Reopen = (how: { readonly writable: boolean; readonly resize?: boolean }) => Promise<ImageNode>;

/** Guest bytes of one image and its backing chain. */
export class ImageNode implements Storage {
  readonly name: string;
  readonly format: string;
  readonly readOnly: boolean;
  readonly image: ImageDriver;
  readonly file: Storage | undefined;
  /**
   * Opens the same image for another purpose. The locks of this node stand against that, so close it first. Absent
   * for nodes that were not made by opening an image.
   */
  readonly reopen: Reopen | undefined;
  /** Role of the storage below: `file`, but for filters. */
  readonly fileRole: string;
  /** The node has no bytes of its own and no tables: what it says is what its file says. */
  readonly transparent: boolean;
  #backing: ImageNode | undefined;
  readonly #missing: MissingData | undefined;
  readonly #writer: ImageWriter;
  #closed = false;

  constructor(parts: NodeParts) {
    this.name = parts.name;
    this.format = parts.format;
    this.readOnly = parts.readOnly;
    this.image = parts.driver;
    this.file = parts.file;
    this.reopen = parts.reopen;
    this.fileRole = parts.filters ?? 'file';
    this.transparent = parts.format === 'raw' || parts.filters !== undefined || parts.file === undefined;
    this.#backing = parts.backing;
    this.#writer = new ImageWriter(this);
    const { driver, tellMissing } = parts;
    if (tellMissing && driver.beyondEnd) this.#missing = new MissingData(driver, tellMissing);
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
    return { requestAlignment: 1, ...this.image.limits };
  }

  /** `limits.requestAlignment`, which every request asks for. */
  get #alignment(): number {
    return this.image.limits?.requestAlignment ?? 1;
  }

  size(): number {
    return this.image.virtualSize;
  }

  /** Where the run at `offset` is in this image's own layer; never beyond its end. */
  map(offset: number, length: number): MaybePromise<Mapping> {
    const limit = Math.min(length, this.size() - offset);
    if (limit <= 0) throw this.#outOfRange('map', offset, length);
    return andThen(this.image.map(offset, limit), (mapping) => this.#assertMapping(mapping, offset, limit));
  }

  #assertMapping(mapping: Mapping, offset: number, limit: number): MaybePromise<Mapping> {
    if (mapping.length >= 1 && mapping.length <= limit) {
      return mapping.kind === 'data' && this.#missing ? this.#missing.look(mapping, offset) : mapping;
    }
    throw new BlockError('internal', `${this.format}: mapping of ${mapping.length} bytes for ${limit} at ${offset}`);
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    if (offset < 0 || offset + into.length > this.size()) throw this.#outOfRange('read', offset, into.length);
    const unit = this.#alignment;
    if (unit > 1) return rounded(offset, into, unit, this.size(), (at, bytes) => this.#readFrom(at, bytes, 0));
    return this.#readFrom(offset, into, 0);
  }

  readPadded(offset: number, into: Uint8Array): MaybePromise<void> {
    const available = Math.max(0, Math.min(into.length, this.size() - offset));
    if (available < into.length) into.fill(0, available);
    if (available > 0) return this.read(offset, available === into.length ? into : into.subarray(0, available));
  }

  /** Reads `into` from its byte `start` on; stays synchronous while nothing below has to wait. */
  #readFrom(offset: number, into: Uint8Array, start: number): MaybePromise<void> {
    let at = start;
    while (at < into.length) {
      const here = at;
      const mapping = this.map(offset + at, into.length - at);
      if (isPromise(mapping)) {
        return mapping
          .then((known) => andThen(this.#readMapping(known, offset, into, here), () => known.length))
          .then((length) => this.#readFrom(offset, into, here + length));
      }
      const done = this.#readMapping(mapping, offset, into, at);
      at += mapping.length;
      if (isPromise(done)) return at < into.length ? this.#continue(done, offset, into, at) : done;
    }
  }

  async #continue(done: Promise<void>, offset: number, into: Uint8Array, at: number): Promise<void> {
    await done;
    await this.#readFrom(offset, into, at);
  }

  #readMapping(mapping: Mapping, base: number, into: Uint8Array, at: number): MaybePromise<void> {
    const target = mapping.length === into.length ? into : into.subarray(at, at + mapping.length);
    switch (mapping.kind) {
      case 'data':
        return mapping.storage.readPadded(mapping.offset, target);
      case 'zero':
        target.fill(0);
        return;
      case 'unallocated':
        if (this.#backing) {
          this.image.admitBacking?.(this.#backing.image);
          return this.#backing.readPadded(base + at, target);
        }
        target.fill(0);
        return;
      case 'special':
        if (!this.image.readSpecial) throw new BlockError('internal', `${this.format}: no way to read special data`);
        return this.image.readSpecial(base + at, target);
    }
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    this.#checkWritable('write', offset, from.length);
    if (from.length === 0) return;
    return this.#writer.write(offset, from);
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags = {}): MaybePromise<void> {
    this.#checkWritable('write zeroes', offset, length);
    if (length === 0) return;
    return this.#writer.writeZeroes(offset, length, flags);
  }

  discard(offset: number, length: number): MaybePromise<void> {
    this.#checkWritable('discard', offset, length);
    const unit = this.image.allocationUnit ?? 1;
    const start = alignUp(offset, unit);
    const end = offset + length === this.size() ? this.size() : alignDown(offset + length, unit);
    if (!this.image.discard || end <= start) return;
    return this.#writer.discard(start, end - start);
  }

  /** Holes are what surely reads as zeroes; backing images are looked through. */
  status(offset: number, length: number): MaybePromise<Extent> {
    if (offset >= this.size()) return { length: Math.max(1, length), kind: 'hole' };
    return andThen(this.map(offset, length), (mapping) => this.#extentOf(mapping, offset));
  }

  #extentOf(mapping: Mapping, offset: number): MaybePromise<Extent> {
    if (mapping.kind === 'zero') return { length: mapping.length, kind: 'hole' };
    if (mapping.kind === 'unallocated') {
      return this.#backing ? this.#backing.status(offset, mapping.length) : { length: mapping.length, kind: 'hole' };
    }
    if (mapping.kind === 'data' && mapping.sparse) return mapping.storage.status(mapping.offset, mapping.length);
    return { length: mapping.length, kind: 'data' };
  }

  /** Copies from another image or storage inside the kernel, where both sides store the bytes as they are. */
  async copyFrom(source: Storage, from: number, to: number, length: number): Promise<number> {
    this.#checkWritable('copy', to, length);
    const origin = await plainRun(source, from, length);
    if (!origin) return 0;
    return this.#writer.copyFrom(origin, to);
  }

  /** Stores one unit coded by `image.compressor.encode`. */
  storeCompressed(offset: number, coded: Uint8Array): MaybePromise<void> {
    const compressor = this.image.compressor;
    if (!compressor) throw new BlockError('unsupported', 'Compression not supported for this file format');
    this.#checkWritable('write compressed', offset, 0);
    return this.#writer.store(compressor, offset, coded);
  }

  /** Runs a driver call that changes the image (snapshots, bitmaps, amend) apart from all others. */
  change<T>(body: () => MaybePromise<T>): MaybePromise<T> {
    return this.#writer.change(body);
  }

  /** Changes the guest-visible size; a grown area reads as zeroes whatever the backing image holds there. */
  async truncate(size: number, preallocation: Preallocation = 'off'): Promise<void> {
    if (this.readOnly) throw readOnlyError(this.name, 'resize');
    if (size >= 2 ** 63) throw new BlockError('invalid-argument', 'Image size cannot be negative');
    const before = this.size();
    const covered = size > before && (this.#backing?.size() ?? 0) > before;
    const resize = this.image.resize?.bind(this.image);
    if (!resize) {
      throw new BlockError('unsupported', 'Image format driver does not support resize');
    }
    if (covered && !this.image.growsOverBacking) {
      throw new BlockError('unsupported', 'Block driver does not support requested flags');
    }
    const change = async (): Promise<void> => {
      await this.#writer.change(() => resize(size, preallocation, covered));
      if (size > before) await finishGrowth(this, { before, preallocation, covered });
    };
    await (this.image.unrecorded ? this.image.unrecorded(change) : change());
  }

  flush(): MaybePromise<void> {
    if (!this.readOnly) return this.#writer.change(() => this.image.flush());
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
    await attempt(() => this.#writer.change(() => this.image.close()));
    await attempt(() => this.file?.close());
    await attempt(() => this.#backing?.close());
    if (failures.length > 0) throw failures[0];
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

  #checkWritable(access: string, offset: number, length: number): void {
    if (this.readOnly) throw readOnlyError(this.name, access);
    if (!(offset >= 0 && length >= 0 && offset + length <= this.size())) {
      throw this.#outOfRange(access, offset, length);
    }
  }

  #outOfRange(access: string, offset: number, length: number): BlockError {
    return new BlockError('out-of-range', `${access} of ${length} bytes at ${offset} is beyond the end of the image`, {
      context: { filename: this.name, offset, length, access },
    });
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
