/**
 * Long zstd and xz streams by the libraries of the system (`libzstd.so.1`, `liblzma.so.5`), on another thread where there may
 * be one: several times as fast as WebAssembly, and what is decoded next is ready when the last piece is written. Functions and
 * structures of their stable interfaces only ("zstd.h", "lzma/base.h").
 */
import { type ByteStream, readFully } from '../../base/byteStream.ts';
import { BlockError } from '../../base/error.ts';
import { damaged } from '../../codec/damaged.ts';
import { addressOf, nativeLibrary } from './ffi.ts';
import { mayUseThreads } from './limits.ts';
import type { NativeArgument, NativeFunction, NativePointer } from './native.ts';

/** Compressed bytes that are read at a time. */
const CHUNK = 1048576;
/** Memory that the decoder of one xz stream may take. */
const XZ_MEMORY = 128 * 1024 * 1024;

/** What one call has done. */
interface Step {
  readonly taken: number;
  readonly given: number;
  /** What was taken ends a frame or stream. */
  readonly complete: boolean;
}

/** A decoder with its state in memory outside the heap. */
interface Engine {
  /** @param last no input follows. @throws BlockError for damaged data. */
  step(input: Uint8Array, into: Uint8Array, last: boolean): Promise<Step>;
  close(): void;
}

/** Calls a function on another thread, where that may be. */
function call(run: NativeFunction, ...parameters: NativeArgument[]): Promise<number | bigint> {
  return new Promise((resolve, reject) => {
    if (!mayUseThreads()) setImmediate(() => resolve(run(...parameters)));
    else
      run.async(...parameters, (error, result) =>
        error === null || error === undefined ? resolve(result) : reject(error),
      );
  });
}

/** A structure of 64-bit words at a place that does not change. */
function words(count: number): { readonly words: BigUint64Array; readonly bytes: Uint8Array } {
  // Short arrays without a buffer of their own move about.
  const buffer = new ArrayBuffer(Math.max(count * 8, 256));
  return { words: new BigUint64Array(buffer, 0, count), bytes: new Uint8Array(buffer) };
}

/** `ZSTD_ErrorCode` ("zstd_errors.h"). */
const ZSTD_ERRORS: Readonly<Record<number, string>> = {
  10: 'something else follows the frame',
  12: 'its version is not known',
  14: 'a parameter is not known',
  16: 'it needs more than 128 MiB of memory',
  20: 'the content is wrong',
  22: 'the checksum is wrong',
  32: 'it needs a dictionary',
};

function zstdEngine(): Engine | undefined {
  const library = nativeLibrary('libzstd.so.1');
  if (!library) return undefined;
  const run = library.func('size_t ZSTD_decompressStream(void *context, void *output, void *input)');
  const free = library.func('size_t ZSTD_freeDCtx(void *context)');
  const context = library.func('void *ZSTD_createDCtx()')() as unknown as NativePointer | null;
  if (!context) return undefined;
  // `ZSTD_inBuffer`, `ZSTD_outBuffer`: address, size, position
  const from = words(3);
  const to = words(3);
  return {
    async step(input, into) {
      from.words.set([input.length > 0 ? addressOf(input) : 0n, BigInt(input.length), 0n]);
      to.words.set([addressOf(into), BigInt(into.length), 0n]);
      const result = BigInt(await call(run, context, to.bytes, from.bytes));
      // Errors are negative numbers without their sign.
      const left = BigInt.asIntN(64, result);
      if (left < 0n) throw damaged('zstd', ZSTD_ERRORS[Number(-left)] ?? 'the content is wrong');
      return { taken: Number(from.words[2]), given: Number(to.words[2]), complete: left === 0n };
    },
    close: () => void free(context),
  };
}

/** `lzma_ret` */
const LZMA_STREAM_END = 1;
const LZMA_BUF_ERROR = 10;
const LZMA_ERRORS: Readonly<Record<number, string>> = {
  5: 'there is not enough memory',
  6: 'it needs more than 128 MiB of memory',
  7: 'something else follows the stream',
  8: 'it needs a filter that is not known',
  9: 'the content or a checksum is wrong',
};
const LZMA_CONCATENATED = 8;
/** `lzma_action` */
const LZMA_RUN = 0;
const LZMA_FINISH = 3;

