/**
 * Stored data that its file does not have: the file was cut off. What that means differs: some formats leave zeroes out at
 * the end of the file, others never do.
 */
import { andThen, type MaybePromise } from '../../base/async.ts';
import { ioError } from '../../base/error.ts';
import { alignDown, MAX_SIZE, SECTOR } from '../../base/offset.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { Storage, StorageDriver } from '../../storage/storage.ts';
import type { ImageDriver } from '../capabilities.ts';
import type { Mapping } from '../mapping.ts';

/** Runs of stored guest bytes. */
type Stored = Extract<Mapping, { kind: 'data' }>;

/** Places behind the end that are asked about: an image full of wild entries would have them all. */
const MOST_QUESTIONS = 16;

/** Looks at what one image maps, for {@link BeyondEnd}. */
export class MissingData {
  readonly #image: ImageDriver;
  readonly #warn: (text: string) => void;
  #warned = false;
  #questions = 0;

  constructor(image: ImageDriver, warn: (text: string) => void) {
    this.#image = image;
    this.#warn = warn;
  }

  /** The run at guest offset `offset`, up to where the file ends; one that is missing cannot be read or is told of. */
  look(run: Stored, offset: number): MaybePromise<Mapping> {
    const size = run.storage.size();
    if (run.offset + run.length <= size) return run;
    if (this.#image.beyondEnd?.data === 'told') {
      const place = this.#startOfLastUnit(run, offset);
      if (place < size || this.#warned || this.#questions++ >= MOST_QUESTIONS) return run;
      return andThen(this.#image.beyondEnd.vouches?.(run.storage, place) ?? true, (isKnown) => {
        if (isKnown) this.#tell(run.storage, offset + Math.max(0, size - run.offset), 'it reads as zeroes');
        return run;
      });
    }
    const there = alignDown(Math.max(0, size - run.offset), SECTOR);
    if (there > 0) return { ...run, length: there };
    const { storage } = run;
    const lost = new LostData(storage, () => this.#tell(storage, offset, 'it cannot be read'));
    return { ...run, storage: new CheckedStorage(lost, { name: storage.name, readOnly: true }), sparse: false };
  }

  /** Where the file has, or should have, the last unit of a run. Of a unit that begins in the file, the rest is zeroes. */
  #startOfLastUnit(run: Stored, offset: number): number {
    const unit = this.#image.allocationUnit ?? 1;
    return run.offset + alignDown(offset + run.length - 1, unit) - offset;
  }

  #tell(storage: Storage, offset: number, what: string): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#warn(`'${storage.name}' was cut off: it ends before the data of the disk at ${offset}; ${what}`);
  }
}

/** The place of data behind the end of a file: every read is an error. */
class LostData implements StorageDriver {
  readonly #file: Storage;
  readonly #tell: () => void;

  constructor(file: Storage, tell: () => void) {
    this.#file = file;
    this.#tell = tell;
  }

  get limits(): Storage['limits'] {
    return this.#file.limits;
  }

  size(): number {
    return MAX_SIZE;
  }

  read(offset: number, into: Uint8Array): never {
    this.#tell();
    const context = { filename: this.#file.name, offset, length: into.length, access: 'read' };
    throw ioError(context);
  }

  close(): void {}
}

/** Tells once of a table that its file does not have. What it stands for reads as if it had never been written. */
export class MissingTables {
  readonly #file: Storage;
  readonly #warn: (text: string) => void;
  #warned = false;

  constructor(file: Storage, warn: (text: string) => void) {
    this.#file = file;
    this.#warn = warn;
  }

  /** Looks at a table of `bytes` bytes at byte `place` of the file, with what stands for guest byte `offset`. */
  look(place: number, bytes: number, offset: number): void {
    if (this.#warned || place + bytes <= this.#file.size()) return;
    this.#warned = true;
    const what = `it ends before the table for the disk at ${offset}`;
    this.#warn(`'${this.#file.name}' was cut off: ${what}; that reads as if it had never been written`);
  }
}
