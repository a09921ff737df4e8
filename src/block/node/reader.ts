/**
 * Reading an opened image, as every format needs it: alignment, reading through to the backing image, data that the file
 * does not have. It takes no locks: the node does where somebody else may write.
 */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import type { Extent, Storage } from '../../storage/storage.ts';
import type { ImageDriver } from '../capabilities.ts';
import type { OpenContext } from '../format.ts';
import type { Mapping } from '../mapping.ts';
import { MissingData } from './missing.ts';
import { rounded } from './rounding.ts';

/** What an {@link ImageReader} is made of. */
export interface ReaderParts {
  readonly name: string;
  readonly format: string;
  readonly driver: ImageDriver;
  readonly tellMissing: OpenContext['tellMissing'] | undefined;
  /** The backing image, if it is open. */
  readonly below: () => Storage | undefined;
  /** Called before bytes of the backing image are taken; throws if it is the wrong one. */
  readonly admitBelow: () => void;
}

/** The error of a request that leaves the image. */
export function outOfRange(name: string, access: string, offset: number, length: number): BlockError {
  return new BlockError('out-of-range', `${access} of ${length} bytes at ${offset} is beyond the end of the image`, {
    context: { filename: name, offset, length, access },
  });
}

/** The reading half of a node. */
export class ImageReader {
  readonly name: string;
  readonly format: string;
  readonly below: () => Storage | undefined;
  readonly #admitBelow: () => void;
  readonly #image: ImageDriver;
  readonly #missing: MissingData | undefined;

  constructor({ name, format, driver, tellMissing, below, admitBelow }: ReaderParts) {
    this.name = name;
    this.format = format;
    this.below = below;
    this.#admitBelow = admitBelow;
    this.#image = driver;
    if (tellMissing && driver.beyondEnd) this.#missing = new MissingData(driver, tellMissing);
  }

  size(): number {
    return this.#image.virtualSize;
  }

  /** `limits.requestAlignment`, which every request asks for. */
  get alignment(): number {
    return this.#image.limits?.requestAlignment ?? 1;
  }

  /** Where the run at `offset` is in this image's own layer; never beyond its end. */
  map(offset: number, length: number): MaybePromise<Mapping> {
    const limit = Math.min(length, this.size() - offset);
    if (limit <= 0) throw outOfRange(this.name, 'map', offset, length);
    return andThen(this.#image.map(offset, limit), (mapping) => this.#assertMapping(mapping, offset, limit));
  }

  #assertMapping(mapping: Mapping, offset: number, limit: number): MaybePromise<Mapping> {
    if (mapping.length >= 1 && mapping.length <= limit) {
      return mapping.kind === 'data' && this.#missing ? this.#missing.look(mapping, offset) : mapping;
    }
    throw new BlockError('internal', `${this.format}: mapping of ${mapping.length} bytes for ${limit} at ${offset}`);
  }

  /** Fills `into`. */
  read(offset: number, into: Uint8Array): MaybePromise<void> {
    if (offset < 0 || offset + into.length > this.size()) throw outOfRange(this.name, 'read', offset, into.length);
    const unit = this.alignment;
    if (unit > 1) return rounded(offset, into, unit, this.size(), (at, bytes) => this.#readWhole(at, bytes));
    return this.#readWhole(offset, into);
  }

  #readWhole(offset: number, into: Uint8Array): MaybePromise<void> {
    const { through } = this.#image;
    return through ? through.readPadded(offset, into) : this.#readFrom(offset, into, 0);
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
        this.#image.events?.('read_aio');
        return mapping.storage.readPadded(mapping.offset, target);
      case 'zero':
        target.fill(0);
        return;
      case 'unallocated': {
        const below = this.below();
        if (below) {
          this.#image.events?.('read_backing_aio');
          this.#admitBelow();
          return below.readPadded(base + at, target);
        }
        target.fill(0);
        return;
      }
      case 'special':
        if (!this.#image.readSpecial) throw new BlockError('internal', `${this.format}: no way to read special data`);
        this.#image.events?.('read_compressed');
        return this.#image.readSpecial(base + at, target);
    }
  }

  /** Holes are what surely reads as zeroes; backing images are looked through. */
  status(offset: number, length: number): MaybePromise<Extent> {
    if (offset >= this.size()) return { length: Math.max(1, length), kind: 'hole' };
    return andThen(this.map(offset, length), (mapping) => this.#extentOf(mapping, offset));
  }

  #extentOf(mapping: Mapping, offset: number): MaybePromise<Extent> {
    if (mapping.kind === 'zero') return { length: mapping.length, kind: 'hole' };
    if (mapping.kind === 'unallocated') {
      return this.below()?.status(offset, mapping.length) ?? { length: mapping.length, kind: 'hole' };
    }
    if (mapping.kind === 'data' && mapping.sparse) return mapping.storage.status(mapping.offset, mapping.length);
    return { length: mapping.length, kind: 'data' };
  }
}
