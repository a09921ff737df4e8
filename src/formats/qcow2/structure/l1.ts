/** The active L1 table: held in memory as a whole (32 MiB at most), written in pieces that changed. */
import { isPromise, type MaybePromise, Semaphore } from '../../../base/async.ts';
import { Barrier, behind, type Pending } from '../../../block/kit/barrier.ts';
import type { Storage } from '../../../storage/storage.ts';

/** Unit of change tracking in bytes. */
const CHUNK = 4096;
/** Largest single write in bytes. */
const RUN = 4194304;

/** What an {@link L1Table} is written to. */
interface L1Place {
  readonly storage: Storage;
  /** What has to be on the disk before any change of the table. */
  readonly after: () => readonly Pending[];
  /** Throws if nothing may be written to a byte range: other metadata is there. */
  readonly mayWrite: (offset: number, length: number) => MaybePromise<void>;
}

/** Changed chunks that follow each other, as they are going to be written. */
interface Piece {
  /** Place in the file in bytes. */
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly chunks: readonly number[];
}

/** The L1 table of an open image. */
export class L1Table implements Pending {
  readonly #place: L1Place;
  readonly #dirty = new Set<number>();
  /** Pieces that are written, but perhaps not durable. */
  readonly #written: Barrier;
  /** Of two flushes the second waits for the first: what that is writing is not there before. */
  readonly #turn = new Semaphore(1);
  #view: DataView | undefined;
  #loading: Promise<DataView> | undefined;
  #offset: number;
  #entries: number;

  constructor(place: L1Place, offset: number, entries: number) {
    this.#place = place;
    this.#written = new Barrier(() => place.storage.flush());
    this.#offset = offset;
    this.#entries = entries;
  }

  get isPending(): boolean {
    const { after } = this.#place;
    return this.#dirty.size > 0 || this.#written.isPending || after().some(({ isPending }) => isPending);
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

  /** Flushes what has to come first, whether the table changed or not, writes what changed, and makes it durable. */
  async flush(): Promise<void> {
    await this.#turn.run(() => this.#flush());
  }

  async #flush(): Promise<void> {
    const { storage, after, mayWrite } = this.#place;
    const pieces = await behind(after, () => this.#takePieces());
    try {
      for (const { at, bytes } of pieces) {
        await mayWrite(at, bytes.length);
        storage.debugEvent?.('l1_update');
        await storage.write(at, bytes);
      }
    } catch (error) {
      for (const { chunks } of pieces) for (const chunk of chunks) this.#dirty.add(chunk);
      throw error;
    }
    await this.#written.flush();
  }

  /** Copies of what changed, which counts as written from here on. */
  #takePieces(): Piece[] {
    const pieces: Piece[] = [];
    if (!this.#view) return pieces;
    const chunks = [...this.#dirty].sort((a, b) => a - b);
    this.#dirty.clear();
    if (chunks.length > 0) this.#written.arm();
    const table = new Uint8Array(this.#view.buffer);
    for (let i = 0; i < chunks.length; ) {
      const first = chunks[i] ?? 0;
      let count = 1;
      while ((count + 1) * CHUNK <= RUN && chunks[i + count] === first + count) count++;
      const bytes = table.slice(first * CHUNK, (first + count) * CHUNK);
      pieces.push({ at: this.#offset + first * CHUNK, bytes, chunks: chunks.slice(i, i + count) });
      i += count;
    }
    return pieces;
  }
}
