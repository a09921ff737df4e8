/** How pieces get into the target: plainly, compressed, or without leaving the kernel. */
import { allOf, andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import { type BlockError, ioError } from '../../base/error.ts';
import { isZero } from '../../base/zero.ts';
import type { Coder } from '../../block/capabilities.ts';
import type { ImageNode } from '../../block/node/node.ts';
import type { BufferPool } from '../../base/inflight.ts';
import type { Piece } from './plan.ts';
import { failed, readSegments } from './reading.ts';
import type { Sharing } from './sharing.ts';
import { type BufferRun, splitZeroes, widenData, type ZeroSearch } from './zeroRuns.ts';

/** A piece that was read and, where that applies, searched for zeroes and coded. */
export interface Ready {
  readonly piece: Piece;
  /** The pooled buffer behind `bytes`. */
  readonly buffer?: Uint8Array;
  readonly bytes?: Uint8Array;
  /** Parts of `bytes` that are written as they are, and zeroes between them. */
  readonly runs?: readonly BufferRun[];
  /** Coded units: `start` within the piece. Undefined bytes mean that coding does not pay. */
  readonly units?: readonly { readonly start: number; readonly coded: Uint8Array | undefined }[];
}

/** Where pieces go. `store` is called in order unless the copy is to be made out of order. */
export interface PieceStore {
  /** Pieces that are stored at the same time, as long as that is fast; never more if they are coded. */
  readonly writers: number;
  /** Pieces are coded before they are stored. */
  readonly codes: boolean;
  /** False for pieces that change nothing. */
  needs(piece: Piece): boolean;
  /** True for pieces that are stored without having been read. */
  copiesDirectly(piece: Piece): boolean;
  /** Turns bytes that were read into what is stored; runs for several pieces at a time. */
  prepare(piece: Piece, bytes: Uint8Array): MaybePromise<Ready>;
  /** @param placed may be called before all is stored, once what is stored from then on lies behind it. */
  store(ready: Ready, placed: () => void): Promise<void>;
}

/** What is known about a target, and how it is written. */
export interface StoreOptions {
  /** The image reads as zeroes from this offset on before anything is written: 0 for new ones, infinite if unknown. */
  readonly zeroedFrom: number;
  /** Zeroes that are found in data are recorded everywhere, also from there on. */
  readonly recordFound?: boolean;
  /** How zeroes are found in data; absent: not at all. */
  readonly search?: ZeroSearch;
  /** Copy in the kernel where that is possible. */
  readonly kernelCopy?: boolean;
  /** Whom to tell when a piece cannot be shared after all. */
  readonly sharing?: Sharing;
  readonly buffers: BufferPool;
}

/** What could not be read in the middle of storing; the cause has the words for it. */
class Unread extends Error {
  override readonly cause: BlockError;

  constructor(cause: BlockError) {
    super(cause.message);
    this.cause = cause;
  }
}

/** Up to where zeroes that are found in data are stored. */
function foundEnd({ zeroedFrom, recordFound }: StoreOptions): number {
  return recordFound ? Number.POSITIVE_INFINITY : zeroedFrom;
}

/** Writes pieces as plain data. */
export class PlainStore implements PieceStore {
  /** While one is being written, the next is handed to the kernel already. More would only wait for the same fast file. */
  readonly writers: number = 2;
  readonly codes: boolean = false;
  readonly #node: ImageNode;
  readonly #options: StoreOptions;
  readonly #widen: number;

  /** @param widen data is widened with zeroes to multiples of this. */
  constructor(node: ImageNode, options: StoreOptions, widen = 1) {
    this.#node = node;
    this.#options = options;
    this.#widen = widen;
  }

  needs(piece: Piece): boolean {
    if (piece.kind === 'zero') return piece.offset < this.#options.zeroedFrom;
    return piece.kind === 'data';
  }

  copiesDirectly(piece: Piece): boolean {
    if (piece.kind !== 'data') return false;
    return (
      piece.shared === true || (this.#options.kernelCopy === true && piece.segments.every(({ storage }) => storage))
    );
  }

  prepare(piece: Piece, bytes: Uint8Array): Ready {
    const { search } = this.#options;
    if (!search) return { piece, bytes, runs: [{ start: 0, end: bytes.length, zero: false }] };
    const found = splitZeroes(bytes, piece.offset, search);
    const runs = this.#widen > search.step ? widenData(found, piece.offset, bytes.length, this.#widen) : found;
    return { piece, bytes, runs };
  }

  async store(ready: Ready, placed: () => void): Promise<void> {
    const { piece } = ready;
    try {
      if (piece.kind === 'zero') await this.#zero(piece.offset, piece.length, this.#options.zeroedFrom);
      else if (piece.kind === 'data' && !ready.bytes) await this.#copy(piece);
      else if (ready.bytes) await this.#write(piece.offset, ready.bytes, ready.runs ?? [], placed);
    } catch (error) {
      throw error instanceof Unread ? error.cause : failed('write', error, piece.offset);
    }
  }

  /** Runs get their room one after the other, so that every copy of an image looks the same; their bytes follow as they can. */
  async #write(offset: number, bytes: Uint8Array, runs: readonly BufferRun[], placed?: () => void): Promise<void> {
    const writes: Promise<void>[] = [];
    try {
      for (const { start, end, zero } of runs) {
        const done = zero
          ? this.#zero(offset + start, end - start, foundEnd(this.#options))
          : this.#place(
              offset + start,
              start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end),
              writes,
            );
        if (isPromise(done)) await done;
      }
      placed?.();
    } catch (error) {
      writes.push(Promise.reject(error));
    }
    if (writes.length > 0) await allOf(writes);
  }

  /** Begins to write; resolves when the room is taken. */
  #place(offset: number, bytes: Uint8Array, writes: Promise<void>[]): MaybePromise<void> {
    let taken: (() => void) | undefined;
    const isTaken = new Promise<void>((resolve) => {
      taken = resolve;
    });
    const done = this.#node.write(offset, bytes, taken);
    if (!isPromise(done)) return;
    writes.push(done);
    return Promise.race([isTaken, done]);
  }

  /** Zeroes a range as far as `limit`. */
  #zero(offset: number, length: number, limit: number): MaybePromise<void> {
    const end = Math.min(offset + length, limit);
    if (end > offset) return this.#node.writeZeroes(offset, end - offset, { unmap: true });
  }

  /** Copies inside the kernel; what that cannot do goes through a buffer. */
  async #copy(piece: Piece & { kind: 'data' }): Promise<void> {
    const how = this.#options.kernelCopy ? 'copy' : 'share';
    let to = piece.offset;
    for (const { storage, offset = 0, length } of piece.segments) {
      // Pieces with zeroes among their segments do not come here.
      if (!storage) continue;
      for (let done = 0; done < length; ) {
        const copied = await this.#node.copyFrom(storage, offset + done, to + done, length - done, how);
        if (copied === 0 && how === 'share') this.#options.sharing?.failedAt(offset + done, length - done);
        done +=
          copied > 0 ? copied : await this.#carry({ storage, offset: offset + done, length: length - done }, to + done);
      }
      to += length;
    }
  }

  /** Moves some bytes through a buffer; returns how many. */
  async #carry(segment: Required<Piece & { kind: 'data' }>['segments'][number], to: number): Promise<number> {
    const { buffers } = this.#options;
    const buffer = buffers.acquire();
    try {
      const bytes = buffer.subarray(0, Math.min(buffer.length, segment.length));
      const part = { ...segment, length: bytes.length };
      try {
        await readSegments([part], bytes);
      } catch (error) {
        throw new Unread(failed('read', error, to));
      }
      const { runs = [] } = this.prepare({ kind: 'data', offset: to, length: bytes.length, segments: [part] }, bytes);
      await this.#write(to, bytes, runs);
      return bytes.length;
    } finally {
      buffers.release(buffer);
    }
  }
}

