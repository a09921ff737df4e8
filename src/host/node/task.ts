/** What a task for worker threads is. */
import type { MaybePromise } from '../../base/async.ts';

/** Work that can be done in any thread. */
export interface Task<Argument, Result> {
  run(argument: Argument): MaybePromise<Result>;
  /** Buffers of the result that move to the receiver instead of being copied. */
  transfer?(result: Result): ArrayBuffer[];
}
