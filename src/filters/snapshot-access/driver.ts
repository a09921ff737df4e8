/**
 * `snapshot-access`: the content that an image had when a filter below (`copy-before-write`) began to keep it. That one works
 * only while something writes to it, which is never where this is read: so, as in the real tool, nothing can be read here.
 */
import { unsupported } from '../../base/error.ts';
import type { FilterContext, FilterDriver, FilterStorage } from '../../block/filter.ts';
import { filterValues } from '../../block/graph/openOptions.ts';
import type { Limits, Storage } from '../../storage/storage.ts';

class UnsupportedStorage implements FilterStorage {
  readonly #below: Storage;

  constructor(below: Storage) {
    this.#below = below;
  }

  get limits(): Limits {
    const { minMemoryAlignment, optimalMemoryAlignment, maxIov } = this.#below.limits;
    return {
      requestAlignment: 1,
      ...(minMemoryAlignment === undefined ? {} : { minMemoryAlignment }),
      ...(optimalMemoryAlignment === undefined ? {} : { optimalMemoryAlignment }),
      ...(maxIov === undefined ? {} : { maxIov }),
    };
  }

  size(): number {
    return this.#below.size();
  }

  read(): never {
    throw unsupported('Operation not supported');
  }

  write(): never {
    throw unsupported('Operation not supported');
  }

  status(): never {
    throw unsupported('Operation not supported');
  }

  close(): void {}

  allocatedSize(): ReturnType<Storage['allocatedSize']> {
    return this.#below.allocatedSize();
  }
}

/** The filter. */
export const snapshotAccess: FilterDriver = {
  name: 'snapshot-access',
  roles: [{ role: 'file' }],
  opaque: true,
  unnamed: true,
  quirks: { unknownClusters: true },
  open: async ({ below, options }: FilterContext) => {
    filterValues('snapshot-access', {}, options);
    return new UnsupportedStorage(below);
  },
};
