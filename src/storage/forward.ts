/**
 * Bytes that can only be made in order (compressed files, pipes) as a storage. What is asked for again, or out of order, is in a
 * window of what came last; or it is made once more, from the last place where that can begin; or, when that happens too often,
 * everything is put into a spool, where it can be read in any order.
 */
import type { ByteStream } from '../base/byteStream.ts';
import { asBlockError, BlockError } from '../base/error.ts';
import { KiB, MiB } from '../base/offset.ts';
import { isZero } from '../base/zero.ts';
import type { Limits, StorageDriver } from './storage.ts';

/** Where bytes come from in order. */
export interface ForwardSource {
  /** Offsets where reading can begin, ascending; the first is 0. */
  readonly starts: readonly number[];
  /** Reading can begin once only, at 0. */
  readonly once?: boolean;
  /** The bytes from the start of that number on, to the end. */
  open(start: number): Promise<ByteStream>;
}

/** What keeps bytes for a storage whose source is too slow to be asked again. */
export interface SpoolStorage extends StorageDriver {
  write(offset: number, from: Uint8Array): Promise<void>;
}

/** How a {@link ForwardStorage} is made. */
export interface ForwardOptions {
  /** Bytes in all, as far as they are known: what the container says, or what was counted. */
  readonly size: number;
  /** Makes a spool; absent: what is out of order is always made once more. */
  spool?(): Promise<SpoolStorage>;
  /** Says what is wrong when the end is not where {@link size} says. */
  readonly wrongSize: (real: number | undefined) => BlockError;
  /** Bytes of the container, for `info`. */
  allocatedSize?(): Promise<number | undefined> | number | undefined;
}

/** Bytes that are kept behind the place of reading. */
const WINDOW = 8 * MiB;
/** Most that is made at a time. */
const PIECE = MiB;
/** Runs of zeroes of this length stay holes in the spool. */
const HOLE = 64 * KiB;
/** What may be made in vain, beside half of everything, before a spool is used. */
const PATIENCE = 256 * MiB;

