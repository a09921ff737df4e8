/** From a request to its executor, each loaded when it is first used. */
import { BlockError } from '../../base/error.ts';
import type { Requests } from '../io.ts';
import type { Executor } from './executor.ts';

type Loader<V extends keyof Requests> = () => Promise<{ readonly execute: Executor<Requests[V]> }>;

const LOADERS: { readonly [V in keyof Requests]?: Loader<V> } = {
  bitmap: () => import('./bitmap.ts'),
  amend: () => import('./amend.ts'),
  bench: () => import('./bench.ts'),
  check: () => import('./check.ts'),
  commit: () => import('./commit.ts'),
  compare: () => import('./compare.ts'),
  convert: () => import('./convert.ts'),
  create: () => import('./create.ts'),
  dd: () => import('./dd.ts'),
  info: () => import('./info.ts'),
  map: () => import('./map.ts'),
  measure: () => import('./measure.ts'),
  rebase: () => import('./rebase.ts'),
  resize: () => import('./resize.ts'),
  snapshot: () => import('./snapshot.ts'),
  'option-help': () => import('./optionHelp.ts'),
};

/** The executor of a command. */
export async function executorOf<V extends keyof Requests>(verb: V): Promise<Executor<Requests[V]>> {
  const load = LOADERS[verb];
  if (load === undefined) throw new BlockError('unsupported', `The command '${verb}' is not there yet`);
  return (await load()).execute;
}
