/**
 * A worker for `cores.mjs`: takes the jobs of the real one, sleeps for as long as they would take, and answers with bytes
 * that are not right but as many. So many of them run beside each other on few cores.
 */
import { parentPort } from 'node:worker_threads';

if (!parentPort) throw new Error('this is a worker');
const port = parentPort;
const bed = new Int32Array(new SharedArrayBuffer(4));
/** Sleeping is not exact: what was too long is taken from the next job. */
let due = performance.now();

function sleep(/** @type {number} */ milliseconds) {
  due = Math.max(due, performance.now() - 2) + milliseconds;
  const left = due - performance.now();
  if (left > 0) Atomics.wait(bed, 0, 0, left);
}

port.on('message', ({ id, name, argument }) => {
  const rate = JSON.parse(process.env.QIMG_BENCH_RATES ?? '{}')[argument.how.method];
  const size = rate?.size ?? 0.4;
  if (name === 'compress') {
    const { input, unit, mayOverwrite } = argument;
    sleep(input.length * (rate?.compress ?? 0));
    const lengths = Array.from({ length: Math.ceil(input.length / unit) }, () => Math.floor(unit * size));
    const bytes = new Uint8Array(mayOverwrite ? 0 : lengths.reduce((sum, length) => sum + length, 0));
    port.postMessage({ id, result: { bytes, lengths } }, [bytes.buffer]);
    return;
  }
  let total = 0;
  for (const output of argument.outputs) {
    total += output.length;
    // Not zeroes, which would not be written.
    output.fill(1);
  }
  sleep(total * (rate?.decompress ?? 0));
  const lengths = argument.outputs.map((/** @type {Uint8Array} */ { length }) => length);
  port.postMessage({ id, result: { lengths, bytes: new Uint8Array(0) } });
});
port.postMessage({ ready: true });
