import { BlockError } from '../base/error.ts';

/**
 * The error for compressed data that cannot be decoded.
 * @param method name of the compression.
 * @param what what is wrong with the stream.
 */
export function damaged(method: string, what: string, cause?: unknown): BlockError {
  return new BlockError('io', `${method} data is damaged: ${what}`, {
    context: { access: 'decompress' },
    ...(cause === undefined ? {} : { cause }),
  });
}
