/** `convert`: copies one or more images, one behind the other, into a new or an existing image. */
import { verifyBelow } from '../block/graph/bottom.ts';
import { PLAIN_FORMAT } from '../options/filename.ts';
import { asBlockError, type BlockError, invalidArgument, unsupported, isFinal } from '../base/error.ts';
import type { ByteStream } from '../base/byteStream.ts';
import { MiB, SECTOR } from '../base/offset.ts';
import type { BitmapInfo } from '../block/capabilities.ts';
import { NamedNodes } from '../block/graph/namedNodes.ts';
import type { ImageNode } from '../block/node/node.ts';
import type { OperationContext } from './context.ts';
import { bitmapsOfTarget, bitmapsToCopy, copyBitmaps } from './copy/bitmaps.ts';
import { type CopyOutcome, copyInto } from './copy/copy.ts';
import { pipedSource } from './copy/pipedSource.ts';
import { copyStream } from './copy/streamCopy.ts';
import { depthBelow } from './copy/depth.ts';
import { snapshotNode } from './copy/snapshot.ts';
import { Sharing } from './copy/sharing.ts';
import { CopySource, type SourceOptions } from './copy/source.ts';
import {
  checkBacking,
  checkNewTarget,
  compressedAndEncrypted,
  isPreallocated,
  type NewTarget,
  noCompression,
  refuseInPipe,
} from './copy/newTarget.ts';
import { sendImage } from './copy/sinkTarget.ts';
import { createTarget, existingTarget, readsAsNothing, type Target, targetCacheOf } from './copy/target.ts';
import type { ConvertRequest, ImageInput, ReflinkMode } from './requests.ts';
import { CACHE_MODES, imageInput, imageFormat, imageName, imageOptions, oneOf, wholeNumber } from './shorthand.ts';
import { isPiped, openSource } from './source.ts';

/** Result of {@link convert}. */
export interface ConvertResult {
  /** Guest size in bytes that was copied. */
  readonly size: number;
  /** Sectors that could not be read and are zeroes in the target. */
  readonly badSectors: number;
}

/** What is told while images are copied. */
export interface ConvertObserver {
  /** With `salvage`: what cannot be read and becomes zeroes, one line of text. */
  unreadable?(text: string): void;
}

/** Zeroes in a row that are left out when nothing else is said. */
const DEFAULT_SPARSE_SIZE = 4096;
const REFLINK_MODES: readonly ReflinkMode[] = ['auto', 'always', 'never'];
/** Piece of a copy inside the kernel. */
const KERNEL_CHUNK = 16 * MiB;

/**
 * Copies images. A target that was not there before appears only when it is complete; a failure leaves nothing behind.
 * With `atomic` this is so for one that was there, too: it keeps its content until then.
 * @throws BlockError with the real tool's message.
 */
export async function convert(
  context: OperationContext,
  request: ConvertRequest,
  observer: ConvertObserver = {},
): Promise<ConvertResult> {
  const sources = sourcesOf(request);
  checkSettings(request);
  if (request.bitmaps && sources.length > 1) throw invalidArgument('Copying bitmaps only possible with single source');
  if (request.atomic && request.noCreate)
    throw invalidArgument('An existing image that is written into cannot be replaced');
  if (imageOptions(request.target) && !request.noCreate) {
    throw invalidArgument('A target that is described by options has to be there');
  }
  const piped = await pipedSource(context, request, sources);
  const opened: ImageNode[] = [];
  const shared = { ...(piped?.context ?? context), nodes: new NamedNodes() };
  try {
    const done = piped?.isRaw ? await new Conversion(shared, request, observer, []).grow(piped.stream) : undefined;
    if (done) return done;
    for (const source of sources) {
      opened.push(
        await openSource(shared, source, {
          cache: request.sourceCache ?? 'writeback',
          forceShare: request.forceShare,
          // It is copied as it is at one moment.
          still: 'chain',
        }),
      );
    }
    return await new Conversion(shared, request, observer, opened).run();
  } finally {
    for (const node of opened) await node.close().catch(() => undefined);
    await piped?.stream.close();
  }
}

