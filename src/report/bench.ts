/** What `bench` prints. */
import type { BenchPlan, BenchResult } from '../operations/bench.ts';

/** What is going to be done. */
export function formatBenchPlan(plan: BenchPlan): string {
  const { write, count, bufferSize, depth, offset, stepSize, flushInterval } = plan;
  const flushes = flushInterval > 0 ? `Sending flush every ${flushInterval} requests\n` : '';
  return (
    `Sending ${count} ${write ? 'write' : 'read'} requests, ${bufferSize} bytes each, ${depth} in parallel ` +
    `(starting at offset ${offset}, step size ${stepSize})\n${flushes}`
  );
}

/** The time that it took. */
export function formatBench({ seconds }: BenchResult): string {
  return `Run completed in ${seconds.toFixed(3)} seconds.\n`;
}
