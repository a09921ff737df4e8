/** `measure`: how large a new image will be. */
import { asBlockError, BlockError, invalidArgument, unsupported } from '../base/error.ts';
import { throwIfStopped } from '../base/inflight.ts';
import { alignUp, SECTOR } from '../base/offset.ts';
import { walkChain } from '../block/node/chain.ts';
import type { MeasureContext, Measurement } from '../block/format.ts';
import type { ImageNode } from '../block/node/node.ts';
import { PLAIN_FORMAT } from '../options/filename.ts';
import type { OperationContext } from './context.ts';
import { coerceNewImage, type CreatableFormat, newImage } from './options.ts';
import type { MeasureRequest } from './requests.ts';
import { bytesOf, optionPairs } from './shorthand.ts';
import { snapshotNode } from './copy/snapshot.ts';
import { withSource } from './source.ts';

/** Result of {@link measure}: bytes. */
export type MeasureResult = Measurement;

/**
 * The file size of a new image that would hold the content of an image, or that has a given guest size.
 * @throws BlockError if the target format is unknown or cannot be measured. Bad options give
 * `Invalid options for file format 'x'` with the option's own error as its cause.
 */
export async function measure(context: OperationContext, request: MeasureRequest): Promise<MeasureResult> {
  const { image, size, snapshot } = request;
  if ((image === undefined) === (size === undefined)) {
    throw invalidArgument('Exactly one of image and size is needed');
  }
  if (image === undefined) return measureTarget(context, request);
  return withSource(context, image, { forceShare: request.forceShare, mapOnly: true }, async (node) => {
    const content = snapshot === undefined ? node : await snapshotNode(node, snapshot);
    return measureTarget(context, request, { image: node, content });
  });
}

async function measureTarget(
  context: OperationContext,
  request: MeasureRequest,
  source?: { readonly image: ImageNode; readonly content: ImageNode },
): Promise<MeasureResult> {
  // The target has no name yet; files are what it will most likely be written to.
  const image = await newImage(context, request.format ?? PLAIN_FORMAT, 'file:');
  const options = await coerced(image, request);
  const driver = measurable(image.format);
  const size = request.size === undefined ? undefined : bytesOf(request.size);
  const virtualSize = alignUp(size ?? source?.content.size() ?? 0, SECTOR);
  const measureContext: MeasureContext = {
    virtualSize,
    services: context.services,
    ...(source ? { source: source.image } : {}),
    dataRuns: () => dataRuns(context, source?.content),
  };
  return driver(measureContext, { ...options, size: size ?? virtualSize });
}

async function coerced(image: Awaited<ReturnType<typeof newImage>>, request: MeasureRequest) {
  try {
    return coerceNewImage(image, optionPairs(request.options)).format;
  } catch (thrown) {
    // Two lines: what is wrong, and what for.
    const cause = asBlockError(thrown);
    const hint = { about: 'first', error: cause } as const;
    throw new BlockError(cause.kind, `Invalid options for file format '${image.format.name}'`, { cause, hint });
  }
}

function measurable(format: CreatableFormat) {
  const { driver } = format;
  const measureImage = driver?.measure?.bind(driver);
  if (measureImage) return measureImage;
  throw unsupported(`Block driver '${format.name}' does not support size measurement`);
}

/** What of the source's chain has to be stored. */
async function* dataRuns(
  context: OperationContext,
  source: ImageNode | undefined,
): AsyncGenerator<{ readonly offset: number; readonly length: number }, void, undefined> {
  if (!source) return;
  try {
    for await (const status of walkChain(source)) {
      throwIfStopped(context.signal);
      if (status.data && !status.zero) yield { offset: status.start, length: status.length };
      context.onProgress?.(status.start + status.length, source.size());
    }
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.kind === 'aborted' ? error : error.reworded(`Unable to get block status: ${error.strerror}`);
  }
}
