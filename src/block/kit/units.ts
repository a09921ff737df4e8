/**
 * Guest bytes in units of one size (clusters, blocks), each of which has its place in the file: runs of them, what they
 * map to, and room for them. Formats read their tables (see {@link PagedTable}), the rest is the same for all.
 */
import type { MaybePromise } from '../../base/async.ts';
import { alignUp } from '../../base/offset.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Allocation, Mapping } from '../mapping.ts';
import type { FileEnd } from './fileEnd.ts';

/** What an entry of a table says where it is not the place of a unit. A format may have further ones, below these. */
export const Place = { unallocated: -1, zero: -2, special: -3 } as const;

/** A run of units that follow each other in the file too, or have no place for the same reason. */
export interface Run {
  /** Where the first unit is in the file, in bytes, or one of {@link Place}. */
  readonly place: number;
  /** Units, at least one; the request may end inside the last. */
  readonly count: number;
}

/**
 * The run of units that begins with the first of `most`.
 * @param step bytes by which places differ that follow each other.
 * @param placeOf place of unit `i`, or what it has instead.
 */
export function runOf(most: number, step: number, placeOf: (i: number) => number): Run {
  const place = placeOf(0);
  const apart = place < 0 ? 0 : step;
  let count = 1;
  while (count < most && placeOf(count) === place + count * apart) count++;
  return { place, count };
}

/** Guest bytes with zeroes behind them, where they are no whole units: compressors want those. */
export function wholeUnits(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length % size === 0) return bytes;
  const whole = new Uint8Array(alignUp(bytes.length, size));
  whole.set(bytes);
  return whole;
}

/** Room that was not there before, with what is done when it is filled, or could not be. */
export type NewRoom = Required<Omit<Allocation, 'encode'>>;

/** The units of one image, stored in one file. */
export class Units {
  readonly file: Storage;
  /** Bytes of a unit. */
  readonly size: number;

  constructor(file: Storage, size: number) {
    this.file = file;
    this.size = size;
  }

  /** Number of the unit that holds a guest byte. */
  indexOf(offset: number): number {
    return Math.floor(offset / this.size);
  }

  /** Bytes in front of a guest byte in its unit. */
  inside(offset: number): number {
    return offset - this.indexOf(offset) * this.size;
  }

  /** How many units a guest range touches. */
  count(offset: number, length: number): number {
    return Math.ceil((this.inside(offset) + length) / this.size);
  }

  /** Bytes of a range from `offset` on that lie in the run that begins with its first unit. */
  lengthIn(run: Run, offset: number, length: number): number {
    return Math.min(length, run.count * this.size - this.inside(offset));
  }

  /** What a guest range is mapped to that begins in the first unit of `run`; special units are neither coded. */
  mapping(run: Run, offset: number, length: number): Mapping {
    const inside = this.inside(offset);
    const known = Math.min(length, run.count * this.size - inside);
    if (run.place >= 0) return { kind: 'data', length: known, storage: this.file, offset: run.place + inside };
    if (run.place === Place.unallocated) return { kind: 'unallocated', length: known };
    if (run.place === Place.zero) return { kind: 'zero', length: known };
    return { kind: 'special', length: known, compressed: false, encrypted: false };
  }

  /** The room that a guest range has already, in a run with a place. */
  room(run: Run, offset: number, length: number): Allocation {
    return {
      start: offset,
      length: this.lengthIn(run, offset, length),
      storage: this.file,
      offset: run.place + this.inside(offset),
      fresh: false,
    };
  }

  /**
   * Takes room behind everything else for `count` units, the first of which holds guest byte `offset`.
   * @param link makes the room at `place` part of the image, when the data is written.
   * @param alignment of the place in bytes, where the end itself may have none.
   */
  append(
    end: FileEnd,
    count: number,
    offset: number,
    link: (place: number) => MaybePromise<void>,
    alignment?: number,
  ): NewRoom {
    const bytes = count * this.size;
    const place = end.reserve(bytes, alignment);
    const giveBack = (): void => {
      end.giveBack(place, bytes);
    };
    return this.newRoom({ place, count }, offset, () => link(place), giveBack);
  }

  /**
   * Room that was found for whole units, the first of which holds guest byte `offset`.
   * @param commit makes the room part of the image, when the data is written; `abort` is called if it could not be.
   */
  newRoom(run: Run, offset: number, commit: () => MaybePromise<void>, abort: () => MaybePromise<void>): NewRoom {
    return {
      start: offset - this.inside(offset),
      length: run.count * this.size,
      storage: this.file,
      offset: run.place,
      fresh: true,
      zeroed: run.place >= this.file.size(),
      commit,
      abort,
    };
  }
}
