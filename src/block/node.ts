/**
 * The complete side of the block layer: an opened image as a {@link Storage} of its guest bytes. The node owns what
 * every format needs and no driver should write again: bounds, alignment, copy-on-write from the backing image, zero
 * and discard emulation, and the order of concurrent writes.
 */
import { isPromise, type MaybePromise, RangeLock, Semaphore, andThen } from '../base/async.ts';
import { BlockError } from '../base/error.ts';
import { alignDown, alignUp } from '../base/offset.ts';
import type { Extent, Limits, Preallocation, Storage, ZeroFlags } from '../storage/storage.ts';
import type { Allocation, ImageDriver, Mapping } from './driver.ts';
import { finishGrowth, isHole } from './growth.ts';
import { rounded, writeRounded } from './rounding.ts';

/** Bytes of zeroes written at a time where a driver cannot record them. */
const ZERO_CHUNK = 1048576;

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
  /** Opens the image and what is below it once more, as it was described then; see {@link ImageNode.reopen}. */
  readonly reopen?: Reopen;
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
  #backing: ImageNode | undefined;
  /** Serialises all calls that change the image's metadata. */
  readonly #changes = new Semaphore(1);
  readonly #ranges = new RangeLock();
  #closed = false;

  constructor(parts: NodeParts) {
    this.name = parts.name;
    this.format = parts.format;
    this.readOnly = parts.readOnly;
    this.image = parts.driver;
    this.file = parts.file;
    this.reopen = parts.reopen;
    this.#backing = parts.backing;
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

  #assertMapping(mapping: Mapping, offset: number, limit: number): Mapping {
    if (mapping.length >= 1 && mapping.length <= limit) return mapping;
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
    const unit = this.#alignment;
    return this.#exclusive(offset, from.length, () =>
      unit > 1
        ? writeRounded(this, offset, from, unit, (at, bytes) => this.#store(at, bytes))
        : this.#store(offset, from),
    );
  }

  /** Runs `body` while no other write is inside the allocation units of the range. */
  #exclusive<T>(offset: number, length: number, body: () => MaybePromise<T>): MaybePromise<T> {
    const unit = Math.max(this.image.allocationUnit ?? 1, this.#alignment);
    return this.#ranges.run(alignDown(offset, unit), alignUp(offset + length, unit), body);
  }

  async #store(offset: number, from: Uint8Array): Promise<void> {
    for (let at = 0; at < from.length; ) {
      const position = offset + at;
      const room = await this.#allocate(position, from.length - at);
      const length = Math.min(from.length - at, room.start + room.length - position);
      if (room.start > position || length <= 0) throw new BlockError('internal', `${this.format}: bad allocation`);
      try {
        await this.#fill(room, position, from.subarray(at, at + length));
      } catch (error) {
        if (room.abort) await this.#changes.run(() => room.abort?.());
        throw error;
      }
      if (room.commit) await this.#changes.run(() => room.commit?.());
      at += length;
    }
  }

  #allocate(offset: number, length: number): MaybePromise<Allocation> {
    return this.#changes.run(() => {
      if (!this.image.allocate) throw this.#readOnlyError('write');
      return this.image.allocate(offset, length);
    });
  }

  /** Writes `bytes` at guest `position` into `room`, with the old content around them where the room is new. */
  async #fill(room: Allocation, position: number, bytes: Uint8Array): Promise<void> {
    const end = room.start + room.length;
    const tailStart = position + bytes.length;
    if (!room.fresh || (room.start === position && end === tailStart)) return this.#put(room, position, bytes);
    await this.#fillOld(room, room.start, position - room.start);
    await this.#put(room, position, bytes);
    await this.#fillOld(room, tailStart, end - tailStart);
    // Left-out zeroes still belong to the file: readers expect whole clusters at its end.
    const stored = room.storage.size();
    const storedEnd = room.offset + room.length;
    if (stored < storedEnd) await room.storage.writeZeroes(stored, storedEnd - stored, { unmap: true });
  }

  /** Copies the old guest content of a range into a new room. */
  async #fillOld(room: Allocation, start: number, length: number): Promise<void> {
    for (let at = 0; at < length; at += ZERO_CHUNK) {
      const count = Math.min(ZERO_CHUNK, length - at);
      if (room.zeroed && !room.encode && (await this.#readsAsZero(start + at, count))) continue;
      const old = new Uint8Array(count);
      await this.readPadded(start + at, old);
      await this.#put(room, start + at, old);
    }
  }

  async #put(room: Allocation, position: number, bytes: Uint8Array): Promise<void> {
    const stored = room.encode ? await room.encode(position, bytes) : bytes;
    await room.storage.write(room.offset + (position - room.start), stored);
  }

  /** True if the range is known to read as zeroes without reading it. */
  #readsAsZero(offset: number, length: number): Promise<boolean> {
    return isHole(this, offset, Math.min(offset + length, this.size()));
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags = {}): MaybePromise<void> {
    this.#checkWritable('write zeroes', offset, length);
    if (length === 0) return;
    return this.#exclusive(offset, length, () => this.#zero(offset, length, flags));
  }

  async #zero(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    const unit = this.image.allocationUnit ?? 1;
    const end = offset + length;
    const middle = alignUp(offset, unit);
    const middleEnd = end === this.size() ? end : alignDown(end, unit);
    if (middleEnd <= middle) {
      const border = Math.min(middle, end);
      await this.#zeroPart(offset, border, flags);
      return this.#zeroPart(border, end, flags);
    }
    if (!this.image.writeZeroes) return this.#zeroAsData(offset, end, flags);
    await this.#zeroPart(offset, middle, flags);
    await this.#changes.run(() => this.image.writeZeroes?.(middle, middleEnd - middle, flags));
    await this.#zeroPart(middleEnd, end, flags);
  }

  /** Zeroes a part of one allocation unit; some formats can record that. */
  async #zeroPart(start: number, end: number, flags: ZeroFlags): Promise<void> {
    const part = this.image.limits?.writeZeroesAlignment ?? 0;
    const first = part && alignUp(start, part);
    const last = part && (end === this.size() ? end : alignDown(end, part));
    if (
      !this.image.writeZeroes ||
      first >= last ||
      part === this.image.allocationUnit ||
      (await this.#isCoded(first))
    ) {
      return this.#zeroAsData(start, end, flags);
    }
    await this.#zeroAsData(start, first, flags);
    await this.#changes.run(() => this.image.writeZeroes?.(first, last - first, flags));
    await this.#zeroAsData(last, end, flags);
  }

  async #isCoded(offset: number): Promise<boolean> {
    const mapping = await this.map(offset, 1);
    return mapping.kind === 'special' && mapping.compressed;
  }

  async #zeroAsData(start: number, end: number, flags: ZeroFlags): Promise<void> {
    if (start >= end || (await this.#readsAsZero(start, end - start))) return;
    if (flags.noFallback) throw new BlockError('unsupported', `${this.format} cannot record zeroes here`);
    const align = this.#alignment;
    const zeroes = new Uint8Array(Math.min(ZERO_CHUNK, end - start));
    for (let at = start; at < end; at += zeroes.length) {
      const piece = zeroes.subarray(0, Math.min(zeroes.length, end - at));
      if (align > 1) await writeRounded(this, at, piece, align, (to, bytes) => this.#store(to, bytes));
      else await this.#store(at, piece);
    }
  }

  discard(offset: number, length: number): MaybePromise<void> {
    this.#checkWritable('discard', offset, length);
    const unit = this.image.allocationUnit ?? 1;
    const start = alignUp(offset, unit);
    const end = offset + length === this.size() ? this.size() : alignDown(offset + length, unit);
    if (!this.image.discard || end <= start) return;
    return this.#exclusive(start, end - start, () => this.#changes.run(() => this.image.discard?.(start, end - start)));
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
    return this.#exclusive(to, origin.length, () => this.#copyRun(origin, to));
  }

  async #copyRun(origin: PlainRun, to: number): Promise<number> {
    const room = await this.#allocate(to, origin.length);
    const usable = Math.min(origin.length, room.start + room.length - to);
    const whole = room.start === to && room.length === usable;
    let copied = 0;
    if (!room.encode && (whole || !room.fresh)) {
      copied = await room.storage.copyFrom(origin.storage, origin.offset, room.offset + (to - room.start), usable);
    }
    if (copied < usable && room.fresh) {
      if (room.abort) await this.#changes.run(() => room.abort?.());
      return 0;
    }
    if (room.commit) await this.#changes.run(() => room.commit?.());
    return copied;
  }

  /** Stores one unit coded by `image.compressor.encode`. */
  storeCompressed(offset: number, coded: Uint8Array): MaybePromise<void> {
    const compressor = this.image.compressor;
    if (!compressor) throw new BlockError('unsupported', 'Compression not supported for this file format');
    this.#checkWritable('write compressed', offset, 0);
    return this.#exclusive(offset, compressor.unit, () => this.#changes.run(() => compressor.store(offset, coded)));
  }

  /** Runs a driver call that changes the image (snapshots, bitmaps, amend) apart from all others. */
  change<T>(body: () => MaybePromise<T>): MaybePromise<T> {
    return this.#changes.run(body);
  }

  /** Changes the guest-visible size; a grown area reads as zeroes whatever the backing image holds there. */
  async truncate(size: number, preallocation: Preallocation = 'off'): Promise<void> {
    if (this.readOnly) throw this.#readOnlyError('resize');
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
      await this.#changes.run(() => resize(size, preallocation, covered));
      if (size > before) await finishGrowth(this, { before, preallocation, covered });
    };
    await (this.image.unrecorded ? this.image.unrecorded(change) : change());
  }

  flush(): MaybePromise<void> {
    if (!this.readOnly) return this.#changes.run(() => this.image.flush());
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
    await attempt(() => this.#changes.run(() => this.image.close()));
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

  #checkWritable(operation: string, offset: number, length: number): void {
    if (this.readOnly) throw this.#readOnlyError(operation);
    if (!(offset >= 0 && length >= 0 && offset + length <= this.size())) {
      throw this.#outOfRange(operation, offset, length);
    }
  }

  #readOnlyError(operation: string): BlockError {
    return new BlockError('read-only', `${this.name} is read-only`, { context: { file: this.name, operation } });
  }

  #outOfRange(operation: string, offset: number, length: number): BlockError {
    return new BlockError(
      'out-of-range',
      `${operation} of ${length} bytes at ${offset} is beyond the end of the image`,
      {
        context: { file: this.name, offset, length, operation },
      },
    );
  }
}

/** Guest bytes that lie unchanged in one storage. */
interface PlainRun {
  readonly storage: Storage;
  readonly offset: number;
  readonly length: number;
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
