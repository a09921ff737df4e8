/** The operations as methods that share their settings: what programs use that have this package as a library. */
// oxlint-disable typescript/no-unsafe-declaration-merging -- the class makes just the methods that it is said to have
import { asBlockError, type ErrorContext } from '../base/error.ts';
import { type Hint, hintText } from '../base/hint.ts';
import { throwIfStopped } from '../base/inflight.ts';
import { closedGate, type Gate, permissiveGate, sameDirectoryGate } from '../block/graph/gate.ts';
import type { ImageNode } from '../block/node/node.ts';
import type { DriverRegistry } from '../block/graph/registry.ts';
import type { ResourceLimits } from '../block/limits.ts';
import type { Services } from '../block/services.ts';
import { isTree } from '../options/dotted.ts';
import type { OptionTree } from '../options/tree.ts';
import type { OperationContext } from './context.ts';
import type { MapExtent } from './map.ts';
import type { ImageInput, MapRequest, OpenSettings } from './requests.ts';
import { imageFormat, imageName, imageOptions, isImage } from './shorthand.ts';
import { limitedContext, untrustedContext } from './untrusted.ts';
import { checkRequest, type Operations, operate, type RequestOf, type ResultOf, type Verb, VERBS } from './verbs.ts';

/**
 * Which files an image may have opened that only the image names (backing files, external data files, extents):
 * none, all, those in its own directory, or what a function decides.
 */
export type ImplicitOpen = 'deny' | 'allow' | 'same-directory' | Gate;

/** How an operation runs. */
export interface RunSettings {
  /** Stops the operation: it then fails with kind `aborted`. */
  readonly signal?: AbortSignal;
  /** Work done and in all, mostly in bytes; a copy counts data only, not zeroes. */
  onProgress?(done: number, total: number): void;
  onWarning?(text: string): void;
  /** Default: `deny`. */
  readonly implicitOpen?: ImplicitOpen;
  /** The same as a function in `implicitOpen`. */
  readonly gate?: Gate;
  /**
   * Images come from somebody else: nothing that they name is opened whatever `implicitOpen` says, unknown features are
   * refused, formats are not guessed for writing, and `UNTRUSTED_LIMITS` count.
   */
  readonly untrusted?: boolean;
  /** Limits that differ from those of the services, or of `untrusted`. */
  readonly limits?: Partial<ResourceLimits>;
}

/** The operations under the names of their verbs, but for `create`, which does not say what. */
export type LibraryMethods = Pick<Operations, Exclude<Verb, 'create'>> & {
  /** Writes an empty image; what was there before is lost. */
  readonly createImage: Operations['create'];
};

/** One method for each verb, made from the table of verbs. */
export interface ImageLibrary extends LibraryMethods {}

/** Operations on images, on given drivers and ports. Nothing prints and nothing ends the program. */
export class ImageLibrary {
  readonly #context: OperationContext;
  readonly #settings: RunSettings;

  static {
    for (const verb of Object.keys(VERBS) as Verb[]) {
      const method = function (this: ImageLibrary, request: RequestOf<typeof verb>): Promise<unknown> {
        return this.run(verb, request);
      };
      Object.defineProperty(this.prototype, verb === 'create' ? 'createImage' : verb, {
        value: method,
        configurable: true,
        writable: true,
      });
    }
  }

