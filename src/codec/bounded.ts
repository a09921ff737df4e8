/** A codec that gives so much and no more. */
import { BlockError, unsupported } from '../base/error.ts';
import type { CodecPort } from './codec.ts';

/**
 * The codec, with a limit on what it decompresses.
 * @param most bytes in all. Beyond that decompressing throws kind `limit`.
 */
export function boundedCodec(codec: CodecPort, most: number): CodecPort {
  if (most === Number.POSITIVE_INFINITY) return codec;
  let bytes = 0;
  const spend = (length: number): void => {
    bytes += length;
    if (bytes <= most) return;
    const text = `Compressed data expands to more than ${most} bytes`;
    throw new BlockError('limit', text, { posix: { code: 'EFBIG', text } });
  };
  return {
    decompress(how, input, into) {
      spend(into.length);
      return codec.decompress(how, input, into);
    },
    async decompressBatch(how, pieces) {
      spend(pieces.reduce((sum, { output }) => sum + output.length, 0));
      return codec.decompressBatch(how, pieces);
    },
    compressBatch: (how, input, unit, limit) => codec.compressBatch(how, input, unit, limit),
    async expand(method, input) {
      if (!codec.expand) throw unsupported(`What is compressed with ${method} cannot be read here`);
      const stream = await codec.expand(method, input);
      return {
        async read(into) {
          const count = await stream.read(into);
          spend(count);
          return count;
        },
        close: () => stream.close(),
      };
    },
  };
}
