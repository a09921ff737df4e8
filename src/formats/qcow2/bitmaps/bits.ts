/** The bits of one bitmap: in pieces of a cluster, which are read when they are needed. */
import { isPromise, type MaybePromise } from '../../../base/async.ts';
import { divideUp } from '../../../base/offset.ts';
import { isZero } from '../../../base/zero.ts';
import { setEntry } from '../structure/geometry.ts';
import type { ImageState } from '../structure/imageState.ts';

/** What a table entry says of a piece that is not stored. */
const Missing = { zeroes: 0, ones: 1 } as const;

/** A run of bits. */
interface BitRun {
  readonly first: number;
  readonly count: number;
}

/** What {@link BitmapBits.store} gives. */
interface StoredBits {
  readonly table: Uint8Array;
  readonly dropped: readonly number[];
  readonly done: () => void;
}

/** The bits of a bitmap over a guest size. */
export class BitmapBits {
  readonly #image: ImageState;
  /** Bytes that one bit stands for. */
  readonly granularity: number;
  /** Guest size in bytes. */
  size: number;
  /** The table as it is on the disk. */
  #stored: readonly number[];
  /** Where each piece is stored; 0 and 1 stand for pieces of zeroes and ones. */
  #places: readonly number[];
  /** Pieces that were read or changed. */
  readonly #pieces = new Map<number, Uint8Array>();
  readonly #changed = new Set<number>();
  /** The table changed beyond the pieces. */
  #tableChanged: boolean;

  /**
   * @param places the stored table, an offset or 0 or 1 for each piece; absent: a new bitmap without a bit.
   */
  constructor(image: ImageState, granularity: number, size: number, places?: readonly number[]) {
    this.#image = image;
    this.granularity = granularity;
    this.size = size;
    this.#tableChanged = places === undefined;
    this.#stored = places ?? [];
    // Bitmaps of one table share it: nothing changes it in place.
    this.#places = places ?? emptyTable(piecesFor(image, granularity, size));
  }

  /** True if the stored table does not say what the bitmap holds now. */
  get isChanged(): boolean {
    return this.#tableChanged || this.#changed.size > 0;
  }

  /** Offsets of the clusters that the stored table refers to. */
  get storedPlaces(): readonly number[] {
    return this.#stored.filter((place) => place > Missing.ones);
  }

