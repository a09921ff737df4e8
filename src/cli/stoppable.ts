/** Work that cleans up after itself when the user stops the program. */
import { ignoredSignals } from '../host/node/signals.ts';
import type { OperationContext } from '../operations/context.ts';

const STOPPING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** So long, in milliseconds, work may take to clean up: what waits for a server that is silent would take minutes. */
const GRACE = 5000;

/**
 * Runs `body` with a context whose signal fires when the program is told to stop. Once `body` has given up, the program
 * ends by that signal, as its caller expects. A second signal ends it at once, and so does time: as a kill, which no image
 * suffers from. Signals that the caller ignores stay ignored.
 * @param grace milliseconds that cleaning up may take; infinite where it is for `body` to see that there is an end.
 */
export async function stoppable<T>(
  context: OperationContext,
  body: (context: OperationContext) => Promise<T>,
  grace: number = GRACE,
): Promise<T> {
  const signals = STOPPING.filter((name) => !ignoredSignals().has(name));
  const stop = new AbortController();
  let received: NodeJS.Signals | undefined;
  let end: NodeJS.Timeout | undefined;
  const listen = (name: NodeJS.Signals): void => {
    received = name;
    for (const signal of signals) process.off(signal, listen);
    if (grace < Number.POSITIVE_INFINITY) end = setTimeout(() => process.kill(process.pid, name), grace).unref();
    stop.abort();
  };
  for (const signal of signals) process.on(signal, listen);
  try {
    return await body({ ...context, signal: stop.signal });
  } catch (error) {
    if (received !== undefined) process.kill(process.pid, received);
    throw error;
  } finally {
    clearTimeout(end);
    for (const signal of signals) process.off(signal, listen);
  }
}
