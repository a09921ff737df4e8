/** zstd files frame by frame, for decoders that take whole frames: each has to fit into memory. */
import { type ByteStream, PeekableStream } from '../../base/byteStream.ts';
import { unsupported } from '../../base/error.ts';
import type { CodecPort } from '../../codec/codec.ts';
import { damaged } from '../../codec/damaged.ts';
import { isZstdFrame, zstdFrame } from '../../codec/zstdFrame.ts';

/** Longest frame, compressed and not. */
const LONGEST = 32 * 1024 * 1024;

class Frames implements ByteStream {
  readonly #codec: Pick<CodecPort, 'decompress'>;
  readonly #input: PeekableStream;
  #held: Uint8Array = new Uint8Array(0);
  #any = false;

  constructor(codec: Pick<CodecPort, 'decompress'>, input: ByteStream) {
    this.#codec = codec;
    this.#input = new PeekableStream(input, LONGEST);
  }

  async read(into: Uint8Array): Promise<number> {
    while (this.#held.length === 0) if (!(await this.#next())) return 0;
    const count = Math.min(into.length, this.#held.length);
    into.set(this.#held.subarray(0, count));
    this.#held = this.#held.subarray(count);
    return count;
  }

  async #next(): Promise<boolean> {
    const bytes = await this.#input.peek(LONGEST);
    if (bytes.length === 0 && this.#any) return false;
    if (!isZstdFrame(bytes))
      throw damaged('zstd', this.#any ? 'something else follows the frame' : 'there is no frame');
    this.#any = true;
    let frame: ReturnType<typeof zstdFrame>;
    try {
      frame = zstdFrame(bytes);
    } catch (error) {
      if (bytes.length === LONGEST) throw tooLong();
      throw error;
    }
    if (!frame.skippable) {
      const room = Math.min(frame.maxContent, frame.contentSize ?? frame.maxContent);
      if (room > 2 * LONGEST) throw tooLong();
      const output = new Uint8Array(room);
      const length = await this.#codec.decompress({ method: 'zstd' }, bytes.subarray(0, frame.length), output);
      this.#held = output.subarray(0, length);
    }
    this.#input.skip(frame.length);
    return true;
  }

  async close(): Promise<void> {
    await this.#input.close();
  }
}

function tooLong(): Error {
  return unsupported('zstd frames of more than 32 MiB need libzstd.so.1, or Node 22.15 or newer');
}

/** Decodes a zstd file. */
export function expandZstd(codec: Pick<CodecPort, 'decompress'>, input: ByteStream): ByteStream {
  return new Frames(codec, input);
}