  get #bitsPerPiece(): number {
    return this.#image.geometry.clusterSize * 8;
  }

  /** Sets the bits of a byte range of the guest; what is beyond the size does not count. */
  mark(offset: number, length: number): MaybePromise<void> {
    const end = Math.min(offset + length, this.size);
    if (offset >= end) return;
    const last = Math.floor((end - 1) / this.granularity);
    return this.#set(Math.floor(offset / this.granularity), last + 1);
  }

  #set(first: number, end: number): MaybePromise<void> {
    const perPiece = this.#bitsPerPiece;
    for (let bit = first; bit < end; ) {
      const index = Math.floor(bit / perPiece);
      const start = index * perPiece;
      const stop = Math.min(end, start + perPiece);
      const piece = this.#piece(index);
      if (isPromise(piece)) return piece.then(() => this.#set(bit, end));
      fillBits(piece, bit - start, stop - start);
      this.#changed.add(index);
      bit = stop;
    }
  }

  /** Has the table stored again. */
  touch(): void {
    this.#tableChanged = true;
  }

  /** Clears all bits. */
  clear(): void {
    this.#pieces.clear();
    this.#changed.clear();
    this.#places = emptyTable(this.#places.length);
    this.#tableChanged = true;
  }

  /** A piece to be changed. */
  #piece(index: number): MaybePromise<Uint8Array> {
    const known = this.#pieces.get(index);
    if (known) return known;
    const read = this.#read(index);
    const keep = (bytes: Uint8Array): Uint8Array => {
      const now = this.#pieces.get(index) ?? bytes;
      this.#pieces.set(index, now);
      return now;
    };
    return isPromise(read) ? read.then(keep) : keep(read);
  }

  /** The bytes of a piece that was not changed. */
  #read(index: number): MaybePromise<Uint8Array> {
    const place = this.#places[index] ?? Missing.zeroes;
    const bytes = new Uint8Array(this.#image.geometry.clusterSize);
    if (place === Missing.ones) bytes.fill(0xff);
    if (place <= Missing.ones) return bytes;
    const done = this.#image.file.readPadded(place, bytes);
    return isPromise(done) ? done.then(() => bytes) : bytes;
  }

  /** Changes the guest size; new bits are clear. */
  async resize(size: number): Promise<void> {
    const pieces = piecesFor(this.#image, this.granularity, size);
    const bits = divideUp(Math.min(size, this.size), this.granularity);
    const rest = bits % this.#bitsPerPiece;
    const last = Math.floor(bits / this.#bitsPerPiece);
    for (const index of this.#pieces.keys()) if (index >= pieces) this.#forget(index);
    // Bits behind the end may be set.
    if (rest > 0 && (this.#pieces.has(last) || this.#places[last] !== Missing.zeroes)) {
      clearBits(await this.#piece(last), rest);
      this.#changed.add(last);
    }
    const places = this.#places.slice(0, pieces);
    while (places.length < pieces) places.push(Missing.zeroes);
    this.#places = places;
    this.size = size;
    this.#tableChanged = true;
  }

  #forget(index: number): void {
    this.#pieces.delete(index);
    this.#changed.delete(index);
  }

  /** The dirty runs in guest bytes, sorted, not touching each other. */
  async *ranges(): AsyncGenerator<{ readonly offset: number; readonly length: number }, void, undefined> {
    let first = 0;
    let count = 0;
    for (let index = 0; index < this.#places.length; index++) {
      if (this.#places[index] === Missing.zeroes && !this.#pieces.has(index)) continue;
      const piece = this.#pieces.get(index) ?? (await this.#read(index));
      for (const run of runsOf(piece)) {
        const start = index * this.#bitsPerPiece + run.first;
        if (count > 0 && start === first + count) {
          count += run.count;
          continue;
        }
        if (count > 0) yield this.#bytesOf(first, count);
        first = start;
        count = run.count;
      }
    }
    if (count > 0 && first * this.granularity < this.size) yield this.#bytesOf(first, count);
  }

  #bytesOf(first: number, count: number): { offset: number; length: number } {
    const offset = first * this.granularity;
    return { offset, length: Math.min(count * this.granularity, this.size - offset) };
  }

  /**
   * Writes pieces that were changed into new clusters.
   * @param place writes bytes into new clusters and gives their offset.
   * @returns the table to store, offsets of the clusters that only the old one refers to, and `done`, to be called when
   * the new table is in force.
   */
  async store(place: (bytes: Uint8Array) => Promise<number>): Promise<StoredBits> {
    const places = [...this.#places];
    for (const index of [...this.#changed].sort((a, b) => a - b)) {
      const piece = this.#pieces.get(index);
      places[index] = !piece || isZero(piece) ? Missing.zeroes : await place(piece);
    }
    const table = new Uint8Array(places.length * 8);
    const view = new DataView(table.buffer);
    places.forEach((offset, index) => setEntry(view, index * 8, offset, false));
    const dropped = this.#stored.filter((offset, index) => offset > Missing.ones && offset !== places[index]);
    const done = (): void => {
      this.#places = places;
      this.#stored = [...places];
      this.#changed.clear();
      this.#tableChanged = false;
    };
    return { table, dropped, done };
  }
}

/** The table of a bitmap without a bit. */
function emptyTable(pieces: number): number[] {
  return Array.from({ length: pieces }, () => Missing.zeroes);
}

/** Pieces that a bitmap has over so many guest bytes; at least one. */
export function piecesFor(image: ImageState, granularity: number, size: number): number {
  return Math.max(1, divideUp(divideUp(divideUp(size, granularity), 8), image.geometry.clusterSize));
}

/** Sets bits `[from, to)`; the first bit of a byte is its lowest. */
function fillBits(bytes: Uint8Array, from: number, to: number): void {
  const firstByte = Math.floor(from / 8);
  const lastByte = Math.floor((to - 1) / 8);
  const head = (0xff << (from % 8)) & 0xff;
  const tail = 0xff >> (7 - ((to - 1) % 8));
  if (firstByte === lastByte) {
    bytes[firstByte] = (bytes[firstByte] ?? 0) | (head & tail);
    return;
  }
  bytes[firstByte] = (bytes[firstByte] ?? 0) | head;
  bytes.fill(0xff, firstByte + 1, lastByte);
  bytes[lastByte] = (bytes[lastByte] ?? 0) | tail;
}

/** Clears all bits from `from` on. */
function clearBits(bytes: Uint8Array, from: number): void {
  const byte = Math.floor(from / 8);
  bytes[byte] = (bytes[byte] ?? 0) & ((1 << (from % 8)) - 1);
  bytes.fill(0, byte + 1);
}

/** The runs of ones. */
function* runsOf(bytes: Uint8Array): Generator<BitRun, void, undefined> {
  let first = -1;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === (first < 0 ? 0 : 0xff)) continue;
    for (let bit = 0; bit < 8; bit++) {
      const on = ((byte >> bit) & 1) === 1;
      if (on && first < 0) first = at * 8 + bit;
      if (!on && first >= 0) {
        yield { first, count: at * 8 + bit - first };
        first = -1;
      }
    }
  }
  if (first >= 0) yield { first, count: bytes.length * 8 - first };
}
