/**
 * Deflate in both directions over pako, which is zlib in JavaScript. Of the libraries without a platform it is the one
 * that can keep to a window: what reads qcow2 clusters has 4 KiB of it.
 */
import {
  type Z_CallStatus,
  Z_DEFAULT_STRATEGY,
  Z_FINISH,
  Z_OK,
  Z_STREAM_END,
  zlibDeflate,
  zlibDeflateInit2,
  zlibDeflateReset,
  zlibInflate,
  zlibInflateInit2,
  zlibInflateReset,
  ZStream,
} from 'pako';
import { BlockError } from '../../base/error.ts';
import type { Compression, Decoder, Decompression, Encoder } from '../../codec/codec.ts';
import { damaged } from '../../codec/damaged.ts';
import { deflateBound } from '../shared/coders.ts';

/** zlib's number of the only method that there is. */
const Z_DEFLATED = 8;

/** zlib takes the number of a window without a wrapper as negative. */
function windowOf({ method, windowBits = 15 }: Compression | Decompression): number {
  return method === 'deflate-raw' ? -windowBits : windowBits;
}

function begin(stream: ZStream, status: Z_CallStatus): ZStream {
  if (status !== Z_OK) throw new BlockError('internal', `deflate cannot begin: ${stream.msg || status}`);
  return stream;
}

function setMemory(stream: ZStream, input: Uint8Array, output: Uint8Array): void {
  stream.input = input;
  stream.next_in = 0;
  stream.avail_in = input.length;
  // The library only asks for memory of a page so that what it makes itself has that type.
  stream.output = output as Uint8Array<ArrayBuffer>;
  stream.next_out = 0;
  stream.avail_out = output.length;
}

/** A decoder of deflate data, raw or with the zlib wrapper. */
export function inflater(how: Decompression): Decoder {
  const stream = new ZStream();
  begin(stream, zlibInflateInit2(stream, windowOf(how)));
  return (input, into) => {
    if (into.length === 0) return 0;
    zlibInflateReset(stream);
    setMemory(stream, input, into);
    const status = zlibInflate(stream, Z_FINISH);
    if (status !== Z_STREAM_END && stream.avail_out > 0) throw damaged('deflate', stream.msg || 'unexpected end');
    return stream.next_out;
  };
}

/** An encoder to deflate data, raw or with the zlib wrapper. */
export function deflater(how: Compression): Encoder {
  const stream = new ZStream();
  const { level = 6, memLevel = 8 } = how;
  const status = zlibDeflateInit2(stream, level, Z_DEFLATED, windowOf(how), memLevel, Z_DEFAULT_STRATEGY);
  begin(stream, status);
  let scratch = new Uint8Array(0);
  return (input, limit) => {
    const room = Math.min(limit, deflateBound(input.length));
    if (room <= 0) return undefined;
    if (scratch.length < room) scratch = new Uint8Array(room);
    zlibDeflateReset(stream);
    setMemory(stream, input, scratch.subarray(0, room));
    const done = zlibDeflate(stream, Z_FINISH) === Z_STREAM_END;
    return done && stream.next_out < limit ? scratch.subarray(0, stream.next_out) : undefined;
  };
}
