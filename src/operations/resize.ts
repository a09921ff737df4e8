/** `resize`: changes the guest size of an image. */
import { BlockError, invalidArgument } from '../base/error.ts';
import { MAX_DISK, MAX_SIZE } from '../base/offset.ts';
import type { OperationContext } from './context.ts';
import type { ResizeRequest, SizeInput } from './requests.ts';
import { bytesOf, imageName, oneOf } from './shorthand.ts';
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
  const { image, shrink = false, preallocation = 'off' } = request;
  oneOf('preallocation', preallocation, ['off', 'metadata', 'falloc', 'full']);
  const change = changeOf(request.size);
  return withSource(context, image, { writable: true, resize: true }, async (node) => {
    const oldSize = node.size();
    const size = newSize(change, oldSize);
    if (size <= oldSize && preallocation !== 'off') {
      throw invalidArgument('Preallocation can only be used for growing images');
    }
    if (size < oldSize && !shrink) {
      throw invalidArgument('Shrinking has to be asked for', { hint: { about: 'shrink' } });
    }
    await node.truncate(size, preallocation);
    await node.settle();
    return { filename: imageName(image), format: node.format, oldSize, size: node.size() };
  });
}

/** A size, or how much to add to the old one or to take away from it. */
interface SizeChange {
  readonly sign: '' | '+' | '-';
  readonly bytes: number;
}

function changeOf(size: SizeInput): SizeChange {
  if (typeof size !== 'string') return { sign: '', bytes: bytesOf(size) };
  const sign = size.startsWith('+') ? '+' : size.startsWith('-') ? '-' : '';
  return { sign, bytes: bytesOf(size.slice(sign.length)) };
}

function newSize({ sign, bytes }: SizeChange, oldSize: number): number {
  const total = sign === '' ? bytes : sign === '+' ? oldSize + bytes : oldSize - bytes;
  if (!(total > 0 && total <= MAX_SIZE)) throw invalidArgument('New image size must be positive');
  if (total > MAX_DISK)
    throw new BlockError('too-large', `offset(${BigInt(total)}) exceeds maximum(${BigInt(MAX_DISK)})`);
  return total;
}
