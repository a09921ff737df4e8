/**
 * Writing to an opened image, as every format needs it: the order of concurrent writes, copy-on-write from the backing
 * image, zero emulation. The node has checked bounds and permissions before.
 */
import { type MaybePromise, RangeLock, Semaphore } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { alignDown, alignUp } from '../../base/offset.ts';
import type { KernelCopy, Storage, ZeroFlags } from '../../storage/storage.ts';
import type { Compressor, ImageDriver } from '../capabilities.ts';
import type { Allocation } from '../mapping.ts';
import { isHole } from './growth.ts';
import type { ImageReader } from './reader.ts';
import { writeRounded } from './rounding.ts';

/** Bytes of zeroes written at a time where a driver cannot record them. */
const ZERO_CHUNK = 1048576;

/** Guest bytes that lie unchanged in one storage. */
export interface PlainRun {
  readonly storage: Storage;
  readonly offset: number;
  readonly length: number;
}

/** The error of a change to an image that was opened for reading or can only be read. */
export function readOnlyError(name: string, access: string): BlockError {
  return new BlockError('read-only', `${name} is read-only`, { context: { filename: name, access } });
}

/** The writing half of a node. Offsets and lengths are guest bytes inside the image. */
export class ImageWriter {
  readonly #reader: ImageReader;
  readonly #image: ImageDriver;
  /** Serialises all calls that change the image's metadata. */
  readonly #changes = new Semaphore(1);
  readonly #ranges = new RangeLock();

  constructor(reader: ImageReader, image: ImageDriver) {
    this.#reader = reader;
    this.#image = image;
  }

  /** Runs `body`, which reads a range, while nothing in its allocation units is written. */
  reading(offset: number, length: number, body: () => MaybePromise<void>): MaybePromise<void> {
    const unit = this.#unit;
    return this.#ranges.run(alignDown(offset, unit), alignUp(offset + length, unit), body, 'shared');
  }

  /** Runs a driver call that changes metadata apart from all others. */
  change<T>(body: () => MaybePromise<T>): MaybePromise<T> {
    return this.#changes.run(body);
  }

  /** Runs a driver call that changes the content or the place of any guest byte: nothing is read or written meanwhile. */
  alone<T>(body: () => MaybePromise<T>): MaybePromise<T> {
    return this.#ranges.run(0, Number.POSITIVE_INFINITY, () => this.change(body));
  }

  /** Runs `body`, which makes requests of its own, in the middle of a {@link change}. */
  async inBetween<T>(body: () => Promise<T>): Promise<T> {
    this.#changes.release();
    try {
      return await body();
    } finally {
      await this.#changes.acquire();
    }
  }

  /**
   * Stores bytes wherever the driver makes room for them.
   * @param placed is called once all room is taken: what is written from then on lies behind it.
   */
  write(offset: number, from: Uint8Array, placed?: () => void): MaybePromise<void> {
    const unit = this.#reader.alignment;
    return this.#exclusive(offset, from.length, () =>
      unit > 1
        ? writeRounded(this.#reader, offset, from, unit, (at, bytes) => this.#store(at, bytes, placed))
        : this.#store(offset, from, placed),
    );
  }