/** Writes pieces in units that are coded first. */
export class CompressedStore implements PieceStore {
  readonly writers: number = 1;
  readonly codes: boolean = true;
  readonly #node: ImageNode;
  readonly #compressor: Coder;
  readonly #options: StoreOptions;

  constructor(node: ImageNode, compressor: Coder, options: StoreOptions) {
    this.#node = node;
    this.#compressor = compressor;
    this.#options = options;
  }

  needs(piece: Piece): boolean {
    if (piece.kind === 'zero') return piece.offset < this.#options.zeroedFrom;
    return piece.kind === 'data';
  }

  copiesDirectly(): boolean {
    return false;
  }

  prepare(piece: Piece, bytes: Uint8Array): MaybePromise<Ready> {
    const { unit } = this.#compressor;
    const zero = this.#zeroUnits(bytes);
    const jobs: Promise<{ start: number; coded: Uint8Array | undefined }[]>[] = [];
    for (let index = 0; index < zero.length; ) {
      let end = index + 1;
      while (end < zero.length && zero[end] === zero[index]) end++;
      if (zero[index] === false) jobs.push(this.#encode(piece.offset, bytes, index * unit, end * unit));
      index = end;
    }
    const runs = zero.map((isHole, index) => ({
      start: index * unit,
      end: Math.min(bytes.length, (index + 1) * unit),
      zero: isHole,
    }));
    const holes = runs.filter((run) => run.zero);
    return andThen(Promise.all(jobs), (lists) => ({ piece, bytes, runs: holes, units: lists.flat() }));
  }

  /** For every unit, whether it is all zero and may be left out. */
  #zeroUnits(bytes: Uint8Array): boolean[] {
    const { unit } = this.#compressor;
    const flags: boolean[] = [];
    for (let start = 0; start < bytes.length; start += unit) {
      flags.push(this.#options.search !== undefined && isZero(bytes, start, Math.min(bytes.length, start + unit)));
    }
    return flags;
  }

  async #encode(
    offset: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): Promise<{ start: number; coded: Uint8Array | undefined }[]> {
    const { unit } = this.#compressor;
    const units = bytes.subarray(start, Math.min(end, bytes.length));
    // Nobody reads what was coded any more, and new memory costs more than coding does at times.
    const coded = await this.#compressor.encode(offset + start, units, true);
    return coded.map((one, index) => ({ start: start + index * unit, coded: one }));
  }