/** The sources: without one, an existing target would only be emptied. */
function sourcesOf({ source }: ConvertRequest): readonly ImageInput[] {
  const sources = isList(source) ? source : [source];
  if (sources.length === 0) throw invalidArgument('At least one source image is needed');
  for (const image of sources) imageInput(image, 'source');
  return sources;
}

/** What needs no file is checked before any is touched. */
function checkSettings(request: ConvertRequest): void {
  const { target, sourceCache, targetCache, sparseSize = 0, rateLimit = 0, parallel = 1, reflink } = request;
  imageInput(target, 'target');
  oneOf('reflink mode', reflink, REFLINK_MODES);
  if (reflink === 'always' && request.copyRange)
    throw invalidArgument('Copy offloading and reflinks exclude each other');
  oneOf('source cache mode', sourceCache, CACHE_MODES);
  oneOf('cache mode', targetCache, CACHE_MODES);
  wholeNumber('rate limit', rateLimit, 0);
  // As many as the real tool takes.
  wholeNumber('number of coroutines', parallel, 1, 16);
  if (wholeNumber('sparse size', sparseSize, 0) % SECTOR !== 0) {
    throw invalidArgument(`Invalid sparse size '${sparseSize}': a multiple of ${SECTOR} is needed`);
  }
}

function isList(source: ConvertRequest['source']): source is readonly ImageInput[] {
  return Array.isArray(source);
}

/** One run of `convert`, with the sources open. */
class Conversion {
  readonly #context: OperationContext;
  readonly #request: ConvertRequest;
  readonly #observer: ConvertObserver;
  readonly #opened: readonly ImageNode[];

  constructor(
    context: OperationContext,
    request: ConvertRequest,
    observer: ConvertObserver,
    opened: readonly ImageNode[],
  ) {
    this.#context = context;
    this.#request = request;
    this.#observer = observer;
    this.#opened = opened;
  }

