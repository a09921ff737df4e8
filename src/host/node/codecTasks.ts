/** What worker threads do for codecs: many small streams in one message. */
import type { MaybePromise } from '../../base/async.ts';
import { isPromise } from '../../base/async.ts';
import type { Compression, Decompression } from '../../codec/codec.ts';
import type { Task } from './task.ts';
import type { LateDecoder } from './xzCodec.ts';
import { type Decoder, deflater, type Encoder, inflater } from './zlibCodec.ts';

/** Units of one array to compress. */
export interface CompressArgument {
  readonly how: Compression;
  readonly input: Uint8Array;
  /** Bytes per unit; the last one may be shorter. */
  readonly unit: number;
  readonly limit: number;
}
/** The streams one after the other. */
export interface CompressResult {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Length of each stream, -1 for a unit that does not get shorter than the limit. */
  readonly lengths: readonly number[];
}
/** Streams to decode. */
export interface DecompressArgument {
  readonly how: Decompression;
  readonly inputs: readonly Uint8Array[];
  /** Where to put the output, or how many bytes of it are wanted in the result. */
  readonly outputs: readonly (Uint8Array | number)[];
}
/** Outcome of decoding. */
export interface DecompressResult {
  /** Number of bytes of each stream. */
  readonly lengths: readonly number[];
  /** Outputs that were asked for by size, one after the other, each with the size asked for. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Compresses units. */
export type CompressTask = Task<CompressArgument, CompressResult>;
/** Decodes streams. */
export type DecompressTask = Task<DecompressArgument, DecompressResult>;

const encoders = new Map<string, MaybePromise<Encoder>>();
const decoders = new Map<string, MaybePromise<Decoder | LateDecoder>>();

/** Keeps what `make` returns for later calls; a promise is replaced by its value. */
function kept<T>(cache: Map<string, MaybePromise<T>>, key: string, make: () => MaybePromise<T>): MaybePromise<T> {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const made = make();
  cache.set(key, made);
  if (isPromise(made)) {
    made.then(
      (value) => cache.set(key, value),
      () => cache.delete(key),
    );
  }
  return made;
}

/** The encoder for `how`; the same one for the same settings. */
export function encoderFor(how: Compression): MaybePromise<Encoder> {
  const key = `${how.method},${how.level},${how.windowBits},${how.memLevel}`;
  return kept(encoders, key, () =>
    how.method === 'zstd' ? import('./zstdCodec.ts').then((module) => module.zstdEncoder(how)) : deflater(how),
  );
}

/** The decoder for `how`; the same one for the same settings. */
export function decoderFor(how: Decompression): MaybePromise<Decoder | LateDecoder> {
  return kept(decoders, `${how.method},${how.windowBits}`, () => makeDecoder(how));
}

function makeDecoder(how: Decompression): MaybePromise<Decoder | LateDecoder> {
  switch (how.method) {
    case 'deflate-raw':
    case 'zlib':
      return inflater(how);
    case 'zstd':
      return import('./zstdCodec.ts').then((module) => module.zstdDecoder());
    case 'bzip2':
      return import('../../codec/bzip2.ts').then((module) => module.decodeBzip2);
    case 'lzfse':
      return import('../../codec/lzfse.ts').then((module) => module.decodeLzfse);
    case 'adc':
      return import('../../codec/adc.ts').then((module) => module.decodeAdc);
    case 'xz':
      return import('./xzCodec.ts').then((module) => module.xzDecoder());
  }
}

/** {@link CompressTask} */
export const compressTask: CompressTask = {
  async run({ how, input, unit, limit }) {
    const encode = await encoderFor(how);
    // All that can come out, plus the byte that tells the encoder it was too much.
    let bytes = new Uint8Array(Math.min(input.length, 65536) + 1024);
    const lengths: number[] = [];
    let used = 0;
    for (let at = 0; at < input.length; at += unit) {
      const stream = encode(input.subarray(at, at + unit), limit);
      lengths.push(stream?.length ?? -1);
      if (!stream) continue;
      if (used + stream.length > bytes.length) {
        const larger = new Uint8Array(Math.max(bytes.length * 2, used + stream.length));
        larger.set(bytes.subarray(0, used));
        bytes = larger;
      }
      bytes.set(stream, used);
      used += stream.length;
    }
    return { bytes: bytes.subarray(0, used), lengths };
  },
  transfer: (result) => [result.bytes.buffer],
};

/** {@link DecompressTask} */
export const decompressTask: DecompressTask = {
  async run({ how, inputs, outputs }) {
    const decode = await decoderFor(how);
    let size = 0;
    for (const output of outputs) if (typeof output === 'number') size += output;
    const bytes = new Uint8Array(size);
    const lengths: number[] = [];
    let used = 0;
    for (const [i, output] of outputs.entries()) {
      const input = inputs[i] as Uint8Array;
      if (typeof output === 'number') {
        lengths.push(await decode(input, bytes.subarray(used, used + output)));
        used += output;
      } else {
        lengths.push(await decode(input, output));
      }
    }
    return { bytes, lengths };
  },
  transfer: (result) => [result.bytes.buffer],
};
