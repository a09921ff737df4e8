/** The dirty blocks of a bitmap, for clients who ask from the beginning to the end. */
import type { ImageNode } from '../../../block/node/node.ts';

/** A run of dirty blocks. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

/** A bitmap of an image. */
export class DirtyBlocks {
  readonly #node: ImageNode;
  readonly #name: string;
  #ranges: AsyncIterator<Range> | undefined;
  #stale = false;
  /** The range that was looked at last, undefined behind the last one. */
  #range: Range | undefined;
  /** The end of the range before that one. */
  #passed = 0;
  /** Requests take turns. */
  #turn: Promise<void> = Promise.resolve();

  constructor(node: ImageNode, name: string) {
    this.#node = node;
    this.#name = name;
  }

  /** The image was changed, and the bitmap with it perhaps. */
  changed(): void {
    this.#stale = true;
  }

  /** Tells of the runs of a range, in order, until `tell` gives false. */
  runs(offset: number, length: number, tell: (length: number, dirty: boolean) => boolean): Promise<void> {
    const turn = this.#turn.then(() => this.#tell(offset, offset + length, tell));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #tell(start: number, end: number, tell: (length: number, dirty: boolean) => boolean): Promise<void> {
    if (!this.#ranges || this.#stale || start < this.#passed) await this.#restart();
    for (let at = start; at < end; ) {
      const range = this.#range;
      const from = range ? Math.min(range.offset, end) : end;
      const to = range ? Math.min(range.offset + range.length, end) : end;
      if (at < from) {
        if (!tell(from - at, false)) return;
        at = from;
      } else if (at < to) {
        if (!tell(to - at, true)) return;
        at = to;
      } else await this.#next();
    }
  }

  async #restart(): Promise<void> {
    this.#stale = false;
    this.#range = undefined;
    this.#passed = 0;
    this.#ranges = this.#node.bitmaps?.ranges(this.#name)[Symbol.asyncIterator]();
    await this.#next();
  }

  async #next(): Promise<void> {
    if (this.#range) this.#passed = this.#range.offset + this.#range.length;
    const next = await this.#ranges?.next();
    this.#range = next && next.done !== true ? next.value : undefined;
  }
}
