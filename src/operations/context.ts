/** What every operation is given. Operations never print and never exit. */
import type { GraphContext } from '../block/graph/context.ts';

/** Drivers, ports and policy, and how to follow and stop the operation. */
export interface OperationContext extends GraphContext {
  /** Stops the operation; it then throws kind `aborted` and leaves its target as after a failure. */
  readonly signal?: AbortSignal;
  /**
   * Work done and in all, in bytes unless an operation says otherwise; called often. What is copied counts data only: zeroes and
   * what is left out take no time.
   */
  onProgress?(done: number, total: number): void;
  /** False while nobody looks at the progress, so that what it takes to count can be saved. Default: somebody does. */
  watched?(): boolean;
}

/** True if counting the work is of use. */
export function isWatched(context: OperationContext): boolean {
  return context.onProgress !== undefined && (context.watched?.() ?? true);
}
