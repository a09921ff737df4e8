/** Compressed files decoded in order, as far as no platform is needed for it. */
import { asBlockError } from '../../base/error.ts';
import type { ByteStream } from '../../base/byteStream.ts';
import type { CodecPort } from '../../codec/codec.ts';
import { damaged } from '../../codec/damaged.ts';

/** Bytes of a compressed file that are read at a time. */
const CHUNK = 65536;

/** Decodes files of bzip2 streams, several blocks at a time. */
export async function expandBzip2(codec: Pick<CodecPort, 'decompressBatch'>, input: ByteStream): Promise<ByteStream> {
  const { Bzip2Stream } = await import('../../codec/bzip2Stream.ts');
  return new Bzip2Stream(input, (pieces) => codec.decompressBatch({ method: 'bzip2' }, pieces));
}

/** What the error codes of xz-embedded mean ("xz.h", `enum xz_ret`). */
const XZ_ERRORS: Readonly<Record<string, string>> = {
  5: 'there is no stream',
  6: 'it needs a filter or a check that this decoder does not have',
  7: 'the content or a checksum is wrong',
  8: 'the file is cut off',
};

/** Decodes files of xz streams in WebAssembly. */
export async function expandXz(input: ByteStream): Promise<ByteStream> {
  const loaded: typeof import('xz-decompress') & { readonly default?: typeof import('xz-decompress') } = await import(
    'xz-decompress'
  );
  const { XzReadableStream } = loaded.default ?? loaded;
  const stored = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = new Uint8Array(CHUNK);
        const count = await input.read(chunk);
        if (count === 0) controller.close();
        else controller.enqueue(chunk.subarray(0, count));
      },
    },
    { highWaterMark: 1 },
  );
  return new WebStream(new XzReadableStream(stored).getReader(), input, (thrown) => {
    const { message } = asBlockError(thrown);
    const [, code = ''] = /error code (\d+)/.exec(message) ?? [];
    return damaged('xz', XZ_ERRORS[code] ?? message, thrown);
  });
}

/** A stream of the web as one of ours. */
export class WebStream implements ByteStream {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #below: Pick<ByteStream, 'close'> | undefined;
  readonly #wrong: (thrown: unknown) => Error;
  #held: Uint8Array = new Uint8Array(0);
  #closed = false;

  /** @param below what the reader reads from, closed together with it. */
  constructor(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    below: Pick<ByteStream, 'close'> | undefined,
    wrong: (thrown: unknown) => Error,
  ) {
    this.#reader = reader;
    this.#below = below;
    this.#wrong = wrong;
  }

  async read(into: Uint8Array): Promise<number> {
    while (this.#held.length === 0) {
      const { done, value } = await this.#reader.read().catch((thrown: unknown) => {
        throw this.#wrong(thrown);
      });
      if (done) return 0;
      this.#held = value;
    }
    const count = Math.min(into.length, this.#held.length);
    into.set(this.#held.subarray(0, count));
    this.#held = this.#held.subarray(count);
    return count;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#reader.cancel().catch(() => undefined);
    await this.#below?.close();
  }
}
