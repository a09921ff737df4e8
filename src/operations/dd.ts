/** `dd`: copies blocks of an image into a new image. */
import { BlockError, invalidArgument, unsupported, isFinal } from '../base/error.ts';
import { alignUp, SECTOR } from '../base/offset.ts';
import type { ImageNode } from '../block/node/node.ts';
import { identityOf } from '../block/graph/bottom.ts';
import { isNameOf } from '../block/graph/names.ts';
import { PLAIN_FORMAT } from '../options/filename.ts';
import type { OperationContext } from './context.ts';
import { copyInto } from './copy/copy.ts';
import { WindowSource } from './copy/source.ts';
import { createTarget } from './copy/target.ts';
import { coerceNewImage, newImage } from './options.ts';
import type { DdRequest } from './requests.ts';
import { bytesOf, imageFormat, imageName, imageOptions, MAX_COUNT, wholeNumber } from './shorthand.ts';
import { withSource } from './source.ts';

/** Result of {@link dd}. */
export interface DdResult {
  /** Bytes that were copied. */
  readonly size: number;
  /** `skip` leads past the end of what is to be copied; the new image is empty. */
  readonly skippedAll: boolean;
}

/**
 * Copies blocks, zeroes included. What was at the output's name is lost.
 * @throws BlockError with the real tool's message.
 */
export async function dd(context: OperationContext, request: DdRequest): Promise<DdResult> {
  const blocks = blocksOf(request);
  if (imageOptions(request.target))
    throw invalidArgument('A target that is created is named, not described by options');
  const how = { forceShare: request.forceShare, cache: 'writeback' } as const;
  return withSource(context, request.source, how, (node) => copyBlocks(context, request, node, blocks));
}

/** Where to start and to end, in bytes, whatever the size of the input is. */
interface Blocks {
  readonly start: number;
  readonly end: number;
}

/** The blocks that are asked for, which may be past the input. `count` is counted from the start of the input. */
function blocksOf({ blockSize = 512, count, skip = 0 }: DdRequest): Blocks {
  const bytes = wholeNumber('block size', bytesOf(blockSize), 1, MAX_COUNT);
  const blocks = count === undefined ? Number.POSITIVE_INFINITY : wholeNumber('count', count, 0);
  return { start: wholeNumber('skip', skip, 0) * bytes, end: blocks * bytes };
}

/** The part of the input that is copied, in bytes. */
function windowOf(blocks: Blocks, size: number): { start: number; length: number; skippedAll: boolean } {
  const { start } = blocks;
  const end = Math.min(size, blocks.end);
  if (start > end) return { start: 0, length: 0, skippedAll: true };
  return { start, length: end - start, skippedAll: false };
}

async function copyBlocks(
  context: OperationContext,
  request: DdRequest,
  node: ImageNode,
  blocks: Blocks,
): Promise<DdResult> {
  const filename = imageName(request.target);
  const format = imageFormat(request.target) ?? PLAIN_FORMAT;
  if (!context.drivers.has(format)) throw unsupported('Unknown file format');
  const image = await newImage(context, format, filename);
  const options = coerceNewImage(image, []);
  const { start, length, skippedAll } = windowOf(blocks, node.size());
  const prefix = `${filename}: error while creating output image: `;
  await refuseOwnInput(context, filename, node, prefix);
  const target = await createTarget(context, {
    filename,
    image,
    options: { ...options.format, size: alignUp(length, SECTOR) },
    protocolOptions: options.protocol,
    cache: 'writeback',
    withBacking: false,
    prefix,
  });
  try {
    const compressor = target.node.compressor?.sequential ? target.node.compressor : undefined;
    await copyInto(context, new WindowSource(node, start, length), target.node, {
      reads: [node],
      zeroedFrom: target.zeroed ? 0 : Number.POSITIVE_INFINITY,
      sparseSize: 0,
      ...(compressor ? { compressor } : {}),
    });
  } catch (thrown) {
    await target.abandon();
    throw inOwnWords(thrown);
  }
  await target.finish();
  return { size: length, skippedAll };
}

/** The real tool empties a raw input that is its output too, and then copies nothing. */
async function refuseOwnInput(
  context: OperationContext,
  filename: string,
  node: ImageNode,
  prefix: string,
): Promise<void> {
  const own = identityOf(node);
  if (own === undefined || !(await isNameOf(context, filename, own))) return;
  throw new BlockError('locked', `${prefix}Failed to get "write" lock`, {
    hint: `Is another process using the image [${filename}]?`,
    context: { filename, access: 'create' },
  });
}

function inOwnWords(thrown: unknown): unknown {
  if (!(thrown instanceof BlockError) || isFinal(thrown)) return thrown;
  const { access } = thrown.context;
  if (access === 'read') return thrown.reworded(`error while reading from input image file: ${thrown.strerror}`, []);
  if (access === 'write') return thrown.reworded(`error while writing to output image file: ${thrown.strerror}`);
  return thrown;
}
