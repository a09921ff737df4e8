/** The operations as methods with defaults: what programs use that have this package as a library. */
import { asBlockError, BlockError, type ErrorContext } from '../base/error.ts';
import { type Hint, hintText } from '../base/hint.ts';
import { throwIfStopped } from '../base/inflight.ts';
import { parseSize } from '../base/size.ts';
import { closedGate, type Gate, permissiveGate, sameDirectoryGate } from '../block/gate.ts';
import type { ImageNode } from '../block/node.ts';
import type { DriverRegistry } from '../block/registry.ts';
import type { Services } from '../block/services.ts';
import type { OptionPair } from '../options/keyval.ts';
import { isTree } from '../options/dotted.ts';
import type { OptionTree } from '../options/tree.ts';
import type { AmendResult } from './amend.ts';
import type { BitmapResult } from './bitmap.ts';
import type { CheckResult } from './check.ts';
import type { CommitResult } from './commit.ts';
import type { CompareResult } from './compare.ts';
import type { OperationContext } from './context.ts';
import type { ConvertResult } from './convert.ts';
import type { CreateResult } from './create.ts';
import type { DdResult } from './dd.ts';
import type { InfoResult } from './info.ts';
import type {
  AmendInput,
  BitmapInput,
  CheckInput,
  CommitInput,
  CompareInput,
  ConvertInput,
  CreateInput,
  DdInput,
  FormatOptions,
  ImageInput,
  ImplicitOpen,
  InfoInput,
  MapInput,
  MeasureInput,
  OpenSettings,
  RebaseInput,
  ResizeInput,
  RunSettings,
  SnapshotInput,
  SizeInput,
} from './inputs.ts';
import type { MapExtent, MapResult } from './map.ts';
import type { MeasureResult } from './measure.ts';
import type { ConvertTarget, ImageSource, MapRequest } from './requests.ts';
import type { RebaseResult } from './rebase.ts';
import type { ResizeResult } from './resize.ts';
import type { SnapshotResult } from './snapshot.ts';

/** Operations on images, on given drivers and ports. Nothing prints and nothing ends the program. */
export class ImageLibrary {
  readonly #context: OperationContext;

  /** @param settings the gate is closed unless `implicitOpen` or `gate` opens it. */
  constructor(drivers: DriverRegistry, services: Services, settings: RunSettings = {}) {
    const { signal } = settings;
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
    return this.#context;
  }

