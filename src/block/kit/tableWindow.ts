/** The part of a file that one metadata table takes, as a storage of its own for a {@link MetadataCache}. */
import type { MaybePromise } from '../../base/async.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { Limits, Storage, StorageDriver } from '../../storage/storage.ts';

/** Writes end at the end of the window, so that a cache page which reaches beyond the table leaves its neighbours alone. */
class WindowDriver implements StorageDriver {
  readonly #file: Storage;
  readonly #start: number;
  readonly #length: number;

  constructor(file: Storage, start: number, length: number) {
    this.#file = file;
    this.#start = start;
    this.#length = length;
  }

  get limits(): Limits {
    return this.#file.limits;
  }

  size(): number {
    return this.#length;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    return this.#file.readPadded(this.#start + offset, into);
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    const length = Math.min(from.length, this.#length - offset);
    if (length > 0) return this.#file.write(this.#start + offset, from.subarray(0, length));
  }

  flush(): MaybePromise<void> {
    return this.#file.flush();
  }

  close(): void {}
}

/**
 * Bytes `[start, start + length)` of `file`. Bytes that the file does not have read as zeroes; what is written behind the
 * end of the window is dropped. Closing it leaves the file open.
 */
export function tableWindow(file: Storage, start: number, length: number): Storage {
  return new CheckedStorage(new WindowDriver(file, start, length), { name: file.name, readOnly: file.readOnly });
}
