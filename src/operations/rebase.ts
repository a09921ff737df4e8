/** `rebase`: gives an image another backing image, or none. */
import { asBlockError, type BlockError, invalidArgument, unsupported, withPrefix } from '../base/error.ts';
import type { ImageNode } from '../block/node/node.ts';
import { placeName } from '../block/graph/bottom.ts';
import { nameFrom } from '../block/graph/names.ts';
import { openRequest } from '../block/graph/open.ts';
import type { OperationContext } from './context.ts';
import { UpCopy, writeError } from './copy/upCopy.ts';
import type { NamedImage, RebaseRequest } from './requests.ts';
import { CACHE_MODES, isNamed, oneOf } from './shorthand.ts';
import { withSource } from './source.ts';

/** What is recorded for an image that stands alone. */
const NO_BACKING: NamedImage = { filename: '' };

/** Result of {@link rebase}. */
export interface RebaseResult {
  /** Guest size in bytes. */
  readonly size: number;
}

/** What is told while an image is rebased. */
export interface RebaseObserver {
  /** One more area that comes from below was looked at. */
  looked?(size: number): void;
  /** Everything is in the image that has to be. */
  copied?(): void;
}

/**
 * Records another backing image. Unless that is to be unsafe, everything that would read differently over the new one
 * is copied into the image first, and is on its medium before the image names the new one: the image reads the same
 * at any time.
 * @throws BlockError with the real tool's message.
 */
export async function rebase(
  context: OperationContext,
  request: RebaseRequest,
  observer: RebaseObserver = {},
): Promise<RebaseResult> {
  const { cache = 'writeback', unsafe = false, backing = NO_BACKING } = request;
  oneOf('backing cache mode', request.backingCache, CACHE_MODES);
  if (!isNamed(backing)) throw invalidArgument('backing: {filename, format} is needed');
  const how = { writable: true, noBacking: unsafe, cache, discard: 'unmap' } as const;
  return withSource(context, request.image, how, async (node) => {
    await checkDrivers(context, request, node);
    const replacement = await openReplacement(context, request, node);
    const size = node.size();
    try {
      const problem = problemOfNewName(request, node.unfiltered);
      if (!problem && !unsafe) {
        const compressor = request.compress ? node.compressor : undefined;
        await new UpCopy(context, node, replacement, compressor).run((done) => {
          context.onProgress?.(done, size);
          observer.looked?.(size);
        });
      }
      context.onProgress?.(size, size);
      observer.copied?.();
      if (problem) throw problem;
      await rename(request, node.unfiltered);
    } finally {
      await replacement?.close();
    }
    return { size };
  });
}

async function checkDrivers(
  { drivers }: OperationContext,
  { compress, backing }: RebaseRequest,
  { format, quirks }: ImageNode,
): Promise<void> {
  const driver = drivers.isFormat(format) ? await drivers.format(format) : undefined;
  if (compress && !driver?.compresses) {
    throw unsupported('Compression not supported for this file format');
  }
  if (backing?.format !== undefined && !drivers.has(backing.format)) {
    throw invalidArgument(`Invalid format name: '${backing.format}'`);
  }
  if (quirks.unknownClusters) throw unsupported('could not get block driver info');
}

/** Opens the new backing image, whose name counts from the directory of the image. */
async function openReplacement(
  context: OperationContext,
  request: RebaseRequest,
  node: ImageNode,
): Promise<ImageNode | undefined> {
  const {
    unsafe,
    backing: { filename, format } = NO_BACKING,
    backingCache = 'writeback',
    forceShare = false,
  } = request;
  if (unsafe || filename === '') return undefined;
  const name = node.file ? placeName(node.file) : node.name;
  const placed = await nameFrom(context, name, filename);
  if (placed === undefined) {
    throw invalidArgument(`Could not resolve backing filename: Cannot use relative backing file names for '${name}'`);
  }
  return withPrefix(`Could not open new backing file '${filename}': `, () =>
    openRequest(context, {
      filename: placed,
      ...(format === undefined ? {} : { format }),
      cache: backingCache,
      forceShare,
    }),
  );
}

/** What the real tool finds only when everything is copied; there is no reason to wait for it. */
function problemOfNewName(
  { backing = NO_BACKING }: RebaseRequest,
  { recordsBacking }: ImageNode,
): BlockError | undefined {
  const { filename, format } = backing;
  const prefix = `Could not change the backing file to '${filename}': `;
  if (filename !== '' && format === undefined) {
    return invalidArgument(`${prefix}backing format must be specified`);
  }
  return recordsBacking ? undefined : unsupported(`${prefix}Operation not supported`);
}

async function rename({ backing = NO_BACKING }: RebaseRequest, node: ImageNode): Promise<void> {
  const { filename, format = '' } = backing;
  // Data, and everything that refers to it, comes before the new name.
  await flushed(node);
  try {
    const reference = filename === '' ? undefined : { file: filename, format };
    await node.setBacking(reference);
  } catch (thrown) {
    const error = asBlockError(thrown);
    if (error.kind === 'aborted') throw error;
    const text = error.kind === 'no-space' ? 'No space left in the file header' : error.strerror;
    throw error.reworded(`Could not change the backing file to '${filename}': ${text}`);
  }
}

async function flushed(node: ImageNode): Promise<void> {
  try {
    await node.settle();
  } catch (thrown) {
    throw writeError(thrown);
  }
}
