/** `resize`: changes the guest size of an image. */
import { BlockError } from '../base/error.ts';
import { MAX_DISK, MAX_SIZE } from '../base/offset.ts';
import type { OperationContext } from './context.ts';
import type { ResizeRequest } from './requests.ts';
import { withSource } from './source.ts';

/** Result of {@link resize}. */
export interface ResizeResult {
  readonly filename: string;
  readonly format: string;
  /** Guest sizes in bytes before and after. */
  readonly oldSize: number;
  readonly size: number;
}

/**
 * Changes the guest size. A grown area reads as zeroes; shrinking has to be asked for.
 * @throws BlockError if the size is impossible, or smaller without `shrink`.
 */
export async function resize(context: OperationContext, request: ResizeRequest): Promise<ResizeResult> {
  return withSource(context, request.image, { writable: true, resize: true }, async (node) => {
    const oldSize = node.size();
    const size = newSize(request, oldSize);
    if (size <= oldSize && request.preallocation !== 'off') {
      throw new BlockError('invalid-argument', 'Preallocation can only be used for growing images');
    }
    if (size < oldSize && !request.shrink) {
      throw new BlockError('invalid-argument', 'Shrinking has to be asked for', { hint: { about: 'shrink' } });
    }
    await node.truncate(size, request.preallocation);
    await node.flush();
    return { filename: request.image.filename, format: node.format, oldSize, size: node.size() };
  });
}

function newSize(request: ResizeRequest, oldSize: number): number {
  const { size, relative } = request;
  const total = relative === '' ? size : relative === '+' ? oldSize + size : oldSize - size;
  if (!(total > 0 && total <= MAX_SIZE)) throw new BlockError('invalid-argument', 'New image size must be positive');
  if (total > MAX_DISK)
    throw new BlockError('too-large', `offset(${BigInt(total)}) exceeds maximum(${BigInt(MAX_DISK)})`);
  return total;
}
