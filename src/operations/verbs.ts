/**
 * The verbs: all that can be done with images. Each has a module of its own in this folder, which exports a function of the
 * same name. The methods of the library, the functions of the package for Node and the executors of the program are made
 * from this table, and so are their types.
 */
import { invalidArgument } from '../base/error.ts';
import type { OperationContext } from './context.ts';

/** The module of each verb, loaded when it is first used. */
export const VERBS = {
  /** Changes options of an existing image. */
  amend: (): Promise<typeof import('./amend.ts')> => import('./amend.ts'),
  /** Times a run of requests. */
  bench: (): Promise<typeof import('./bench.ts')> => import('./bench.ts'),
  /** Changes persistent dirty bitmaps. */
  bitmap: (): Promise<typeof import('./bitmap.ts')> => import('./bitmap.ts'),
  /** Looks for structural damage and, on request, repairs it. */
  check: (): Promise<typeof import('./check.ts')> => import('./check.ts'),
  /** Moves an overlay's content down into an image of its chain. */
  commit: (): Promise<typeof import('./commit.ts')> => import('./commit.ts'),
  /** Whether two images have the same guest content. */
  compare: (): Promise<typeof import('./compare.ts')> => import('./compare.ts'),
  /** Copies images into another one. A new target appears only when it is complete. */
  convert: (): Promise<typeof import('./convert.ts')> => import('./convert.ts'),
  /** Writes an empty image; what was there before is lost. */
  create: (): Promise<typeof import('./create.ts')> => import('./create.ts'),
  /** Copies blocks. */
  dd: (): Promise<typeof import('./dd.ts')> => import('./dd.ts'),
  /** Describes an image. */
  info: (): Promise<typeof import('./info.ts')> => import('./info.ts'),
  /** Whether an image of somebody else can be used without danger. */
  inspect: (): Promise<typeof import('./inspect.ts')> => import('./inspect.ts'),
  /** Lists what is allocated where. */
  map: (): Promise<typeof import('./map.ts')> => import('./map.ts'),
  /** How large a new image will be. */
  measure: (): Promise<typeof import('./measure.ts')> => import('./measure.ts'),
  /** Gives an image another backing image, or none. */
  rebase: (): Promise<typeof import('./rebase.ts')> => import('./rebase.ts'),
  /** Changes the guest size. */
  resize: (): Promise<typeof import('./resize.ts')> => import('./resize.ts'),
  /** Gives images to others. Resolves when clients can come; what comes of it tells when it has ended. */
  serve: (): Promise<typeof import('./serve.ts')> => import('./serve.ts'),
  /** Lists, makes, applies or deletes internal snapshots. */
  snapshot: (): Promise<typeof import('./snapshot.ts')> => import('./snapshot.ts'),
};

/** Name of an operation. */
export type Verb = keyof typeof VERBS;

/** The module that has the operation. */
export type ModuleOf<V extends Verb> = Awaited<ReturnType<(typeof VERBS)[V]>>;

/** What an operation is asked to do. */
export type RequestOf<V extends Verb> =
  ModuleOf<V> extends Readonly<Record<V, (context: OperationContext, request: infer R, ...more: never[]) => unknown>>
    ? R
    : never;

/** What comes of it. */
export type ResultOf<V extends Verb> =
  ModuleOf<V> extends Readonly<Record<V, (...all: never[]) => Promise<infer R>>> ? R : never;

/** The operations without the context that they work in; the words beside the verbs above show on these, too. */
export type Operations = {
  readonly [V in keyof typeof VERBS]: (request: RequestOf<V>) => Promise<ResultOf<V>>;
};

/**
 * From JavaScript anything may come; what the fields are is for the operation to say.
 * @throws BlockError `invalid-argument` if there is no request.
 */
export function checkRequest(verb: Verb, request: unknown): void {
  if (typeof request !== 'object' || request === null) throw invalidArgument(`${verb}: a request is needed, an object`);
}

/**
 * Loads an operation and runs it.
 * @throws BlockError `invalid-argument` if there is no request.
 */
export async function operate<V extends Verb>(
  verb: V,
  context: OperationContext,
  request: RequestOf<V>,
): Promise<ResultOf<V>> {
  checkRequest(verb, request);
  const module: Readonly<Record<string, unknown>> = await VERBS[verb]();
  // The type of a module whose verb is not known here cannot be followed any further.
  const operation = module[verb] as (context: OperationContext, request: RequestOf<V>) => Promise<ResultOf<V>>;
  return operation(context, request);
}
