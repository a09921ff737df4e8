/** Copies that vote. */
import { asBlockError, BlockError, ioError } from '../../base/error.ts';
import { equalBytes } from '../../base/bytes.ts';
import type { Extent, Limits, Storage, StorageDriver, ZeroFlags } from '../../storage/storage.ts';

/** How copies are used. */
export interface Voting {
  /** How many have to agree, or to be written. */
  readonly threshold: number;
  /** All are read and compared; otherwise the first is taken that can be read. */
  readonly votes: boolean;
  /** Everything ends where they differ. */
  readonly verifies: boolean;
  /** What differs is overwritten with what the majority has. */
  readonly rewrites: boolean;
}

/** One storage made of several copies. */
export class VotingStorage implements StorageDriver {
  readonly #copies: readonly Storage[];
  readonly #how: Voting;

  constructor(copies: readonly Storage[], how: Voting) {
    this.#copies = copies;
    this.#how = how;
  }

  get limits(): Limits {
    const [first] = this.#copies;
    const { minMemoryAlignment = 512, optimalMemoryAlignment = 4096, maxIov = 1024 } = first?.limits ?? {};
    return { requestAlignment: 1, minMemoryAlignment, optimalMemoryAlignment, maxIov };
  }

  size(): number {
    return this.#copies[0]?.size() ?? 0;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    if (!this.#how.votes) return this.#readFirst(offset, into);
    const buffers = this.#copies.map((_, index) => (index === 0 ? into : new Uint8Array(into.length)));
    const errors = await this.#all((copy, index) => copy.readPadded(offset, buffers[index] as Uint8Array));
    const good = buffers.filter((_, index) => errors[index] === undefined);
    if (good.length < this.#how.threshold) throw mostFrequent(errors);
    const versions = versionsOf(good);
    if (versions.length === 1) return this.#take(versions[0]?.bytes, into);
    if (this.#how.verifies) throw this.#mismatch(offset, versions);
    const winner = largest(versions);
    if (winner.votes < this.#how.threshold) throw ioError({ filename: this.#copies[0]?.name ?? '' });
    const right = winner.bytes.slice();
    if (this.#how.rewrites) await this.#rewrite(offset, right, buffers, errors);
    this.#take(right, into);
  }

  #take(bytes: Uint8Array | undefined, into: Uint8Array): void {
    if (bytes && bytes !== into) into.set(bytes);
  }

  #mismatch(offset: number, versions: readonly Version[]): BlockError {
    const [a, b] = versions.map(({ bytes }) => bytes);
    const place = a?.findIndex((byte, index) => byte !== b?.[index]) ?? 0;
    const what = `offset=${offset} bytes=${a?.length ?? 0} contents mismatch at offset ${offset + place}`;
    return new BlockError('mismatch', `quorum: ${what}`);
  }

  /** What cannot be repaired is left as it is. */
  async #rewrite(
    offset: number,
    right: Uint8Array,
    buffers: readonly Uint8Array[],
    errors: readonly (BlockError | undefined)[],
  ): Promise<void> {
    await this.#all(async (copy, index) => {
      if (errors[index] === undefined && !equalBytes(buffers[index] as Uint8Array, right))
        await copy.write(offset, right);
    });
  }

  async #readFirst(offset: number, into: Uint8Array): Promise<void> {
    let last: BlockError | undefined;
    for (const copy of this.#copies) {
      try {
        return await copy.readPadded(offset, into);
      } catch (thrown) {
        last = asBlockError(thrown);
      }
    }
    throw last ?? ioError();
  }

  write(offset: number, from: Uint8Array): Promise<void> {
    return this.#enough((copy) => copy.write(offset, from));
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    return this.#enough((copy) => copy.writeZeroes(offset, length, flags));
  }

  flush(): Promise<void> {
    return this.#enough((copy) => copy.flush());
  }

  /** Data is where any copy has some, or cannot tell. */
  async status(offset: number, length: number): Promise<Extent> {
    let data = 0;
    let zeroes = length;
    const errors = await this.#all(async (copy) => {
      const extent = await copy.status(offset, length);
      if (extent.kind === 'hole') zeroes = Math.min(zeroes, extent.length);
      else data = Math.max(data, extent.length);
    });
    if (errors.some((error) => error !== undefined)) return { length, kind: 'data' };
    return data > 0 ? { length: data, kind: 'data' } : { length: zeroes, kind: 'hole' };
  }

  /** The copies belong to the node. */
  close(): void {}

  async allocatedSize(): Promise<number | undefined> {
    let total = 0;
    for (const copy of this.#copies) {
      const size = await copy.allocatedSize();
      if (size === undefined) return undefined;
      total += size;
    }
    return total;
  }

  /** Makes a request of all copies, and gives the failure of each. */
  #all(request: (copy: Storage, index: number) => unknown): Promise<(BlockError | undefined)[]> {
    return Promise.all(
      this.#copies.map(async (copy, index) => {
        try {
          await request(copy, index);
          return undefined;
        } catch (thrown) {
          return asBlockError(thrown);
        }
      }),
    );
  }

  async #enough(request: (copy: Storage) => unknown): Promise<void> {
    const errors = await this.#all(request);
    const done = errors.filter((error) => error === undefined).length;
    if (done < this.#how.threshold) throw mostFrequent(errors);
  }
}

/** One content, and how many copies have it. */
interface Version {
  readonly bytes: Uint8Array;
  votes: number;
}

function versionsOf(buffers: readonly Uint8Array[]): Version[] {
  const versions: Version[] = [];
  for (const bytes of buffers) {
    const known = versions.find((version) => equalBytes(version.bytes, bytes));
    if (known) known.votes++;
    else versions.push({ bytes, votes: 1 });
  }
  return versions;
}

/** Of several with as many votes the last. */
function largest<T extends { readonly votes: number }>(list: readonly T[]): T {
  return list.reduce((best, next) => (next.votes >= best.votes ? next : best));
}

/** The failure that most copies have. */
function mostFrequent(errors: readonly (BlockError | undefined)[]): BlockError {
  const counted: { readonly error: BlockError; votes: number }[] = [];
  for (const error of errors) {
    if (!error) continue;
    const known = counted.find((other) => other.error.code === error.code);
    if (known) known.votes++;
    else counted.push({ error, votes: 1 });
  }
  return counted.length === 0 ? ioError() : largest(counted).error;
}
