/** Two storages that are to hold the same. */
import { BlockError, asBlockError } from '../../base/error.ts';
import { linuxNumber } from '../../base/posix.ts';
import { PassingStorage } from '../../storage/passing.ts';
import type { Limits, Storage, ZeroFlags } from '../../storage/storage.ts';

/** The raw copy, which says where bytes are, with the image beside it, which says how large they both are. */
export class TwinStorage extends PassingStorage {
  readonly #test: Storage;

  constructor(raw: Storage, test: Storage) {
    super(raw);
    this.#test = test;
  }

  override get limits(): Limits {
    const { discardAlignment = 0, ...limits } = super.limits;
    const largest = Math.max(discardAlignment, this.#test.limits.discardAlignment ?? 0);
    return largest === 0 ? limits : { ...limits, discardAlignment: largest };
  }

  override size(): number {
    return this.#test.size();
  }

  override async read(offset: number, into: Uint8Array): Promise<void> {
    const copy = new Uint8Array(into.length);
    await this.#both('read', offset, into.length, (storage) =>
      storage.readPadded(offset, storage === this.below ? copy : into),
    );
    const place = firstDifference(into, copy);
    if (place < 0) return;
    throw this.#mismatch(`read offset=${offset} bytes=${into.length} contents mismatch at offset ${offset + place}`);
  }

  override write(offset: number, from: Uint8Array): Promise<void> {
    return this.#both('write', offset, from.length, (storage) => storage.write(offset, from));
  }

  override writeZeroes(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    return this.#both('write', offset, length, (storage) => storage.writeZeroes(offset, length, flags));
  }

  /** What is discarded may read as anything, and so not the same. */
  override discard(): void {}

  /** Only the image counts: it is what is verified. */
  override flush(): ReturnType<PassingStorage['flush']> {
    return this.#test.flush();
  }

  /** The real tool does not know it either. */
  override allocatedSize(): undefined {}

  /** Both have to do it, or both to fail in the same way. */
  async #both(
    access: 'read' | 'write',
    offset: number,
    length: number,
    request: (storage: Storage) => unknown,
  ): Promise<void> {
    const [ofTest, ofRaw] = await Promise.all([outcome(request, this.#test), outcome(request, this.below)]);
    if (ofTest?.code !== ofRaw?.code) {
      const values = `${returned(ofTest)} != ${returned(ofRaw)}`;
      throw this.#mismatch(`${access} offset=${offset} bytes=${length} return value mismatch ${values}`);
    }
    if (ofTest) throw ofTest;
  }

  #mismatch(what: string): BlockError {
    return new BlockError('mismatch', `blkverify: ${what}`, { context: { filename: this.#test.name } });
  }
}

async function outcome(request: (storage: Storage) => unknown, storage: Storage): Promise<BlockError | undefined> {
  try {
    await request(storage);
    return undefined;
  } catch (thrown) {
    return asBlockError(thrown);
  }
}

/** A result as functions of C return it. */
function returned(error: BlockError | undefined): number {
  return error ? -linuxNumber(error.code) : 0;
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  return a.findIndex((byte, index) => byte !== b[index]);
}
