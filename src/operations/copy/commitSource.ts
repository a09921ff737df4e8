/** What `commit` copies: the layers above the base, in whole units of the base. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { alignDown, MiB } from '../../base/offset.ts';
import { type BlockStatus, ChainCursor } from '../../block/node/chain.ts';
import type { ImageNode } from '../../block/node/node.ts';
import type { Storage } from '../../storage/storage.ts';
import type { RunSource, SourceRun } from './source.ts';

/** Bytes that are looked at before a run is handed out. */
const LONGEST = 64 * MiB;

/** A run as the layers above the base have it. */
interface Part {
  readonly start: number;
  readonly length: number;
  /** `below`: they have nothing. */
  readonly kind: 'data' | 'zero' | 'below';
  /** Where its bytes are read: where they are stored as they are, else through the layer that has them. */
  readonly storage: Storage;
  readonly offset: number;
}

/**
 * The layers above a base image as a source for that base. Where only a part of one of the base's units was changed,
 * all of the unit is copied, as the real tool does. Offsets have to be asked for in order.
 */
export class CommitSource implements RunSource {
  readonly size: number;
  readonly #base: ImageNode;
  readonly #cursor: ChainCursor;
  readonly #unit: number;
  #ready: SourceRun[] = [];

  /**
   * @param depth number of layers above `base`, counted from `top`.
   * @param unit bytes that are copied as one, a power of two.
   */
  constructor(top: ImageNode, base: ImageNode, depth: number, unit: number) {
    this.size = top.size();
    this.#base = base;
    this.#cursor = new ChainCursor(top, depth);
    this.#unit = unit;
  }

  at(offset: number): MaybePromise<SourceRun> {
    return this.#ready.shift() ?? this.#scan(offset, []);
  }

  /**
   * Looks at what follows `offset`, a multiple of the unit.
   * @param parts that are known already; `known` is the one behind them.
   */
  #scan(offset: number, parts: Part[], known?: Part): MaybePromise<SourceRun> {
    const end = Math.min(this.size, offset + Math.max(LONGEST, 2 * this.#unit));
    let next = known;
    let at = offset + parts.reduce((sum, { length }) => sum + length, 0);
    while (at < end) {
      const part = next ?? this.#partAt(at);
      if (isPromise(part)) return part.then((found) => this.#scan(offset, parts, found));
      if (part.kind !== (parts[0]?.kind ?? part.kind)) break;
      parts.push(part);
      at += part.length;
      next = undefined;
    }
    return this.#cut(offset, parts, at);
  }

  /** Makes runs of parts of one kind from `offset` to `at`. */
  #cut(offset: number, parts: Part[], at: number): MaybePromise<SourceRun> {
    // Zeroes in a unit that the image ends in are copied as data.
    const end = at === this.size && parts[0]?.kind !== 'zero' ? at : alignDown(at, this.#unit);
    return end > offset ? this.#runs(parts, offset, end) : this.#mixedUnit(offset, parts, at);
  }

  /** A unit in which parts of several kinds are. */
  async #mixedUnit(offset: number, parts: Part[], from: number): Promise<SourceRun> {
    let at = from;
    const unitEnd = Math.min(this.size, offset + this.#unit);
    while (at < unitEnd) {
      const part = await this.#partAt(at);
      parts.push(part);
      at += part.length;
    }
    return this.#asData(parts, unitEnd);
  }

  #partAt(start: number): MaybePromise<Part> {
    const found = this.#cursor.at(start, this.size - start);
    return isPromise(found) ? found.then((status) => this.#partOf(start, status)) : this.#partOf(start, found);
  }

  #partOf(start: number, status: BlockStatus): Part {
    const { length, depth, node } = status;
    const { layers } = this.#cursor;
    if (!status.present && depth === layers.length - 1)
      return { start, length, kind: 'below', storage: this.#base, offset: start };
    // Where space is taken it is taken in the base, too.
    if (status.zero && !status.data) return { start, length, kind: 'zero', storage: node, offset: start };
    // The base is not asked: it changes while it is written.
    for (let index = 0; index < depth; index++) layers[index]?.admitBacking();
    const { special, storage, offset, through } = status;
    if (through) return { start, length, kind: 'data', storage: through, offset: start };
    if (special || !storage || offset === undefined)
      return { start, length, kind: 'data', storage: node, offset: start };
    return { start, length, kind: 'data', storage, offset };
  }

  #runs(parts: readonly Part[], offset: number, end: number): SourceRun {
    const kind = parts[0]?.kind ?? 'below';
    return kind === 'data' ? this.#asData(parts, end) : { length: end - offset, kind };
  }

  /** Parts up to `end` as data of the layers that have them; the first one is returned, the others wait. */
  #asData(parts: readonly Part[], end: number): SourceRun {
    const runs = parts
      .filter(({ start }) => start < end)
      .map(({ start, length, kind, storage, offset }): SourceRun => {
        const size = Math.min(length, end - start);
        return kind === 'zero' ? { length: size, kind: 'data' } : { length: size, kind: 'data', storage, offset };
      });
    const [first, ...others] = runs;
    this.#ready = others;
    return first as SourceRun;
  }
}