  async run(): Promise<ConvertResult> {
    const sources = await this.#sources();
    const size = new CopySource(sources).size;
    const { length } = this.#opened;
    if (this.#request.noCreate) checkBacking(this.#request.backing?.filename, length);
    const fresh = this.#request.noCreate ? undefined : await checkNewTarget(this.#context, this.#request, length);
    const [first] = this.#opened;
    if (fresh && isPiped(this.#context, this.#request.target)) return this.#send(sources, fresh, size);
    const bitmaps = this.#request.bitmaps && first ? await bitmapsToCopy(first, this.#bitmapChoice()) : undefined;
    const target = fresh ? await this.#create(fresh, size) : await this.#existing();
    let outcome: CopyOutcome;
    try {
      outcome = await this.#copy(sources, target, fresh, bitmaps);
      if (bitmaps && first) await copyBitmaps(first, target.node, bitmaps, this.#bitmapChoice());
      for (const source of this.#opened) await verifyBelow(source);
    } catch (thrown) {
      const error = await withFlushFailure(asBlockError(thrown), target.node);
      await target.abandon();
      throw error;
    }
    await target.finish();
    const { badSectors, total } = outcome;
    this.#context.onProgress?.(total, total);
    return { size, badSectors };
  }

  /** What is copied: the images; of the first one a snapshot, if one is chosen. */
  async #sources(): Promise<readonly ImageNode[]> {
    const { snapshot } = this.#request;
    const [first, ...others] = this.#opened;
    if (!snapshot || !first) return this.#opened;
    if (others.length > 0 && 'either' in snapshot)
      throw invalidArgument('No support for concatenating multiple snapshot');
    return [await snapshotNode(first, snapshot), ...others];
  }

  #bitmapChoice(): { skipBroken: boolean; warn(text: string): void } {
    return {
      skipBroken: this.#request.skipBrokenBitmaps ?? false,
      warn: (line) => this.#context.onWarning?.(line),
    };
  }

  /** Copies a raw disk that comes in, and whose length is not known; undefined, with nothing read, if the target cannot grow. */
  async grow(stream: ByteStream): Promise<ConvertResult | undefined> {
    const fresh = await checkNewTarget(this.#context, this.#request, 1);
    const { compress, sparseSize = DEFAULT_SPARSE_SIZE, target: named } = this.#request;
    if (fresh.image.format.driver?.growsFromEmpty !== true) return undefined;
    if (isPiped(this.#context, named) || fresh.backingFile !== undefined) return undefined;
    if (isPreallocated(fresh.options.format)) return undefined;
    const target = await this.#create(fresh, 0);
    const { node, zeroed } = target;
    if (!node.resizable) {
      await target.abandon();
      return undefined;
    }
    try {
      const compressor = compress ? node.compressor : undefined;
      if (compress && !compressor) throw this.#cannotCompress(node);
      const size = await copyStream(this.#context, stream, node, { sparseSize, zeroed, compressor });
      await target.finish();
      return { size, badSectors: 0 };
    } catch (error) {
      await target.abandon();
      throw error;
    }
  }

  /** Has the image go out through a pipe. */
  async #send(sources: readonly ImageNode[], fresh: NewTarget, size: number): Promise<ConvertResult> {
    const request = { image: fresh.image, options: { ...fresh.options.format, size } };
    refuseInPipe(this.#request, fresh);
    const { compress, salvage, rateLimit } = this.#request;
    const plain = !compress && !salvage && !isPreallocated(request.options);
    let badSectors = 0;
    await sendImage(this.#context, sources, { ...request, rateLimit }, plain, async (node) => {
      const zeroed = await readsAsNothing(node);
      const target = { node, zeroed, finish: nothing, abandon: nothing };
      ({ badSectors } = await this.#copy(sources, target, fresh, undefined));
    });
    return { size, badSectors };
  }

  #create(fresh: NewTarget, size: number): Promise<Target> {
    const filename = imageName(this.#request.target);
    const { backingFile, backingFormat } = fresh;
    return createTarget(this.#context, {
      filename,
      image: fresh.image,
      options: {
        ...fresh.options.format,
        size,
        ...(backingFile === undefined ? {} : { backing_file: backingFile }),
        ...(backingFormat === undefined ? {} : { backing_fmt: backingFormat }),
      },
      protocolOptions: fresh.options.protocol,
      cache: targetCacheOf(this.#request),
      durable: this.#request.durable ?? false,
      withBacking: backingFile !== undefined,
      prefix: `${filename}: error while converting ${fresh.image.format.name}: `,
      replace: this.#request.atomic ?? false,
    });
  }

  /** `-n`: opens the target as it is. */
  async #existing(): Promise<Target> {
    const { target, backing, targetIsZero = false } = this.#request;
    const named = { filename: imageName(target), format: imageFormat(target) ?? PLAIN_FORMAT };
    const node = await openSource(this.#context, imageOptions(target) ? target : named, {
      writable: true,
      noBacking: backing?.filename === undefined,
      cache: targetCacheOf(this.#request),
      discard: 'unmap',
    });
    return existingTarget(node, targetIsZero);
  }

  async #copy(
    sources: readonly ImageNode[],
    target: Target,
    fresh: NewTarget | undefined,
    bitmaps: readonly BitmapInfo[] | undefined,
  ): Promise<CopyOutcome> {
    const { node } = target;
    const { compress, targetIsZero, sparseSize, copyRange, rateLimit, parallel, outOfOrder = false } = this.#request;
    const compressor = node.compressor;
    if (compress && !compressor) throw this.#cannotCompress(node);
    if (compress && (await node.info()).encrypted) throw compressedAndEncrypted();
    const source = new CopySource(sources, this.#sourceOptions(sources, node));
    if (node.size() < source.size) throw invalidArgument('output file is smaller than input file');
    const wanted = this.#request.backing?.filename ?? fresh?.backingFile;
    const backing = wanted === undefined ? undefined : node.backing;
    if (targetIsZero && backing) {
      throw unsupported('A target that has a backing image does not read as zeroes', {
        hint: { about: 'zero-target' },
      });
    }
    if (bitmaps) bitmapsOfTarget(node);
    if (this.#request.salvage) await this.#scan(sources, node);
    const sparse = sparseSize ?? DEFAULT_SPARSE_SIZE;
    const sharing = copyRange ? undefined : await this.#sharing(sources, node, fresh);
    const walk = {
      ...this.#layers(sources, node),
      asShown: true,
      strides: true,
      wholeUnits: true,
      // What is wrong is told by the copy.
      ...(this.#request.salvage ? { onBadStatus: () => undefined } : {}),
    };
    return copyInto(this.#context, source, node, {
      reads: sources,
      counted: () => new CopySource(sources, walk),
      zeroedFrom: target.zeroed ? (backing?.size() ?? 0) : Number.POSITIVE_INFINITY,
      ...(backing ? { belowEnd: backing.size(), recordFound: true } : {}),
      sparseSize: copyRange ? 0 : sparse,
      zeroesAsData: sparse === 0,
      ...(compressor && (compress || compressor.sequential) ? { compressor } : {}),
      ...(copyRange ? { kernelChunk: KERNEL_CHUNK } : {}),
      ...(sharing ? { sharing } : {}),
      ...(rateLimit ? { rateLimit } : {}),
      ...(parallel === undefined ? {} : { parallel }),
      outOfOrder,
      ...(this.#request.salvage ? { onBadSector: this.#report('error while reading offset') } : {}),
    });
  }

  /** What the target can share with the source instead of getting a copy. */
  async #sharing(
    sources: readonly ImageNode[],
    target: ImageNode,
    fresh: NewTarget | undefined,
  ): Promise<Sharing | undefined> {
    const { reflink = 'auto', compress, salvage, sparseSize } = this.#request;
    if (reflink === 'never') return undefined;
    const ordinary = !compress && !salvage && sparseSize === undefined && !isPreallocated(fresh?.options.format ?? {});
    const plain = !target.compressor?.sequential && !(await target.info()).encrypted;
    if (ordinary && plain)
      return reflink === 'always'
        ? Sharing.demand(sources, target, imageName(this.#request.target))
        : Sharing.between(sources, target);
    if (reflink === 'auto') return undefined;
    throw unsupported('Only plain data that are taken as they are can be shared');
  }

  /** Some images of a format that compresses have nothing that could be compressed as one. */
  #cannotCompress({ compresses }: ImageNode): BlockError {
    return compresses ? invalidArgument('invalid cluster size') : noCompression();
  }

  /** The real tool looks through the whole source first, and says what it finds. */
  async #scan(sources: readonly ImageNode[], target: ImageNode): Promise<void> {
    const source = new CopySource(sources, this.#sourceOptions(sources, target));
    for (let at = 0; at < source.size; ) at += (await source.at(at, source.size - at)).length;
  }

  /**
   * Layers of a source that have to be copied when the target is an overlay: those above its backing image if that
   * belongs to the source's own chain. Otherwise only the top one, as the user says that the rest is the same.
   */
  #layers([first]: readonly ImageNode[], { backing }: ImageNode): Pick<SourceOptions, 'layers'> {
    return backing && first ? { layers: depthBelow(first, backing) ?? 1 } : {};
  }

  #sourceOptions(sources: readonly ImageNode[], target: ImageNode): SourceOptions {
    return {
      ...this.#layers(sources, target),
      ...(this.#request.salvage ? { onBadStatus: this.#report('error while reading block status at offset') } : {}),
    };
  }

  #report(what: string): (offset: number, error: BlockError) => void {
    return (offset, error) => {
      this.#observer.unreadable?.(`${what} ${offset}: ${error.strerror}`);
    };
  }
}

/**
 * The error, with a line below it if the target cannot be flushed because it was given up for its damage, or because a filter
 * below does not let it.
 */
async function withFlushFailure(error: BlockError, target: ImageNode): Promise<BlockError> {
  if (isFinal(error)) return error;
  try {
    await target.flush();
    return error;
  } catch (thrown) {
    const { code, strerror } = asBlockError(thrown);
    if (code !== 'ENOMEDIUM' && !target.watched) return error;
    return error.reworded(error.message, [{ about: 'also', message: `Failed to flush target image: ${strerror}` }]);
  }
}

/** Ends what somebody else ends. */
async function nothing(): Promise<void> {}
