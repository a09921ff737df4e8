/** Compressed files decoded in order: by `node:zlib` and the libraries of the system, else in WebAssembly. */
import { createRequire } from 'node:module';
import type * as Stream from 'node:stream';
import { asBlockError } from '../../base/error.ts';
import type { ByteStream } from '../../base/byteStream.ts';
import type { CodecPort, FileCompression } from '../../codec/codec.ts';
import { damaged } from '../../codec/damaged.ts';
import { expandBzip2, expandXz } from '../shared/expand.ts';
import { expandNatively } from './expandNative.ts';
import { mayUseThreads, needWebAssembly } from './limits.ts';
import { zlib } from './zlibHandle.ts';

/** Decoded bytes that are made at a time. */
const PIECE = 262144;
/** Compressed bytes that are read at a time. */
const CHUNK = 131072;
/** Compressed bytes that are decoded at a time where there are no threads: they may become a thousand times as many. */
const SMALL_CHUNK = 16384;

const Z_NO_FLUSH = 0;
const Z_FINISH = 4;

/** A stream of `node:zlib`. */
type Coder = Stream.Transform;

/** Decodes what can be decoded of a piece; undefined where a stream has no such function. */
function decodeNow(coder: Coder): ((chunk: Uint8Array, flush: number) => Uint8Array) | undefined {
  const run: unknown = Reflect.get(coder, '_processChunk');
  return typeof run === 'function'
    ? (chunk, flush) => Reflect.apply(run, coder, [chunk, flush]) as Uint8Array
    : undefined;
}

function coderOf(method: FileCompression): Coder | undefined {
  if (method === 'gzip') return zlib().createGunzip({ chunkSize: PIECE });
  if (method === 'deflate-raw') return zlib().createInflateRaw({ chunkSize: PIECE });
  const own = zlib() as { createZstdDecompress?(how: { chunkSize: number }): Coder };
  return method === 'zstd' ? own.createZstdDecompress?.({ chunkSize: PIECE }) : undefined;
}

const WORDS: Readonly<Record<string, string>> = {
  'unexpected end of file': 'the file is cut off',
  'incorrect data check': 'the checksum is wrong',
  'incorrect length check': 'the length is wrong',
  'incorrect header check': 'something else follows the stream',
};

function wrong(method: FileCompression, thrown: unknown): Error {
  const error = asBlockError(thrown);
  // What fails below is not the data's fault.
  if (thrown === error) return error;
  return damaged(method === 'deflate-raw' ? 'deflate' : method, WORDS[error.message] ?? error.message, thrown);
}

async function* chunksOf(input: ByteStream): AsyncGenerator<Uint8Array> {
  for (;;) {
    const chunk = new Uint8Array(CHUNK);
    const count = await input.read(chunk);
    if (count === 0) return;
    yield chunk.subarray(0, count);
  }
}

/** Pieces of decoded bytes as a stream. */
abstract class Pieces implements ByteStream {
  #held: Uint8Array = new Uint8Array(0);

  /** The next piece; undefined at the end. */
  protected abstract next(): Promise<Uint8Array | undefined>;

  async read(into: Uint8Array): Promise<number> {
    while (this.#held.length === 0) {
      const piece = await this.next();
      if (!piece) return 0;
      this.#held = piece;
    }
    const count = Math.min(into.length, this.#held.length);
    into.set(this.#held.subarray(0, count));
    this.#held = this.#held.subarray(count);
    return count;
  }

  abstract close(): Promise<void>;
}

/** Decodes on another thread. */
class Threaded extends Pieces {
  readonly #method: FileCompression;
  readonly #input: ByteStream;
  readonly #coder: Coder;
  readonly #pieces: AsyncIterator<Uint8Array, undefined>;

  constructor(method: FileCompression, input: ByteStream, coder: Coder) {
    super();
    this.#method = method;
    this.#input = input;
    this.#coder = coder;
    const { Readable, pipeline } = createRequire(import.meta.url)('node:stream') as typeof Stream;
    // Failures come out of the iterator.
    pipeline(Readable.from(chunksOf(input), { objectMode: false, highWaterMark: 2 * CHUNK }), coder, () => undefined);
    this.#pieces = coder[Symbol.asyncIterator]() as AsyncIterator<Uint8Array, undefined>;
  }

  protected async next(): Promise<Uint8Array | undefined> {
    try {
      return (await this.#pieces.next()).value;
    } catch (thrown) {
      throw wrong(this.#method, thrown);
    }
  }

  async close(): Promise<void> {
    this.#coder.destroy();
    await this.#input.close();
  }
}

/** Decodes on this thread. */
class Here extends Pieces {
  readonly #method: FileCompression;
  readonly #input: ByteStream;
  readonly #coder: Coder;
  readonly #chunk: Uint8Array = new Uint8Array(SMALL_CHUNK);
  readonly #decode: (chunk: Uint8Array, flush: number) => Uint8Array;
  #ended = false;

  constructor(
    method: FileCompression,
    input: ByteStream,
    coder: Coder,
    decode: (chunk: Uint8Array, flush: number) => Uint8Array,
  ) {
    super();
    this.#method = method;
    this.#decode = decode;
    this.#input = input;
    this.#coder = coder;
    // What is thrown is told a second time there.
    coder.on('error', () => undefined);
  }

  protected async next(): Promise<Uint8Array | undefined> {
    if (this.#ended) return undefined;
    const count = await this.#input.read(this.#chunk);
    this.#ended = count === 0;
    try {
      return this.#decode(this.#chunk.subarray(0, count), this.#ended ? Z_FINISH : Z_NO_FLUSH);
    } catch (thrown) {
      throw wrong(this.#method, thrown);
    }
  }

  async close(): Promise<void> {
    this.#ended = true;
    this.#coder.destroy();
    await this.#input.close();
  }
}

/** Decodes a compressed file; see `CodecPort.expand`. */
export async function expand(codec: CodecPort, method: FileCompression, input: ByteStream): Promise<ByteStream> {
  if (method === 'bzip2') return expandBzip2(codec, input);
  if (method === 'zstd' || method === 'xz') {
    const native = expandNatively(method, input);
    if (native) return native;
  }
  if (method === 'xz') {
    needWebAssembly('xz (without liblzma.so.5)');
    return expandXz(input);
  }
  const coder = coderOf(method);
  if (!coder) return (await import('../shared/expandZstd.ts')).expandZstd(codec, input);
  const decode = mayUseThreads() ? undefined : decodeNow(coder);
  return decode ? new Here(method, input, coder, decode) : new Threaded(method, input, coder);
}
