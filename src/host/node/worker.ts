/** Entry point of a worker thread: runs tasks by name, one after the other. */
import { parentPort } from 'node:worker_threads';
import { asBlockError } from '../../base/error.ts';
import { heedLimits } from './limits.ts';
import type { FromWorker, ToWorker } from './pool.ts';
import { loadTask } from './tasks.ts';

const port = parentPort;
if (!port) throw new Error('worker.js runs in a worker thread only');

function send(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

async function handle({ id, name, argument }: ToWorker): Promise<void> {
  try {
    const task = await loadTask(name);
    const result = await task.run(argument);
    send({ id, result }, task.transfer?.(result));
  } catch (thrown) {
    const { kind, message } = asBlockError(thrown);
    send({ id, error: { kind, message } });
  }
}

heedLimits();
port.on('message', (message: ToWorker) => void handle(message));
send({ ready: true });
