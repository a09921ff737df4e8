/** Streams that come in: what is in them, told by their beginnings. */
import { PeekableStream } from '../../base/byteStream.ts';
import { unsupported } from '../../base/error.ts';
import type { CodecPort } from '../../codec/codec.ts';
import { compressionOf } from '../../codec/fileMagic.ts';
import { PROBE_SIZE } from './registry.ts';

/** Compressed twice is all that happens. */
const DEPTH = 2;

/**
 * A stream decoded as often as it is compressed.
 * @param expand false: it is taken as it is.
 */
export async function expandPiped(codec: CodecPort, stream: PeekableStream, expand: boolean): Promise<PeekableStream> {
  let result = stream;
  for (let depth = expand ? 0 : DEPTH; depth < DEPTH; depth++) {
    const method = compressionOf(await result.peek(PROBE_SIZE));
    if (method === undefined) break;
    if (!codec.expand) throw unsupported(`Streams compressed with ${method} cannot be read here`);
    result = new PeekableStream(await codec.expand(method, result), 65536);
  }
  return result;
}