  /** Runs an operation. Whatever it throws becomes a `BlockError` that says which operation it was, and on what. */
  async #run<T>(
    operation: string,
    image: ImageInput | undefined,
    body: () => Promise<T>,
    further: ErrorContext = {},
  ): Promise<T> {
    try {
      throwIfStopped(this.#context.signal);
      return await body();
    } catch (thrown) {
      throw asBlockError(thrown).within({ ...contextOf(operation, image), ...further });
    }
  }

  /** Opens an image to read (and with `writable` to write) its guest bytes. Close it. */
  openImage(image: ImageInput, how: OpenSettings & { readonly writable?: boolean } = {}): Promise<ImageNode> {
    return this.#run('open', image, async () => {
      const { openSource } = await import('./source.ts');
      return openSource(this.#context, sourceOf(image), how);
    });
  }

  /** Writes an empty image. */
  createImage(input: CreateInput): Promise<CreateResult> {
    return this.#run('create', input, async () => {
      const { create } = await import('./create.ts');
      const { backing, size } = input;
      return create(this.#context, {
        filename: input.filename,
        format: input.format ?? 'raw',
        options: pairsOf(input.options),
        backingUnsafe: backing?.unsafe ?? false,
        quiet: true,
        ...(size === undefined ? {} : { size: bytesOf(size) }),
        ...(backing ? { backingFile: backing.filename, backingFormat: backing.format } : {}),
      });
    });
  }

  /** Describes an image. */
  info(input: InfoInput): Promise<InfoResult> {
    return this.#run('info', input.image, async () => {
      const { info } = await import('./info.ts');
      const { image, backingChain = false, limits = false, forceShare = false, ...cache } = input;
      return info(this.#context, { image: sourceOf(image), backingChain, limits, forceShare, ...cache });
    });
  }

  /** Looks for structural damage and, on request, repairs it. */
  check(input: CheckInput): Promise<CheckResult> {
    return this.#run('check', input.image, async () => {
      const { check } = await import('./check.ts');
      const { image, repair = 'none', deep = false, forceShare = false, cache } = input;
      const request = { image: sourceOf(image), repair, deep, forceShare, ...(cache ? { cache } : {}) };
      return check(this.#context, request, {
        line: (text, stream, detail) => input.line?.(withHint(text, detail?.hint), stream),
        repaired: (repairs) => input.repaired?.(repairs),
      });
    });
  }

  /** Lists what is allocated where. */
  map(input: MapInput): Promise<MapResult> {
    return this.#run('map', input.image, async () => {
      const { map } = await import('./map.ts');
      return map(this.#context, mapRequest(input));
    });
  }

  /** The runs of {@link map} one after the other, for images with very many. */
  async *mapExtents(input: MapInput): AsyncGenerator<MapExtent, void, undefined> {
    try {
      const { mapExtents } = await import('./map.ts');
      yield* mapExtents(this.#context, mapRequest(input));
    } catch (thrown) {
      throw asBlockError(thrown).within(contextOf('map', input.image));
    }
  }

  /** How large a new image will be. */
  measure(input: MeasureInput): Promise<MeasureResult> {
    return this.#run('measure', input.image, async () => {
      const { measure } = await import('./measure.ts');
      const { image, size, snapshot } = input;
      if ((image === undefined) === (size === undefined)) {
        throw new BlockError('invalid-argument', 'Exactly one of image and size is needed');
      }
      return measure(this.#context, {
        targetFormat: input.format ?? 'raw',
        options: pairsOf(input.options),
        forceShare: input.forceShare ?? false,
        ...(image === undefined ? {} : { image: sourceOf(image) }),
        ...(size === undefined ? {} : { size: bytesOf(size) }),
        ...(snapshot === undefined ? {} : { snapshot }),
      });
    });
  }

  /** Changes the guest size. */
  resize(input: ResizeInput): Promise<ResizeResult> {
    return this.#run('resize', input.image, async () => {
      const { resize } = await import('./resize.ts');
      const [, sign, size] = /^([+-]?)(.*)$/s.exec(String(input.size)) ?? [];
      const change = typeof input.size === 'string' && (sign === '+' || sign === '-') ? sign : '';
      return resize(this.#context, {
        image: sourceOf(input.image),
        size: bytesOf(change === '' ? input.size : (size ?? '')),
        relative: change,
        shrink: input.shrink ?? false,
        preallocation: input.preallocation ?? 'off',
        quiet: true,
      });
    });
  }

  /** Copies images into another one. A new target appears only when it is complete. */
  convert(input: ConvertInput): Promise<ConvertResult> {
    return this.#run('convert', input.target, async () => {
      const { convert } = await import('./convert.ts');
      const { source, target, backing, snapshot, sparseSize, rateLimit, sourceCache, targetCache } = input;
      return convert(this.#context, {
        sources: (isList(source) ? source : [source]).map(sourceOf),
        target: targetOf(target),
        options: pairsOf(input.options),
        noCreate: input.noCreate ?? false,
        atomic: input.atomic ?? false,
        targetIsZero: input.targetIsZero ?? false,
        compress: input.compress ?? false,
        copyBitmaps: input.bitmaps ?? false,
        skipBrokenBitmaps: input.skipBrokenBitmaps ?? false,
        salvage: input.salvage ?? false,
        outOfOrder: false,
        copyRange: input.copyRange ?? false,
        quiet: true,
        forceShare: input.forceShare ?? false,
        ...(backing ? { backingFile: backing.filename, backingFormat: backing.format } : {}),
        ...(snapshot === undefined ? {} : { snapshot }),
        ...(sparseSize === undefined ? {} : { sparseSize }),
        ...(rateLimit === undefined ? {} : { rateLimit }),
        ...(sourceCache === undefined ? {} : { sourceCache }),
        ...(targetCache === undefined ? {} : { targetCache }),
      });
    });
  }

  /** Whether two images have the same guest content. */
  compare(input: CompareInput): Promise<CompareResult> {
    return this.#run('compare', input.first, async () => {
      const { compare } = await import('./compare.ts');
      const { first, second, strict = false, forceShare = false, ...cache } = input;
      const images = { first: sourceOf(first), second: sourceOf(second) };
      return compare(this.#context, { ...images, strict, forceShare, ...cache });
    });
  }

  /** Copies blocks. */
  dd(input: DdInput): Promise<DdResult> {
    return this.#run('dd', input.target, async () => {
      const { dd } = await import('./dd.ts');
      const target = typeof input.target === 'string' ? { filename: input.target } : input.target;
      return dd(this.#context, {
        input: sourceOf(input.source),
        outputFilename: target.filename,
        outputFormat: target.format ?? 'raw',
        blockSize: bytesOf(input.blockSize ?? 512),
        skip: input.skip ?? 0,
        forceShare: input.forceShare ?? false,
        ...(input.count === undefined ? {} : { count: input.count }),
      });
    });
  }

  /** Moves an overlay's content down into an image of its chain. */
  commit(input: CommitInput): Promise<CommitResult> {
    return this.#run('commit', input.image, async () => {
      const { commit } = await import('./commit.ts');
      const { image, drop = false, ...rest } = input;
      return commit(this.#context, { ...rest, image: sourceOf(image), drop, quiet: true });
    });
  }

  /** Gives an image another backing image, or none. */
  rebase(input: RebaseInput): Promise<RebaseResult> {
    return this.#run('rebase', input.image, async () => {
      const { rebase } = await import('./rebase.ts');
      const { image, backing, unsafe = false, compress = false, forceShare = false, cache } = input;
      return rebase(this.#context, {
        image: sourceOf(image),
        backingFile: backing?.filename ?? '',
        backingUnsafe: unsafe,
        compress,
        forceShare,
        quiet: true,
        ...(backing ? { backingFormat: backing.format } : {}),
        ...(cache === undefined ? {} : { cache }),
      });
    });
  }

  /** Lists, makes, applies or deletes internal snapshots. */
  snapshot(input: SnapshotInput): Promise<SnapshotResult> {
    return this.#run(
      'snapshot',
      input.image,
      async () => {
        const { snapshot } = await import('./snapshot.ts');
        const { image, action = 'list', forceShare = false, name } = input;
        if (action !== 'list' && name === undefined) {
          throw new BlockError('invalid-argument', 'A snapshot name is needed');
        }
        const which = name === undefined ? {} : { name };
        return snapshot(this.#context, { image: sourceOf(image), action, forceShare, quiet: true, ...which });
      },
      input.name === undefined ? {} : { snapshot: input.name },
    );
  }

  /** Changes persistent dirty bitmaps. */
  bitmap(input: BitmapInput): Promise<BitmapResult> {
    return this.#run(
      'bitmap',
      input.image,
      async () => {
        const { bitmap } = await import('./bitmap.ts');
        const { image, source, ...rest } = input;
        return bitmap(this.#context, {
          ...rest,
          image: sourceOf(image),
          ...(source ? { sourceFile: source.filename } : {}),
          ...(source?.format === undefined ? {} : { sourceFormat: source.format }),
        });
      },
      input.bitmap === undefined ? {} : { bitmap: input.bitmap },
    );
  }

  /** Changes options of an existing image. */
  amend(input: AmendInput): Promise<AmendResult> {
    return this.#run('amend', input.image, async () => {
      const { amend } = await import('./amend.ts');
      const { image, options, force = false, cache } = input;
      const how = { force, quiet: true, ...(cache === undefined ? {} : { cache }) };
      return amend(this.#context, { image: sourceOf(image), options: pairsOf(options), ...how });
    });
  }
}

