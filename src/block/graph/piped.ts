/** Streams that come in: what is in them, told by their beginnings. */
import { PeekableStream } from '../../base/byteStream.ts';
import { unsupported } from '../../base/error.ts';
import type { CodecPort, FileCompression } from '../../codec/codec.ts';
import { isBzip2File, isGzipFile, isXzFile, isZstdFile } from './notRaw.ts';
import { PROBE_SIZE } from './registry.ts';

/** Compressed twice is all that happens. */
const DEPTH = 2;
const METHODS: readonly (readonly [FileCompression, (head: Uint8Array) => boolean])[] = [
  ['gzip', isGzipFile],
  ['xz', isXzFile],
  ['zstd', isZstdFile],
  ['bzip2', isBzip2File],
];

/**
 * A stream decoded as often as it is compressed.
 * @param expand false: it is taken as it is.
 */
export async function expandPiped(codec: CodecPort, stream: PeekableStream, expand: boolean): Promise<PeekableStream> {
  let result = stream;
  for (let depth = 0; expand && depth < DEPTH; depth++) {
    const head = await result.peek(PROBE_SIZE);
    const method = METHODS.find(([, isOne]) => isOne(head))?.[0];
    if (method === undefined) break;
    if (!codec.expand) throw unsupported(`Streams compressed with ${method} cannot be read here`);
    result = new PeekableStream(await codec.expand(method, result), 65536);
  }
  return result;
}
