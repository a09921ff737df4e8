/** Opening the image that a request names. */
import type { ImageNode } from '../block/node.ts';
import { type OpenRequest, openImage } from '../block/open.ts';
import type { OperationContext } from './context.ts';
import type { ImageSource } from './requests.ts';

/**
 * Opens `source`; the caller closes it.
 * @param how what for, and with which cache mode and locks.
 * @throws BlockError whose message begins with `Could not open 'NAME': `.
 */
export function openSource(
  context: OperationContext,
  source: ImageSource,
  how: Omit<OpenRequest, 'filename' | 'tree' | 'format'> = {},
): Promise<ImageNode> {
  return openImage(context, {
    ...how,
    filename: source.filename,
    ...(source.imageOptions ? { tree: source.imageOptions } : {}),
    ...(source.format === undefined ? {} : { format: source.format }),
  });
}

/** Opens `source`, runs `body` on it and closes it, whatever happens. A failure of `body` hides one of closing. */
export async function withSource<T>(
  context: OperationContext,
  source: ImageSource,
  how: Omit<OpenRequest, 'filename' | 'tree' | 'format'>,
  body: (node: ImageNode) => Promise<T>,
): Promise<T> {
  const node = await openSource(context, source, how);
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
