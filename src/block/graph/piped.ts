/** Streams that come in: what is in them, told by their beginnings. */
import { boundedStream, type ByteStream, PeekableStream } from '../../base/byteStream.ts';
import { BlockError, unsupported } from '../../base/error.ts';
import type { FileCompression } from '../../codec/codec.ts';
import { compressionOf } from '../../codec/fileMagic.ts';
import type { Services } from '../services.ts';
import { PROBE_SIZE } from './registry.ts';

/** Compressed twice is all that happens. */
const DEPTH = 2;

/** What decoding takes. */
type Coding = Pick<Services, 'codec' | 'limits'>;

/**
 * Decodes a stream.
 * @throws BlockError kind `unsupported` where the host cannot; reading it, kind `limit` if there is more in it than one may get.
 */
export async function expandBelow(services: Coding, method: FileCompression, input: ByteStream): Promise<ByteStream> {
  const { codec, limits } = services;
  if (!codec.expand) throw unsupported(`What is compressed with ${method} cannot be read here`);
  const most = limits.decompressedBytes;
  const message = `More than ${most} bytes come out of the ${method} data, which is the limit`;
  return boundedStream(
    await codec.expand(method, input),
    most,
    () => new BlockError('limit', message, { posix: { code: 'EFBIG', text: message } }),
  );
}

/**
 * A stream decoded as often as it is compressed.
 * @param expand false: it is taken as it is.
 */
export async function expandPiped(services: Coding, stream: PeekableStream, expand: boolean): Promise<PeekableStream> {
  let result = stream;
  for (let depth = expand ? 0 : DEPTH; depth < DEPTH; depth++) {
    const method = compressionOf(await result.peek(PROBE_SIZE));
    if (method === undefined) break;
    result = new PeekableStream(await expandBelow(services, method, result), 65536);
  }
  return result;
}
