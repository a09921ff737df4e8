/** What was read of a file on a server, and what is going to be: small reads do not take a journey each. */
import type { MaybePromise } from '../../base/async.ts';
import { alignDown, alignUp, KiB, MiB } from '../../base/offset.ts';
import type { Remote } from './remote.ts';

/** Bytes are kept, and asked for, in blocks of this size. */
const BLOCK = 64 * KiB;

/** Blocks that are kept: 8 MiB. */
const KEPT = 128;

/** Reads of so many bytes go straight to where they are wanted. */
const LARGE = 256 * KiB;

/** How far whoever reads on and on is read ahead of: at first, and at most. Each step twice as far as the one before. */
const FIRST_WINDOW = 128 * KiB;
const LAST_WINDOW = 2 * MiB;

/** A block that is there, or on its way. */
type Block = Uint8Array | Promise<Uint8Array>;

/** The blocks of a file. */
export class ReadAhead {
  readonly #remote: Remote;
  /** Bytes that are always read ahead of what is not there; undefined: as it pays. */
  readonly #fixed: number | undefined;
  /** By their numbers; what was used last stands last. */
  readonly #blocks = new Map<number, Block>();
  /** Where the last read ended; there is none yet that one could go on from. */
  #end = Number.NaN;
  #window = 0;
  /** What was asked for while somebody read on and on ends here. */
  #ahead = 0;

  constructor(remote: Remote, fixed: number | undefined) {
    this.#remote = remote;
    this.#fixed = fixed;
    const length = remote.head?.bytes.length ?? 0;
    for (let at = 0; at < length; at += BLOCK) {
      const end = Math.min(at + BLOCK, length);
      if (end === at + BLOCK || end === remote.size) this.#keep(at / BLOCK, this.#ofHead(at, end));
    }
  }

  /** A block of the head; if that does not come, it is asked for as others are. */
  async #ofHead(start: number, end: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(end - start);
    try {
      await this.#remote.head?.arrived(end);
      bytes.set(this.#remote.head?.bytes.subarray(start, end) ?? []);
    } catch {
      await this.#remote.read(start, bytes);
    }
    return bytes;
  }

  /** Has a block that is on its way until it is there, or fails. */
  #keep(index: number, coming: Promise<Uint8Array>): void {
    const block = coming.then(
      (bytes) => {
        if (this.#blocks.get(index) === block) this.#blocks.set(index, bytes);
        return bytes;
      },
      (error: unknown) => {
        if (this.#blocks.get(index) === block) this.#blocks.delete(index);
        throw error;
      },
    );
    // Nobody may ever wait for it.
    block.catch(() => undefined);
    this.#blocks.set(index, block);
  }

  /** Fills `into`, at once if everything is there. */
  read(offset: number, into: Uint8Array): MaybePromise<void> {
    if (into.length >= LARGE) return this.#remote.read(offset, into);
    const end = offset + into.length;
    const isNext = offset >= this.#end - BLOCK && offset <= this.#end + BLOCK;
    this.#end = end;
    const blocks = this.#blocksOf(offset, end);
    this.#readOn(end, isNext);
    const waiting = copy(blocks, offset, into);
    if (waiting.length > 0) return Promise.all(waiting).then(() => undefined);
  }

  /** The blocks from `offset` to `end`; those that are not there are asked for. */
  #blocksOf(offset: number, end: number): readonly Block[] {
    const first = Math.floor(offset / BLOCK);
    const last = Math.ceil(end / BLOCK);
    const blocks: Block[] = [];
    for (let index = first; index < last; index++) {
      if (!this.#blocks.has(index)) this.#fetch(index * BLOCK, end + (this.#fixed ?? 0));
      const block = this.#blocks.get(index) as Block;
      // What is used moves to the end.
      this.#blocks.delete(index);
      this.#blocks.set(index, block);
      blocks.push(block);
    }
    this.#forget();
    return blocks;
  }

  /** Asks for what comes next, before somebody waits for it. */
  #readOn(end: number, isNext: boolean): void {
    if (this.#fixed !== undefined) return;
    if (!isNext) {
      this.#window = 0;
      this.#ahead = 0;
      return;
    }
    const start = Math.max(alignUp(end, BLOCK), this.#ahead);
    // Half of the window is on its way while the other half is used.
    if (this.#window > 0 && start - end > this.#window / 2) return;
    this.#window = Math.min(Math.max(2 * this.#window, FIRST_WINDOW), LAST_WINDOW);
    const wanted = alignUp(end + this.#window, BLOCK);
    for (let at = start; at < Math.min(wanted, this.#remote.size); ) at = this.#fetch(at, wanted);
    this.#ahead = wanted;
    this.#forget();
  }

  /**
   * Asks for the blocks from `start` on that are not there, in one go.
   * @returns where that ends: at `limit`, at the end of the file, or at a block that is there.
   */
  #fetch(start: number, limit: number): number {
    const first = start / BLOCK;
    const most = Math.ceil(Math.min(limit, this.#remote.size) / BLOCK);
    let last = first;
    while (last < most && !this.#blocks.has(last)) last++;
    if (last === first) return start + BLOCK;
    const bytes = new Uint8Array(Math.min(last * BLOCK, this.#remote.size) - start);
    const whole = this.#remote.read(start, bytes);
    for (let index = first; index < last; index++) {
      const at = index * BLOCK - start;
      // A part of its own: it may be kept longer than the others.
      this.#keep(
        index,
        whole.then(() => (last - first === 1 ? bytes : bytes.slice(at, at + BLOCK))),
      );
    }
    return last * BLOCK;
  }

  /** Gives up what was not used for the longest time. */
  #forget(): void {
    for (const index of this.#blocks.keys()) {
      if (this.#blocks.size <= KEPT) return;
      this.#blocks.delete(index);
    }
  }
}

/** Copies what is there into `into`, and says what has to be waited for. */
function copy(blocks: readonly Block[], offset: number, into: Uint8Array): Promise<void>[] {
  const waiting: Promise<void>[] = [];
  const base = alignDown(offset, BLOCK);
  for (const [index, block] of blocks.entries()) {
    const start = base + index * BLOCK;
    const from = Math.max(offset, start);
    const target = into.subarray(from - offset, Math.min(start + BLOCK - offset, into.length));
    const put = (bytes: Uint8Array): void => target.set(bytes.subarray(from - start, from - start + target.length));
    if (block instanceof Uint8Array) put(block);
    else waiting.push(block.then(put));
  }
  return waiting;
}