  async store(ready: Ready): Promise<void> {
    const { piece, bytes } = ready;
    try {
      if (piece.kind === 'zero' || !bytes) await this.#zero(piece.offset, piece.length, this.#options.zeroedFrom);
      else {
        for (const { start, coded } of ready.units ?? []) await this.#unit(piece.offset, bytes, start, coded);
        for (const { start, end } of ready.runs ?? [])
          await this.#zero(piece.offset + start, end - start, foundEnd(this.#options));
      }
    } catch (error) {
      throw failed('write', error, piece.offset);
    }
  }

  async #unit(offset: number, bytes: Uint8Array, start: number, coded: Uint8Array | undefined): Promise<void> {
    const at = offset + start;
    if (coded) await this.#mustBeFree(at);
    const done = coded
      ? this.#node.storeCompressed(at, coded)
      : this.#node.write(at, bytes.subarray(start, start + this.#compressor.unit));
    if (isPromise(done)) await done;
  }

  /** The real tool writes a compressed unit once, where the image has nothing yet; scripts see it in the exit code. */
  async #mustBeFree(offset: number): Promise<void> {
    // Formats that can only grow see to it themselves.
    if (this.#compressor.sequential) return;
    const { kind } = await this.#node.map(offset, 1);
    if (kind === 'data' || kind === 'special') throw ioError();
  }

  /** Zeroes a range as far as `limit`. */
  async #zero(offset: number, length: number, limit: number): Promise<void> {
    const end = Math.min(offset + length, limit);
    if (end > offset) await this.#node.writeZeroes(offset, end - offset, { unmap: true });
  }
}
