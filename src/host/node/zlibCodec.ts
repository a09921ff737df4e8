/** Deflate in both directions over `node:zlib`. */
import type * as Zlib from 'node:zlib';
import { asBlockError } from '../../base/error.ts';
import type { Compression, Decoder, Decompression, Encoder } from '../../codec/codec.ts';
import { damaged } from '../../codec/damaged.ts';
import { deflateBound } from '../shared/coders.ts';
import { ReusedStream, selfTest, zlib } from './zlibHandle.ts';

const Z_FINISH = 4;
/** A decoder that cannot stop early gets at most this much room beyond what was asked for. */
const OVERRUN = 64 * 1024 * 1024;

let usable: boolean | undefined;

function internalsWork(): boolean {
  usable ??= selfTest(
    () => zlib().createDeflateRaw(),
    () => zlib().createInflateRaw(),
    Z_FINISH,
  );
  return usable;
}

function inflateError(message: string, cause?: unknown): Error {
  return damaged('deflate', message, cause);
}

/** A decoder of deflate data, raw or with the zlib wrapper. */
export function inflater(how: Decompression, internals: boolean = internalsWork()): Decoder {
  const raw = how.method === 'deflate-raw';
  const options = { windowBits: how.windowBits ?? 15 };
  if (!internals) return (input, into) => inflateWhole(raw, options, input, into);
  const engine = new ReusedStream(
    () => (raw ? zlib().createInflateRaw(options) : zlib().createInflate(options)),
    Z_FINISH,
  );
  return (input, into) => {
    if (into.length === 0) return 0;
    const produced = engine.run(input, into, into.length);
    if (typeof produced === 'string') throw inflateError(produced);
    return produced;
  };
}

function inflateWhole(raw: boolean, options: Zlib.ZlibOptions, input: Uint8Array, into: Uint8Array): number {
  const bounded = { ...options, maxOutputLength: into.length + OVERRUN, chunkSize: Math.max(64, into.length) };
  let output: Uint8Array;
  try {
    output = raw ? zlib().inflateRawSync(input, bounded) : zlib().inflateSync(input, bounded);
  } catch (error) {
    throw inflateError(asBlockError(error).message, error);
  }
  const length = Math.min(output.length, into.length);
  into.set(output.subarray(0, length));
  return length;
}

/** An encoder to deflate data, raw or with the zlib wrapper. */
export function deflater(how: Compression, internals: boolean = internalsWork()): Encoder {
  const raw = how.method === 'deflate-raw';
  const options = { level: how.level ?? 6, windowBits: how.windowBits ?? 15, memLevel: how.memLevel ?? 8 };
  if (!internals) {
    return (input, limit) => {
      const output = raw ? zlib().deflateRawSync(input, options) : zlib().deflateSync(input, options);
      return output.length < limit ? output : undefined;
    };
  }
  const engine = new ReusedStream(
    () => (raw ? zlib().createDeflateRaw(options) : zlib().createDeflate(options)),
    Z_FINISH,
  );
  let scratch = new Uint8Array(0);
  return (input, limit) => {
    const room = Math.min(limit, deflateBound(input.length));
    if (room <= 0) return undefined;
    if (scratch.length < room) scratch = new Uint8Array(room);
    const produced = engine.run(input, scratch, room);
    if (typeof produced === 'string') throw new Error(`deflate failed: ${produced}`);
    // A stream that fills its room to the last byte may not be complete, and is too long in any case.
    return produced < room ? scratch.subarray(0, produced) : undefined;
  };
}
