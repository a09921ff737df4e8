/** The steps in which the real tool counts a copy. They are found beside the copy, which is cut otherwise. */
import { isPromise } from '../../base/async.ts';
import { Breath } from '../../base/inflight.ts';
import { alignDown, MiB } from '../../base/offset.ts';
import { isWatched, type OperationContext } from '../context.ts';
import { type Piece, Planner, type PlanOptions } from './plan.ts';
import type { RunSource } from './source.ts';
import { STRIDE } from './strides.ts';

/** Pieces that are added up as one. */
const SUM_PIECE = 64 * MiB;
/** Pieces after which other events get a chance. */
const BREATHE = 512;

/** How the steps are found. */
export interface StepOptions {
  /** A new walk through what is copied, with the runs that the real tool sees. */
  readonly source: () => RunSource;
  /** How the copy is cut; its `unit` is 1 where nothing is compressed. */
  readonly plan: Omit<PlanOptions, 'chunk' | 'apart'>;
}

/** Counts a copy step by step, as far as somebody looks. */
export class CopySteps {
  readonly #context: OperationContext;
  readonly #options: StepOptions;
  #planner: Planner | undefined;
  /** A piece of data that is not complete yet. */
  #next: Piece | undefined;
  #total: number | undefined;
  #done = 0;
  #last: Promise<void> = Promise.resolve();
  readonly #breath: Breath;

  constructor(context: OperationContext, options: StepOptions) {
    this.#context = context;
    this.#options = options;
    this.#breath = new Breath(BREATHE, context.services, context.signal);
  }

  /** Tells what there is to do. */
  async begin(): Promise<void> {
    if (!isWatched(this.#context)) return;
    const total = await this.#sum();
    if (total > 0) this.#context.onProgress?.(0, total);
  }

  /** The target is complete up to `offset`. Calls may overlap, and never go back. */
  advance(offset: number): Promise<void> | undefined {
    if (!isWatched(this.#context)) return undefined;
    // The caller sees a failure; it does not keep later calls from their turn.
    const told = this.#last.then(() => this.#advance(offset));
    this.#last = told.catch(() => undefined);
    return told;
  }

  /** Bytes that are counted, as soon as somebody looked. */
  get total(): number | undefined {
    return this.#total;
  }

  async #advance(offset: number): Promise<void> {
    const total = await this.#sum();
    this.#planner ??= this.#walk(this.#options.plan.unit > 1 ? this.#options.plan.unit : STRIDE);
    for (;;) {
      this.#next ??= await this.#nextData(this.#planner);
      if (!this.#next || this.#next.offset + this.#next.length > offset) return;
      this.#done += this.#next.length;
      this.#next = undefined;
      this.#context.onProgress?.(this.#done, total);
    }
  }

  /** Bytes of data in all. */
  async #sum(): Promise<number> {
    if (this.#total !== undefined) return this.#total;
    const { unit } = this.#options.plan;
    const planner = this.#walk(alignDown(Math.max(SUM_PIECE, unit), unit));
    let total = 0;
    for (let piece = await this.#nextData(planner); piece; piece = await this.#nextData(planner)) total += piece.length;
    this.#total = total;
    return total;
  }

  #walk(chunk: number): Planner {
    const { source, plan } = this.#options;
    return new Planner(source(), { ...plan, chunk, apart: true });
  }

  async #nextData(planner: Planner): Promise<Piece | undefined> {
    for (;;) {
      const breath = this.#breath.step();
      if (isPromise(breath)) await breath;
      const next = planner.next();
      const piece = isPromise(next) ? await next : next;
      if (!piece || piece.kind === 'data') return piece;
    }
  }
}
