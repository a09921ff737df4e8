/** An export as clients see it: its flags, the contexts that there are, and the states of its blocks. */
import { BlockError } from '../../../base/error.ts';
import { ChainCursor, blockStatus, type BlockStatus } from '../../../block/node/chain.ts';
import type { Export } from '../../../block/serving.ts';
import type { BlockStates } from '../answer.ts';
import { Context, DIRTY, Flag, State } from '../numbers.ts';
import { DirtyBlocks } from './dirty.ts';

/** Most runs that one answer tells of, and most steps that are taken for them: others come with the next request. */
const MAX_RUNS = 2048;
const MAX_STEPS = 8192;

/** An export. */
export class Offered {
  readonly export: Export;
  /** Transmission flags. */
  readonly flags: number;
  /** All contexts; the place of one is its number. */
  readonly contexts: readonly string[];
  readonly #dirty: ReadonlyMap<string, DirtyBlocks>;
  /** What was asked of images that do not change. */
  readonly #cursor: ChainCursor | undefined;

  /** @param shared several clients can have it at a time. */
  constructor(exported: Export, shared: boolean) {
    const { node, writable, bitmaps, allocationDepth } = exported;
    this.export = exported;
    this.contexts = [
      Context.allocation,
      ...(allocationDepth ? [Context.depth] : []),
      ...bitmaps.map((name) => Context.bitmap + name),
    ];
    this.#dirty = new Map(bitmaps.map((name) => [Context.bitmap + name, new DirtyBlocks(node, name)]));
    if (!writable) this.#cursor = new ChainCursor(node);
    const always = Flag.hasFlags | Flag.dontFragment | Flag.cache | Flag.flush | (shared ? Flag.multiConn : 0);
    const changing = Flag.fua | Flag.trim | Flag.writeZeroes | (node.recordsZeroes ? Flag.fastZero : 0);
    this.flags = always | (writable ? changing : Flag.readOnly);
  }

  /** Bytes. */
  get size(): number {
    return this.export.node.size();
  }

  /** The image was changed. */
  changed(): void {
    for (const dirty of this.#dirty.values()) dirty.changed();
  }

  /** The states of the blocks from `offset` on, in a context. @param one only the first run. */
  async states(context: number, offset: number, length: number, one: boolean): Promise<BlockStates> {
    const name = this.contexts[context] ?? '';
    const most = one ? 1 : MAX_RUNS;
    const dirty = this.#dirty.get(name);
    const runs = new Runs(most);
    if (dirty) await dirty.runs(offset, length, (run, isDirty) => runs.add(run, isDirty ? DIRTY : 0));
    else await this.#walk(offset, length, runs, name === Context.depth ? depthOf : allocationOf);
    return runs.states();
  }

  async #walk(offset: number, length: number, runs: Runs, bitsOf: (status: BlockStatus) => number): Promise<void> {
    const { node } = this.export;
    const cursor = this.#cursor ?? new ChainCursor(node);
    let at = 0;
    for (let step = 0; at < length && step < MAX_STEPS; step++) {
      const status = await blockStatus(node, offset + at, length - at, cursor);
      if (!runs.add(status.length, bitsOf(status))) return;
      at += status.length;
    }
  }
}

function allocationOf({ data, zero }: BlockStatus): number {
  return (data ? 0 : State.hole) | (zero ? State.zero : 0);
}

/** 0: nowhere, 1: in the image itself, 2: in its backing image, and so on. */
function depthOf({ present, depth }: BlockStatus): number {
  return present ? depth + 1 : 0;
}

/** Runs of different states, one behind the other. */
class Runs {
  readonly #most: number;
  readonly #lengths: number[] = [];
  readonly #bits: number[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Adds a run; false if there is no room for it. */
  add(length: number, bits: number): boolean {
    const last = this.#lengths.length - 1;
    if (last >= 0 && this.#bits[last] === bits) this.#lengths[last] = (this.#lengths[last] ?? 0) + length;
    else if (last + 1 === this.#most) return false;
    else {
      this.#lengths.push(length);
      this.#bits.push(bits);
    }
    return true;
  }

  states(): BlockStates {
    if (this.#lengths.length === 0) throw new BlockError('internal', 'no block states');
    return { lengths: Float64Array.from(this.#lengths), bits: Uint32Array.from(this.#bits) };
  }
}
