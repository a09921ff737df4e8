/** The toy filter: what is stored below is the content with a key over each byte. */
import type { MaybePromise } from '../../../src/base/async.ts';
import { andThen } from '../../../src/base/async.ts';
import { invalidArgument } from '../../../src/base/error.ts';
import { coerceTree } from '../../../src/block/graph/openOptions.ts';
import type { FilterContext, FilterDriver } from '../../../src/block/filter.ts';
import type { OptionTable } from '../../../src/options/table.ts';
import type { Limits, Storage, StorageDriver } from '../../../src/storage/storage.ts';

const openOptions = {
  key: { kind: 'number', help: 'What is laid over each byte, 0 to 255', default: 0 },
} as const satisfies OptionTable;

/** Zeroes and holes below mean nothing here, so everything is data, and zeroes are written as such. */
class Veil implements StorageDriver {
  readonly #below: Storage;
  readonly #key: number;

  constructor(below: Storage, key: number) {
    this.#below = below;
    this.#key = key;
  }

  get limits(): Limits {
    return this.#below.limits;
  }

  size(): number {
    return this.#below.size();
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    return andThen(this.#below.read(offset, into), () => {
      for (let i = 0; i < into.length; i++) into[i] = (into[i] ?? 0) ^ this.#key;
    });
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    // What grows without being written reads as zeroes.
    if (offset > this.size()) await this.truncate(offset);
    await this.#below.write(
      offset,
      from.map((byte) => byte ^ this.#key),
    );
  }

  async truncate(size: number): Promise<void> {
    const before = this.size();
    if (size > before) await this.#below.write(before, new Uint8Array(size - before).fill(this.#key));
    else await this.#below.truncate(size);
  }

  flush(): MaybePromise<void> {
    return this.#below.flush();
  }

  /** What is below belongs to the node. */
  close(): void {}

  allocatedSize(): MaybePromise<number | undefined> {
    return this.#below.allocatedSize();
  }
}

/** The filter. Its names are `veil:KEY:FILE`. */
export const veil: FilterDriver = {
  name: 'veil',
  roles: [{ role: 'image' }],
  names: {
    parse(name) {
      const [, key = '', ...file] = name.split(':');
      if (file.length === 0) throw invalidArgument('veil requires a key and a file');
      return { options: { key }, children: { image: file.join(':') } };
    },
    print({ key = 0, ...others }, { image = '' }) {
      const plain = Object.keys(others).length === 0 && typeof key !== 'object';
      return plain ? `veil:${key}:${image}` : undefined;
    },
  },
  async open({ below, options }: FilterContext) {
    const { values, unknown } = coerceTree(openOptions, options);
    if (unknown !== undefined) throw invalidArgument(`Block protocol 'veil' doesn't support the option '${unknown}'`);
    return new Veil(below, Number(values['key']) & 0xff);
  },
};