/** What the errors of an operation on `image` are about, as far as nothing more exact is known. */
function contextOf(operation: string, image: ImageInput | undefined): ErrorContext {
  if (image === undefined) return { operation };
  const { filename, format, imageOptions } = sourceOf(image);
  const driver = format ?? imageOptions?.['driver'];
  const name = imageOptions ? filenameIn(imageOptions) : filename;
  return {
    operation,
    ...(name === undefined ? {} : { filename: name }),
    ...(typeof driver === 'string' ? { format: driver } : {}),
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

function isList(source: ConvertInput['source']): source is readonly ImageInput[] {
  return Array.isArray(source);
}

function sourceOf(image: ImageInput): ImageSource {
  if (typeof image === 'string') return { filename: image };
  if ('filename' in image) return image;
  return { filename: 'image', imageOptions: image.options };
}

/** A bare name is a raw image, as it is without `-O`. */
function targetOf(image: ImageInput): ConvertTarget {
  const target = sourceOf(image);
  return target.imageOptions || target.format !== undefined ? target : { ...target, format: 'raw' };
}

function mapRequest(input: MapInput): MapRequest {
  return {
    image: sourceOf(input.image),
    startOffset: input.start ?? 0,
    forceShare: input.forceShare ?? false,
    ...(input.length === undefined ? {} : { maxLength: input.length }),
  };
}

function pairsOf(options: FormatOptions = {}): OptionPair[] {
  return Object.entries(options).map(([name, value]) => ({
    name,
    value: typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value),
  }));
}

function bytesOf(size: SizeInput): number {
  if (typeof size === 'number') return size;
  const parsed = parseSize(size);
  if (parsed.kind === 'ok') return parsed.value;
  throw new BlockError('invalid-argument', `Invalid size '${size}'`);
}
