/** Opening the image that a request names. */
import type { ImageNode } from '../block/node/node.ts';
import { type OpenRequest, openImage } from '../block/graph/open.ts';
import { PIPE_NAME, PIPE_PROTOCOL, PLAIN_FORMAT } from '../options/filename.ts';
import type { OptionTree } from '../options/tree.ts';
import type { OperationContext } from './context.ts';
import type { ImageInput } from './requests.ts';
import { CACHE_MODES, imageFormat, imageName, imageOptions, oneOf } from './shorthand.ts';

/** What for, and with which cache mode and locks. */
type OpenHow = Omit<OpenRequest, 'filename' | 'tree' | 'format' | 'cache' | 'forceShare'> & {
  readonly cache?: OpenRequest['cache'] | undefined;
  readonly forceShare?: boolean | undefined;
};

/** True if the image comes in, or goes out, through a pipe. */
export function isPiped(context: OperationContext, image: ImageInput): boolean {
  return context.services.pipes !== undefined && imageName(image) === PIPE_NAME && imageOptions(image) === undefined;
}

/** What comes in; as it is, if it is said to be a raw disk. */
function pipeTree(format: string | undefined): OptionTree {
  const file = { driver: PIPE_PROTOCOL, expand: format !== PLAIN_FORMAT };
  return format === undefined ? { file } : { driver: format, file };
}

/**
 * Opens `image`; the caller closes it.
 * @param how what for, and with which cache mode and locks.
 * @throws BlockError whose message begins with `Could not open 'NAME': `.
 */
export async function openSource(context: OperationContext, image: ImageInput, how: OpenHow = {}): Promise<ImageNode> {
  const { cache, forceShare = false, ...rest } = how;
  oneOf('cache mode', cache, CACHE_MODES);
  const format = imageFormat(image);
  const tree = isPiped(context, image) ? pipeTree(format) : imageOptions(image);
  return openImage(context, {
    ...rest,
    filename: imageName(image),
    forceShare,
    unpack: true,
    whole: isPiped(context, image),
    ...(cache === undefined ? {} : { cache }),
    ...(tree === undefined ? {} : { tree }),
    ...(format === undefined ? {} : { format }),
  });
}

/** Opens `image`, runs `body` on it and closes it, whatever happens. A failure of `body` hides one of closing. */
export async function withSource<T>(
  context: OperationContext,
  image: ImageInput,
  how: OpenHow,
  body: (node: ImageNode) => Promise<T>,
): Promise<T> {
  const node = await openSource(context, image, how);
  let result: T;
  try {
    result = await body(node);
  } catch (error) {
    await node.close().catch(() => undefined);
    throw error;
  }
  await node.close();
  return result;
}
