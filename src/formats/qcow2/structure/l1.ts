/** The active L1 table: held in memory as a whole (32 MiB at most), written in pieces that changed. */
import { isPromise, type MaybePromise } from '../../../base/async.ts';
import type { Flushable } from '../../../block/kit/cache.ts';
import type { Storage } from '../../../storage/storage.ts';

/** Unit of change tracking in bytes. */
const CHUNK = 4096;
/** Largest single write in bytes. */
const RUN = 4194304;

/** What an {@link L1Table} is written to. */
interface L1Place {
  readonly storage: Storage;
  /** Has to be on the disk before any change of the table. */
  readonly before: Flushable;
  /** Throws if nothing may be written to a byte range: other metadata is there. */
  readonly mayWrite: (offset: number, length: number) => MaybePromise<void>;
}

/** The L1 table of an open image. */
export class L1Table implements Flushable {
  readonly #place: L1Place;
  readonly #dirty = new Set<number>();
  #view: DataView | undefined;
  #loading: Promise<DataView> | undefined;
  #offset: number;
  #entries: number;

  constructor(place: L1Place, offset: number, entries: number) {
    this.#place = place;
    this.#offset = offset;
    this.#entries = entries;
  }

  /** Entries in the table. */
  get entries(): number {
    return this.#entries;
  }

  /** The table's fields, 8 bytes an entry; loaded at the first call. */
  view(): MaybePromise<DataView> {
    if (this.#view) return this.#view;
    if (this.#loading) return this.#loading;
    const bytes = new Uint8Array(this.#entries * 8);
    const done = this.#place.storage.readPadded(this.#offset, bytes);
    if (!isPromise(done)) return this.#adopt(bytes);
    this.#loading = done
      .then(() => this.#adopt(bytes))
      .finally(() => {
        this.#loading = undefined;
      });
    return this.#loading;
  }

  #adopt(bytes: Uint8Array): DataView {
    this.#view = new DataView(bytes.buffer);
    return this.#view;
  }

  /** Records that entry `index` was changed through the view. */
  markDirty(index: number): void {
    this.#dirty.add(Math.floor((index * 8) / CHUNK));
  }

  /** Puts another table in place, which is on the disk already. */
  replace(offset: number, entries: number, bytes: Uint8Array): void {
    this.#offset = offset;
    this.#entries = entries;
    this.#dirty.clear();
    this.#adopt(bytes);
  }

  /** Writes what changed, after what has to come first, and makes it durable. */
  async flush(): Promise<void> {
    if (this.#dirty.size === 0 || !this.#view) return;
    const { storage, before, mayWrite } = this.#place;
    await before.flush();
    await storage.flush();
    const chunks = [...this.#dirty].sort((a, b) => a - b);
    this.#dirty.clear();
    const bytes = new Uint8Array(this.#view.buffer);
    try {
      for (let i = 0; i < chunks.length; ) {
        const first = chunks[i] ?? 0;
        let count = 1;
        while ((count + 1) * CHUNK <= RUN && chunks[i + count] === first + count) count++;
        const piece = bytes.slice(first * CHUNK, (first + count) * CHUNK);
        await mayWrite(this.#offset + first * CHUNK, piece.length);
        await storage.write(this.#offset + first * CHUNK, piece);
        i += count;
      }
    } catch (error) {
      for (const chunk of chunks) this.#dirty.add(chunk);
      throw error;
    }
    await storage.flush();
  }
}