function xzEngine(): Engine | undefined {
  const library = nativeLibrary('liblzma.so.5');
  if (!library) return undefined;
  const run = library.func('int lzma_code(void *stream, int action)');
  const end = library.func('void lzma_end(void *stream)');
  // `lzma_stream`: input (address, size, total), output, and what is the library's own
  const { words: stream, bytes } = words(17);
  const begin = library.func('int lzma_stream_decoder(void *stream, uint64 memory, uint flags)');
  if (Number(begin(bytes, XZ_MEMORY, LZMA_CONCATENATED)) !== 0) return undefined;
  return {
    async step(input, into, last) {
      stream[0] = input.length > 0 ? addressOf(input) : 0n;
      stream[1] = BigInt(input.length);
      stream[3] = addressOf(into);
      stream[4] = BigInt(into.length);
      const status = Number(await call(run, bytes, last ? LZMA_FINISH : LZMA_RUN));
      const given = into.length - Number(stream[4]);
      const isStuck = status === LZMA_BUF_ERROR;
      if (status > LZMA_STREAM_END && !isStuck) throw damaged('xz', LZMA_ERRORS[status] ?? `error ${status}`);
      return { taken: input.length - Number(stream[1]), given, complete: status === LZMA_STREAM_END };
    },
    close: () => void end(bytes),
  };
}

/** Decodes with an engine, as long as there is input. */
class NativeStream implements ByteStream {
  readonly #engine: Engine;
  readonly #method: string;
  readonly #input: ByteStream;
  readonly #chunk: Uint8Array = new Uint8Array(new ArrayBuffer(CHUNK));
  #pending: Uint8Array = new Uint8Array(0);
  #inputEnded = false;
  #complete = true;
  #any = false;
  #ended = false;
  /** A call on another thread that uses the memory. */
  #busy: Promise<unknown> = Promise.resolve();

  constructor(engine: Engine, method: string, input: ByteStream) {
    this.#engine = engine;
    this.#method = method;
    this.#input = input;
  }

  read(into: Uint8Array): Promise<number> {
    const reading = this.#read(into);
    this.#busy = reading.catch(() => undefined);
    return reading;
  }

  async #read(into: Uint8Array): Promise<number> {
    while (!this.#ended) {
      if (this.#pending.length === 0 && !this.#inputEnded) {
        const count = await readFully(this.#input, this.#chunk);
        this.#pending = this.#chunk.subarray(0, count);
        this.#inputEnded = count === 0;
        this.#any ||= count > 0;
      }
      if (this.#inputEnded && this.#method === 'zstd' && this.#complete) break;
      const { taken, given, complete } = await this.#engine.step(this.#pending, into, this.#inputEnded);
      this.#pending = this.#pending.subarray(taken);
      this.#complete = complete;
      if (given > 0) return given;
      if (complete && this.#inputEnded) break;
      if (this.#inputEnded && taken === 0) throw damaged(this.#method, 'the file is cut off');
    }
    if (!this.#any) throw damaged(this.#method, 'there is no stream');
    this.#ended = true;
    return 0;
  }

  async close(): Promise<void> {
    this.#ended = true;
    await this.#busy;
    this.#busy = Promise.resolve();
    if (!this.#closed) this.#engine.close();
    this.#closed = true;
    await this.#input.close();
  }

  #closed = false;
}

/** Decodes by a library of the system; undefined where there is none. */
export function expandNatively(method: 'zstd' | 'xz', input: ByteStream): ByteStream | undefined {
  let engine: Engine | undefined;
  try {
    engine = method === 'zstd' ? zstdEngine() : xzEngine();
  } catch (error) {
    if (error instanceof BlockError) throw error;
    // Not installed, or without one of the functions.
    return undefined;
  }
  return engine && new NativeStream(engine, method, input);
}
