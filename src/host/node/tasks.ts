/**
 * The tasks that worker threads know, by name. A task is a plain function from an argument to a result, both of which
 * survive structured cloning; it runs the same on the main thread when there is too little work for a worker.
 * To add one: name its types in {@link TaskTypes} and its module in `LOADERS`.
 */
import type { MaybePromise } from '../../base/async.ts';
import type { CompressTask, DecompressTask } from './codecTasks.ts';
import type { SectorsTask } from './cryptoTasks.ts';
import type { Task } from './task.ts';

/** Every task with the types of its argument and result. */
interface TaskTypes {
  compress: CompressTask;
  decompress: DecompressTask;
  sectors: SectorsTask;
}

/** Name of a task. */
export type TaskName = keyof TaskTypes;
/** What task `N` is called with. */
export type ArgumentOf<N extends TaskName> = TaskTypes[N] extends Task<infer A, unknown> ? A : never;
/** What task `N` returns. */
export type ResultOf<N extends TaskName> = TaskTypes[N] extends Task<never, infer R> ? R : never;

const LOADERS: { readonly [N in TaskName]: () => Promise<TaskTypes[N]> } = {
  compress: async () => (await import('./codecTasks.ts')).compressTask,
  decompress: async () => (await import('./codecTasks.ts')).decompressTask,
  sectors: async () => (await import('./cryptoTasks.ts')).sectorsTask,
};

const loaded = new Map<TaskName, Task<unknown, unknown>>();

/** The task of that name; its module is loaded at the first call. */
export function loadTask(name: TaskName): MaybePromise<Task<unknown, unknown>> {
  const known = loaded.get(name);
  if (known) return known;
  return LOADERS[name]().then((task) => {
    // The pool pairs names with arguments; from here on the types are those of the message.
    const plain = task as Task<unknown, unknown>;
    loaded.set(name, plain);
    return plain;
  });
}