  /** @param settings the gate is closed unless `implicitOpen` or `gate` opens it. */
  constructor(drivers: DriverRegistry, services: Services, settings: RunSettings = {}) {
    const { signal } = settings;
    this.#settings = settings;
    this.#context = {
      drivers,
      services,
      gate: settings.gate ?? gateOf(settings.implicitOpen ?? 'deny'),
      ...(signal ? { signal } : {}),
      ...(settings.onProgress ? { onProgress: (done, total) => settings.onProgress?.(done, total) } : {}),
      ...(settings.onWarning ? { onWarning: (text, hint) => settings.onWarning?.(withHint(text, hint)) } : {}),
    };
  }

  /** What the methods run in; for the functions of the package that take a context. */
  get context(): OperationContext {
    return this.#contextOf('convert');
  }

  /** Does what one of the methods does, by its verb. */
  async run<V extends Verb>(verb: V, request: RequestOf<V>): Promise<ResultOf<V>> {
    // All requests have some of these fields, or none.
    return this.#within(verb, request as Subject, () => operate(verb, this.#contextOf(verb), request));
  }

  /** What one operation works in: its limits begin to count with it. */
  #contextOf(verb: Verb): OperationContext {
    const { untrusted, limits } = this.#settings;
    if (untrusted) return untrustedContext(this.#context, verb, limits);
    if (limits === undefined) return this.#context;
    return limitedContext(this.#context, verb, { ...this.#context.services.limits, ...limits });
  }

  /** Opens an image to read (and with `writable` to write) its guest bytes. Close it. */
  async openImage(image: ImageInput, how: OpenSettings & { readonly writable?: boolean } = {}): Promise<ImageNode> {
    return this.#within('open', { image }, async () => {
      const { openSource } = await import('./source.ts');
      return openSource(this.#contextOf('convert'), image, how);
    });
  }

  /** The runs of {@link map} one after the other, for images with very many. */
  async *mapExtents(request: MapRequest): AsyncGenerator<MapExtent, void, undefined> {
    try {
      const { mapExtents } = await VERBS.map();
      checkRequest('map', request);
      yield* mapExtents(this.#contextOf('map'), request);
    } catch (thrown) {
      throw asBlockError(thrown).within(contextOf('map', request));
    }
  }

  /** Whatever `body` throws becomes a `BlockError` that says which operation it was, and on what. */
  async #within<T>(operation: string, request: Subject, body: () => Promise<T>): Promise<T> {
    try {
      throwIfStopped(this.#context.signal);
      return await body();
    } catch (thrown) {
      throw asBlockError(thrown).within(contextOf(operation, request));
    }
  }
}

/** The fields in which requests say what they are about. */
interface Subject {
  readonly image?: ImageInput | undefined;
  readonly target?: ImageInput | undefined;
  readonly first?: ImageInput | undefined;
  readonly filename?: string | undefined;
  readonly format?: string | undefined;
  readonly bitmap?: string | undefined;
  /** Of a snapshot. */
  readonly name?: string | undefined;
}

/** What the errors of an operation are about, as far as nothing more exact is known, whatever the request is. */
function contextOf(operation: string, request: Subject | null | undefined): ErrorContext {
  const { image, target, first, filename, format, bitmap, name: snapshot } = request ?? {};
  const created = filename === undefined ? undefined : { filename, format };
  const subject = target ?? first ?? image ?? created;
  return {
    operation,
    ...(isImage(subject) ? imageContext(subject) : {}),
    ...(typeof bitmap !== 'string' ? {} : { bitmap }),
    ...(typeof snapshot !== 'string' ? {} : { snapshot }),
  };
}

function imageContext(image: ImageInput): ErrorContext {
  const tree = imageOptions(image);
  const filename = tree ? filenameIn(tree) : imageName(image);
  const format = tree ? tree['driver'] : imageFormat(image);
  return {
    ...(filename === undefined ? {} : { filename }),
    ...(typeof format === 'string' ? { format } : {}),
  };
}

/** The name of the file at the bottom of a graph. */
function filenameIn(tree: OptionTree): string | undefined {
  const { filename, file } = tree;
  if (typeof filename === 'string') return filename;
  return isTree(file) ? filenameIn(file) : undefined;
}

function withHint(text: string, hint: Hint | undefined): string {
  return hint === undefined ? text : `${text}\n${hintText(hint)}`;
}

function gateOf(implicitOpen: ImplicitOpen): Gate {
  if (typeof implicitOpen === 'function') return implicitOpen;
  return { deny: closedGate, allow: permissiveGate, 'same-directory': sameDirectoryGate }[implicitOpen];
}
