/** `bench`: operation and printing; `-q` changes nothing. */
import { bench } from '../../operations/bench.ts';
import type { BenchRequest } from '../../operations/requests.ts';
import { formatBench, formatBenchPlan } from '../../report/bench.ts';
import type { Executor } from './executor.ts';
import { stoppable } from './stoppable.ts';

/** Times requests. */
export const execute: Executor<BenchRequest> = async (context, request, _view, { out }) => {
  const observer = { onStart: (plan: Parameters<typeof formatBenchPlan>[0]) => out(formatBenchPlan(plan)) };
  const result = await stoppable(context, (inner) => bench(inner, request, observer));
  out(formatBench(result));
  return 0;
};
