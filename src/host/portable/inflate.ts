/** Long deflate streams, raw and in gzip files, over pako. */
import {
  Z_BUF_ERROR,
  Z_NO_FLUSH,
  Z_OK,
  Z_STREAM_END,
  zlibInflate,
  zlibInflateInit2,
  zlibInflateReset,
  ZStream,
} from 'pako';
import type { ByteStream } from '../../base/byteStream.ts';
import { damaged } from '../../codec/damaged.ts';

const CHUNK = 65536;
const MAX_WINDOW = 15;
/** Added to the window for a gzip header. */
const GZIP = 16;

class Inflating implements ByteStream {
  readonly #input: ByteStream;
  readonly #members: boolean;
  readonly #stream: ZStream = new ZStream();
  readonly #chunk: Uint8Array<ArrayBuffer> = new Uint8Array(CHUNK);
  #any = false;
  #betweenMembers = false;
  #ended = false;

  constructor(input: ByteStream, members: boolean) {
    this.#input = input;
    this.#members = members;
    zlibInflateInit2(this.#stream, members ? MAX_WINDOW + GZIP : -MAX_WINDOW);
    this.#stream.avail_in = 0;
  }

  async read(into: Uint8Array): Promise<number> {
    while (!this.#ended) {
      const given = await this.#step(into);
      if (given > 0) return given;
    }
    return 0;
  }

  async #step(into: Uint8Array): Promise<number> {
    const stream = this.#stream;
    if (stream.avail_in === 0) {
      const count = await this.#input.read(this.#chunk);
      if (count === 0) {
        if (!this.#betweenMembers || !this.#any)
          throw damaged(this.#members ? 'gzip' : 'deflate', 'the file is cut off');
        this.#ended = true;
        return 0;
      }
      this.#any = true;
      stream.input = this.#chunk;
      stream.next_in = 0;
      stream.avail_in = count;
    }
    if (this.#betweenMembers) {
      // As gzip has it, zeroes fill up, and other things are not for it.
      if (stream.input[stream.next_in] !== 0x1f) {
        this.#ended = true;
        return 0;
      }
      zlibInflateReset(stream);
      this.#betweenMembers = false;
    }
    stream.output = into as Uint8Array<ArrayBuffer>;
    stream.next_out = 0;
    stream.avail_out = into.length;
    const status = zlibInflate(stream, Z_NO_FLUSH);
    if (status === Z_STREAM_END) {
      this.#betweenMembers = this.#members;
      this.#ended = !this.#members;
    } else if (status !== Z_OK && status !== Z_BUF_ERROR) {
      throw damaged(this.#members ? 'gzip' : 'deflate', stream.msg || 'the content is wrong');
    }
    return stream.next_out;
  }

  async close(): Promise<void> {
    this.#ended = true;
    await this.#input.close();
  }
}

/** Decodes a gzip file, or one raw stream. */
export function expandDeflate(method: 'gzip' | 'deflate-raw', input: ByteStream): ByteStream {
  return new Inflating(input, method === 'gzip');
}
