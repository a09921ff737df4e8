/** The steps in which the real tool counts a comparison. They are found beside the comparison, which is cut otherwise. */
import { alignUp, SECTOR } from '../base/offset.ts';
import type { ImageNode } from '../block/node/node.ts';
import { isWatched, type OperationContext } from './context.ts';
import { CopySource, type SourceRun } from './copy/source.ts';
import { STRIDE } from './copy/strides.ts';

/** Counts a comparison step by step, as far as somebody looks. */
export class CompareSteps {
  readonly #context: OperationContext;
  readonly #sources: readonly CopySource[];
  readonly #total: number;
  #done = 0;
  /** End of a step that is not complete yet. */
  #next = 0;

  constructor(context: OperationContext, nodes: readonly ImageNode[]) {
    this.#context = context;
    this.#sources = nodes.map((node) => new CopySource([node], { asShown: true, strides: true }));
    this.#total = Math.max(...this.#sources.map(({ size }) => size));
  }

  /** Everything up to `offset` was compared. */
  async advance(offset: number): Promise<void> {
    if (!isWatched(this.#context)) return;
    while (this.#done < offset) {
      if (this.#next <= this.#done) this.#next = await this.#endOfStep(this.#done);
      if (this.#next > offset) return;
      this.#done = this.#next;
      this.#context.onProgress?.(this.#done, this.#total);
    }
  }

  async #endOfStep(offset: number): Promise<number> {
    const runs: SourceRun[] = [];
    let end = this.#total;
    for (const source of this.#sources) {
      if (offset >= source.size) continue;
      const run = await source.at(offset, source.size - offset);
      runs.push(run);
      end = Math.min(end, offset + run.length);
    }
    // What neither image has is not looked at.
    const zero = runs.every(({ kind }) => kind === 'zero') || runs.every(({ status }) => status?.present === false);
    // The last sector counts as a whole one.
    return alignUp(zero ? end : Math.min(end, offset + STRIDE), SECTOR);
  }
}