/** A storage over a {@link ForwardSource}. */
export class ForwardStorage implements StorageDriver {
  readonly limits: Limits = { requestAlignment: 1 };
  readonly #source: ForwardSource;
  readonly #options: ForwardOptions;
  readonly #size: number;
  /** The last bytes, each at its offset modulo the length. */
  readonly #ring: Uint8Array;
  #stream: ByteStream | undefined;
  /** Offset of the next byte of the stream, and of the first one in the ring. */
  #position = 0;
  #kept = 0;
  /** Everything was read from the start on without gaps up to here, in one go or another. */
  #seen = 0;
  #isVerified = false;
  #wasted = 0;
  /** What the stream has failed with. */
  #failure: BlockError | undefined;
  #spool: SpoolStorage | undefined;
  #spooled = 0;
  /** Requests one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(source: ForwardSource, options: ForwardOptions) {
    this.#source = source;
    this.#options = options;
    this.#size = options.size;
    this.#ring = new Uint8Array(new ArrayBuffer(Math.min(WINDOW, Math.max(4096, options.size))));
  }

  size(): number {
    return this.#size;
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return this.#inTurn(() => this.#read(offset, into));
  }

  /**
   * Reads on to the end, so that all checksums are checked; nothing if that was done already.
   * @throws BlockError if the container is damaged, or has not as many bytes as it says.
   */
  verify(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isVerified) return;
      if (this.#position > this.#seen) await this.#begin(0);
      await this.#advance(this.#size);
      await this.#end();
    });
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.#stream?.close();
    this.#stream = undefined;
    await this.#spool?.close();
    this.#spool = undefined;
  }

  async allocatedSize(): Promise<number | undefined> {
    return this.#options.allocatedSize?.();
  }

  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#last.then(body, body);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #read(offset: number, into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length; ) {
      const from = offset + at;
      const part = into.subarray(at, at + Math.min(into.length - at, this.#ring.length / 2));
      at += await this.#part(from, part);
    }
    if (offset + into.length === this.#size && this.#position === this.#size) await this.#end();
    this.#goOn(offset + into.length);
  }

  /** Whoever reads in order finds the next piece ready: what was read is written meanwhile. */
  #goOn(end: number): void {
    if (this.#source.once || end !== this.#position || end === this.#size) return;
    // A failure is told to whoever reads there.
    void this.#inTurn(async () => {
      if (this.#stream && this.#position === end) await this.#advance(Math.min(this.#size, end + PIECE));
    }).catch(() => undefined);
  }

  /** Reads some of the bytes at `offset`, one at least. */
  async #part(offset: number, into: Uint8Array): Promise<number> {
    if (this.#spool && offset < this.#spooled) {
      const part = into.subarray(0, this.#spooled - offset);
      await this.#spool.read(offset, part);
      return part.length;
    }
    if (offset < this.#kept || (!this.#spool && offset > this.#position)) await this.#seek(offset);
    if (this.#spool && offset < this.#spooled) return this.#part(offset, into);
    await this.#advance(Math.min(offset + into.length, Math.max(offset + 1, this.#size)));
    const at = offset % this.#ring.length;
    const count = Math.min(into.length, this.#ring.length - at, this.#position - offset);
    into.set(this.#ring.subarray(at, at + count));
    return count;
  }

  /** Goes where `offset` can be reached. */
  async #seek(offset: number): Promise<void> {
    const { starts, once } = this.#source;
    let index = starts.length - 1;
    while (index > 0 && (starts[index] as number) > offset) index--;
    const start = starts[index] as number;
    // Going on is as good.
    if (this.#stream && offset >= this.#kept && start <= this.#position) return;
    if (once && this.#stream) throw new BlockError('io', 'What has been read of a stream cannot be read again');
    this.#wasted += Math.max(0, this.#position - start);
    if (this.#options.spool && this.#wasted > PATIENCE + this.#size / 2) await this.#startSpool();
    else await this.#begin(index);
  }

  async #startSpool(): Promise<void> {
    this.#spool = await this.#options.spool?.();
    await this.#begin(0);
  }

  async #begin(index: number): Promise<void> {
    await this.#stream?.close();
    this.#stream = undefined;
    this.#stream = await this.#source.open(index);
    this.#failure = undefined;
    this.#position = this.#source.starts[index] as number;
    this.#kept = this.#position;
  }

  /** Makes everything up to `end`. */
  async #advance(end: number): Promise<void> {
    if (!this.#stream) await this.#begin(0);
    while (this.#position < end) {
      const at = this.#position % this.#ring.length;
      const room = Math.min(PIECE, this.#ring.length - at, this.#size - this.#position);
      const into = this.#ring.subarray(at, at + room);
      this.#kept = Math.max(this.#kept, this.#position + room - this.#ring.length);
      const count = await this.#take(into);
      if (count === 0) throw telling(this.#options.wrongSize(this.#position));
      if (this.#spool) await this.#keep(into.subarray(0, count));
      if (this.#position <= this.#seen) this.#seen = Math.max(this.#seen, this.#position + count);
      this.#position += count;
    }
  }

  async #take(into: Uint8Array): Promise<number> {
    if (this.#failure) throw this.#failure;
    try {
      return await (this.#stream as ByteStream).read(into);
    } catch (thrown) {
      this.#failure = telling(thrown);
      throw this.#failure;
    }
  }

  /** At the end of what there should be: nothing more may come. */
  async #end(): Promise<void> {
    if (this.#isVerified || !this.#stream) return;
    const isWhole = this.#seen === this.#size;
    if ((await this.#take(new Uint8Array(1))) > 0) throw telling(this.#options.wrongSize(undefined));
    this.#isVerified = isWhole;
  }

  /** Puts bytes at the end of the spool, but for long runs of zeroes. */
  async #keep(bytes: Uint8Array): Promise<void> {
    const spool = this.#spool as SpoolStorage;
    for (let at = 0; at < bytes.length; at += HOLE) {
      const part = bytes.subarray(at, at + HOLE);
      if (!isZero(part)) await spool.write(this.#spooled + at, part);
    }
    this.#spooled += bytes.length;
  }
}

/** The error with its own words where messages have those of the C library: there are none for what is wrong with a container. */
function telling(thrown: unknown): BlockError {
  const error = asBlockError(thrown);
  const { kind, message, code, context } = error;
  return new BlockError(kind, message, { context, cause: error, posix: { code, text: message } });
}
