/** Fixed VHD images: the guest's bytes as they are, and a footer behind them. */
import type { MaybePromise } from '../../base/async.ts';
import type { Checker, FormatInfo, ImageDriver, Writing } from '../../block/capabilities.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { Limits, Storage, ZeroFlags } from '../../storage/storage.ts';
import { fixedCheckerOf } from './deepCheck.ts';

/** An open fixed image. */
export class FixedImage implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly virtualSize: number;
  readonly checker: Checker;
  readonly #file: Storage;

  constructor(file: Storage, virtualSize: number) {
    this.#file = file;
    this.virtualSize = virtualSize;
    this.checker = fixedCheckerOf({ file, virtualSize });
  }

  get limits(): Limits {
    return this.#file.limits;
  }

  map(offset: number, length: number): Mapping {
    return { kind: 'data', length, storage: this.#file, offset, sparse: true };
  }

  allocate(offset: number, length: number): Allocation {
    return { start: offset, length, storage: this.#file, offset, fresh: false };
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    return this.#file.writeZeroes(offset, length, flags);
  }

  flush(): MaybePromise<void> {
    return this.#file.flush();
  }

  close(): void {}

  info(): FormatInfo {
    return { dirty: false };
  }
}
