/** Reads L2 tables ahead of who looks at them: many at a time, neighbours in one piece. */
import { isPromise, type MaybePromise, orElse } from '../../../base/async.ts';
import type { Waiter } from '../../../base/inflight.ts';
import { sharedArray } from '../../../base/kernels.ts';
import { MiB } from '../../../base/offset.ts';
import { readAt, type Storage } from '../../../storage/storage.ts';

/** Bytes of tables that are read before the first of them is looked at. */
const BATCH = 2 * MiB;

/** From so many bytes on, memory that can be searched with vector instructions is worth its making. */
const WHOLE = MiB;

/** What a {@link TableReader} reads, and how. */
interface Tables {
  readonly file: Storage;
  /** Bytes in each table. */
  readonly size: number;
  /** Where the tables are, in the order in which they are going to be asked for; 0 stands for none. */
  readonly offsets: ArrayLike<number>;
  /** Lets other events in between two batches. */
  readonly waiter: Waiter;
  /** True for a table that nobody is going to ask for. */
  isNeedless(offset: number): boolean;
  /** True for a table that is all zero, as far as that can be told without reading it. */
  isHole(offset: number): MaybePromise<boolean>;
}

/** Tables that are read together. */
interface Batch {
  /** The first index behind those that the batch is for. */
  readonly end: number;
  readonly buffer: Uint8Array;
  /** By offset: where the table is in the buffer, and whether it is there; undefined for a hole. */
  readonly places: Map<number, Place | undefined>;
}

interface Place {
  readonly at: number;
  readonly done: MaybePromise<Outcome>;
}

/** True if a table is there, false if it could not be read together with its neighbours; why one without any could not. */
type Outcome = boolean | { readonly error: unknown };

/** The tables of a list, one after the other. While one batch of them is looked at, the next one is being read. */
export class TableReader {
  readonly #tables: Tables;
  /** Tables in a batch. */
  readonly #count: number;
  #current: Batch | undefined;
  #next: Promise<Batch> | undefined;

  constructor(tables: Tables) {
    this.#tables = tables;
    this.#count = Math.max(1, Math.floor(BATCH / tables.size));
  }

  /**
   * The table of the list's place `index`, which never goes back; undefined if it is a hole. Valid until a table of the
   * next batch is asked for. Bytes beyond the end of the file are zero.
   * @throws BlockError if it cannot be read.
   */
  table(index: number): MaybePromise<Uint8Array | undefined> {
    const batch = this.#current;
    if (batch && index < batch.end) return this.#tableOf(batch, index);
    return this.#advance(index);
  }

  #tableOf(batch: Batch, index: number): MaybePromise<Uint8Array | undefined> {
    const { size, offsets } = this.#tables;
    const offset = offsets[index] as number;
    const place = batch.places.get(offset);
    if (!place) return batch.places.has(offset) ? undefined : this.#alone(offset);
    const found = (done: Outcome): MaybePromise<Uint8Array> => {
      if (done === false) return this.#alone(offset);
      if (done !== true) throw done.error;
      return batch.buffer.subarray(place.at, place.at + size);
    };
    return isPromise(place.done) ? place.done.then(found) : found(place.done);
  }

  #alone(offset: number): Promise<Uint8Array> {
    return readAt(this.#tables.file, offset, this.#tables.size);
  }

  async #advance(index: number): Promise<Uint8Array | undefined> {
    const last = this.#current;
    // What is in the page cache is read at once, and would keep other events out.
    if (last) await this.#tables.waiter.wait(0);
    // Nobody may have asked for some of its tables, whose reads would still go to the memory that is used again.
    if (last) await finished(last);
    const batch = await (this.#next ?? this.#start(index, undefined));
    this.#current = batch;
    this.#next = batch.end < this.#tables.offsets.length ? this.#start(batch.end, last?.buffer) : undefined;
    // A failure is noticed when its turn comes; until then it is not unhandled.
    this.#next?.catch(() => undefined);
    return index < batch.end ? this.#tableOf(batch, index) : this.#advance(index);
  }

  /** Begins to read the tables from the list's place `index` on. */
  async #start(index: number, spare: Uint8Array | undefined): Promise<Batch> {
    const { offsets, size } = this.#tables;
    const found: number[] = [];
    const places = new Map<number, Place | undefined>();
    let end = index;
    for (; end < offsets.length && found.length < this.#count; end++) {
      const offset = offsets[end] as number;
      if (offset === 0 || places.has(offset) || this.#tables.isNeedless(offset)) continue;
      const hole = this.#tables.isHole(offset);
      places.set(offset, undefined);
      if (!(isPromise(hole) ? await hole : hole)) found.push(offset);
    }
    const length = found.length * size;
    const buffer =
      spare && spare.length >= length ? spare : length < WHOLE ? new Uint8Array(length) : sharedArray(length);
    const batch: Batch = { end, buffer, places };
    for (let first = 0; first < found.length; ) {
      let last = first;
      while (found[last + 1] === (found[last] as number) + size) last++;
      this.#read(batch, found, first, last + 1);
      first = last + 1;
    }
    return batch;
  }

  /** Reads the neighbours `[first, end)` of the tables of a batch. */
  #read(batch: Batch, found: readonly number[], first: number, end: number): void {
    const { file, size } = this.#tables;
    const into = batch.buffer.subarray(first * size, end * size);
    const done = orElse<Outcome>(
      () => {
        const reading = file.readPadded(found[first] as number, into);
        return isPromise(reading) ? reading.then(() => true) : true;
      },
      (error) => (end - first > 1 ? false : { error }),
    );
    for (let i = first; i < end; i++) batch.places.set(found[i] as number, { at: i * size, done });
  }

  /** Tables were written: what was read before does not count. */
  async forget(): Promise<void> {
    await this.settle();
    this.#current?.places.clear();
    (await this.#next)?.places.clear();
  }

  /** Waits until nothing is being read. */
  async settle(): Promise<void> {
    const batches = [this.#current, await this.#next?.catch(() => undefined)];
    for (const batch of batches) if (batch) await finished(batch);
  }
}

/** Waits until nothing is being read into the memory of a batch. */
async function finished({ places }: Batch): Promise<void> {
  for (const place of places.values()) if (isPromise(place?.done)) await place.done;
}