  /** Zeroes a range; recorded where the driver can, written elsewhere. */
  writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    return this.#exclusive(offset, length, () => this.#zero(offset, length, flags));
  }

  /** Gives up whole allocation units. */
  discard(offset: number, length: number): MaybePromise<void> {
    return this.#exclusive(offset, length, () => this.change(() => this.#image.writing?.discard?.(offset, length)));
  }

  /** Copies a run inside the kernel; returns the bytes copied, 0 where that is not possible. */
  copyFrom(origin: PlainRun, to: number, how: KernelCopy): MaybePromise<number> {
    return this.#exclusive(to, origin.length, () => this.#copyRun(origin, to, how));
  }

  /** Stores one coded unit. */
  store(compressor: Compressor, offset: number, coded: Uint8Array): MaybePromise<void> {
    return this.#exclusive(offset, compressor.unit, () => this.change(() => compressor.store(offset, coded)));
  }

  /** What two requests of which one writes never share. */
  get #unit(): number {
    return Math.max(this.#image.allocationUnit ?? 1, this.#reader.alignment);
  }

  /** Runs `body` while nobody else reads or writes inside the allocation units of the range. */
  #exclusive<T>(offset: number, length: number, body: () => MaybePromise<T>): MaybePromise<T> {
    const unit = this.#unit;
    return this.#ranges.run(alignDown(offset, unit), alignUp(offset + length, unit), body);
  }

  async #store(offset: number, from: Uint8Array, placed?: () => void): Promise<void> {
    for (let at = 0; at < from.length; ) {
      const position = offset + at;
      const room = await this.#allocate(position, from.length - at);
      const length = Math.min(from.length - at, room.start + room.length - position);
      if (room.start > position || length <= 0)
        throw new BlockError('internal', `${this.#reader.format}: bad allocation`);
      if (at + length === from.length) placed?.();
      try {
        const bytes = from.subarray(at, at + length);
        await this.#fill(room, position, length, () => {
          this.#image.events?.('write_aio');
          return this.#put(room, position, bytes);
        });
      } catch (error) {
        if (room.abort) await this.change(() => room.abort?.());
        throw error;
      }
      if (room.commit) await this.change(() => room.commit?.());
      at += length;
    }
  }

  #allocate(offset: number, length: number): MaybePromise<Allocation> {
    return this.change(() => this.#roomFor(offset, length));
  }

  #roomFor(offset: number, length: number): MaybePromise<Allocation> {
    const { writing } = this.#image;
    if (!writing) throw readOnlyError(this.#reader.name, 'write');
    return writing.allocate(offset, length);
  }

  /**
   * Has `length` bytes put at guest `position` into `room`, and puts the old content around them where the room is new.
   * @param put false if it could not be done after all; the room is not to be used then.
   */
  async #fill(
    room: Allocation,
    position: number,
    length: number,
    put: () => Promise<boolean | void>,
  ): Promise<boolean | void> {
    const end = room.start + room.length;
    const tailStart = position + length;
    if (!room.fresh || (room.start === position && end === tailStart)) return put();
    await this.#fillOld(room, room.start, position - room.start);
    if ((await put()) === false) return false;
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
      this.#image.events?.('cow_read');
      await this.#readOld(start + at, old);
      this.#image.events?.('cow_write');
      await this.#put(room, start + at, old);
    }
  }

  /** Bytes beyond the end of the image are zeroes. */
  async #readOld(offset: number, into: Uint8Array): Promise<void> {
    const available = Math.max(0, Math.min(into.length, this.#reader.size() - offset));
    into.fill(0, available);
    if (available > 0) await this.#reader.read(offset, into.subarray(0, available));
  }

  async #put(room: Allocation, position: number, bytes: Uint8Array): Promise<void> {
    const stored = room.encode ? await room.encode(position, bytes) : bytes;
    await room.storage.write(room.offset + (position - room.start), stored);
  }

  /** True if the range is known to read as zeroes, without reading it, also where the backing image is not open. */
  async #readsAsZero(offset: number, length: number): Promise<boolean> {
    const end = Math.min(offset + length, this.#reader.size());
    if (!(await isHole(this.#reader, offset, end))) return false;
    if (!this.#image.backing?.reference || this.#reader.below()) return true;
    for (let at = offset; at < end; ) {
      const mapping = await this.#reader.map(at, end - at);
      if (mapping.kind === 'unallocated') return false;
      at += mapping.length;
    }
    return true;
  }

  async #zero(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    const unit = this.#image.allocationUnit ?? 1;
    const end = offset + length;
    const middle = alignUp(offset, unit);
    const middleEnd = end === this.#reader.size() ? end : alignDown(end, unit);
    if (middleEnd <= middle) {
      const border = Math.min(middle, end);
      await this.#zeroUnit(offset, border, flags);
      return this.#zeroUnit(border, end, flags);
    }
    if (!this.#image.writing?.writeZeroes) return this.#zeroAsData(offset, end);
    await this.#zeroUnit(offset, middle, flags);
    await this.change(() => this.#image.writing?.writeZeroes?.(middle, middleEnd - middle, flags));
    await this.#zeroUnit(middleEnd, end, flags);
  }

  /** Zeroes a part of one allocation unit; the whole unit, in formats that see to that, if it has no room and its rest is zero. */
  async #zeroUnit(start: number, end: number, flags: ZeroFlags): Promise<void> {
    const unit = this.#image.allocationUnit ?? 1;
    const first = alignDown(start, unit);
    const last = Math.min(this.#reader.size(), alignUp(end, unit));
    const whole =
      this.#image.quirks?.zeroesWholeUnits === true &&
      this.#image.limits?.writeZeroesAlignment === unit &&
      start < end &&
      (await this.#reader.map(first, 1)).kind === 'unallocated' &&
      (await this.#readsAsZero(first, last - first));
    if (whole) await this.change(() => this.#image.writing?.writeZeroes?.(first, last - first, flags));
    else await this.#zeroPart(start, end, flags);
  }

  /** Zeroes a part of one allocation unit; some formats can record that. */
  async #zeroPart(start: number, end: number, flags: ZeroFlags): Promise<void> {
    const part = this.#image.limits?.writeZeroesAlignment ?? 0;
    const first = part && alignUp(start, part);
    const last = part && (end === this.#reader.size() ? end : alignDown(end, part));
    if (
      !this.#image.writing?.writeZeroes ||
      first >= last ||
      part === this.#image.allocationUnit ||
      (await this.#isCoded(first))
    ) {
      return this.#zeroAsData(start, end);
    }
    await this.#zeroAsData(start, first);
    await this.change(() => this.#image.writing?.writeZeroes?.(first, last - first, flags));
    await this.#zeroAsData(last, end);
  }

  async #isCoded(offset: number): Promise<boolean> {
    const mapping = await this.#reader.map(offset, 1);
    return mapping.kind === 'special' && mapping.compressed;
  }

  async #zeroAsData(start: number, end: number): Promise<void> {
    if (start >= end || (await this.#readsAsZero(start, end - start))) return;
    const align = this.#reader.alignment;
    const zeroes = new Uint8Array(Math.min(ZERO_CHUNK, end - start));
    for (let at = start; at < end; at += zeroes.length) {
      const piece = zeroes.subarray(0, Math.min(zeroes.length, end - at));
      if (align > 1) await writeRounded(this.#reader, at, piece, align, (to, bytes) => this.#store(to, bytes));
      else await this.#store(at, piece);
    }
  }

  /** Nothing else makes room meanwhile: what was made for a copy that is not possible can always be given back. */
  #copyRun(origin: PlainRun, to: number, how: KernelCopy): MaybePromise<number> {
    return this.change(async () => {
      // Of a last unit that the run does not fill nothing is taken: blocks of file systems are mostly smaller than units.
      const units = alignDown(to + origin.length, this.#unit) - to;
      const length = units > 0 ? units : origin.length;
      const room = await this.#roomFor(to, length);
      const usable = Math.min(length, room.start + room.length - to);
      let copied = 0;
      const copy = async (): Promise<boolean> => {
        const offset = room.offset + (to - room.start);
        copied = await room.storage.copyFrom(origin.storage, origin.offset, offset, usable, how);
        // The file reaches as far as that already: room that was given up now would be lost.
        if (room.fresh && copied > 0 && copied < usable && (await carryRest(origin, room, offset, copied, usable))) {
          copied = usable;
        }
        return copied === usable;
      };
      try {
        if (!room.encode) await this.#fill(room, to, usable, copy);
      } catch (error) {
        await room.abort?.();
        throw error;
      }
      const whole = copied === usable || !room.fresh;
      await (whole ? room.commit?.() : room.abort?.());
      return whole ? copied : 0;
    });
  }
}

/**
 * Carries what the kernel did not copy of a run, from its byte `from` to `end`, into room whose file has its start at `to`.
 * False if it cannot be read; who reads it in the ordinary way tells why.
 */
async function carryRest(origin: PlainRun, room: Allocation, to: number, from: number, end: number): Promise<boolean> {
  for (let at = from; at < end; at += ZERO_CHUNK) {
    const bytes = new Uint8Array(Math.min(ZERO_CHUNK, end - at));
    try {
      await origin.storage.readPadded(origin.offset + at, bytes);
    } catch {
      return false;
    }
    await room.storage.write(to + at, bytes);
  }
  return true;
}
