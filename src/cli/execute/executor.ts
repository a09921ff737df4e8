/** What stands between a request and its operation: the context to work in, and the printing of the result. */
import type { OperationContext } from '../../operations/context.ts';
import type { View } from '../io.ts';

/** The two streams. */
interface Streams {
  /** Standard output. */
  readonly out: (text: string) => void;
  /** Standard error. */
  readonly err: (text: string) => void;
}

/** Does the work of one command and prints the result; gives the exit code, throws failures. */
export type Executor<Request> = (
  context: OperationContext,
  request: Request,
  view: View,
  streams: Streams,
) => Promise<number>;
