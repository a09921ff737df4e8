/** What worker threads do for codecs: many small streams in one message. */
import type { Compression, Decompression } from '../../codec/codec.ts';
import { Coders } from '../shared/coders.ts';
import { needWebAssembly } from './limits.ts';
import type { Task } from './task.ts';
import { deflater, inflater } from './zlibCodec.ts';

/** Units of one array to compress. */
export interface CompressArgument {
  readonly how: Compression;
  readonly input: Uint8Array;
  /** Bytes per unit; the last one may be shorter. */
  readonly unit: number;
  readonly limit: number;
  /** Streams that are no longer than what they code take its place. */
  readonly mayOverwrite: boolean;
}
/** The streams that are not in the places of what they code. */
export interface CompressResult {
  /** One after the other. */
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

/** The coders of this thread. */
export const coders: Coders = new Coders({
  deflater,
  inflater,
  zstdEncoder: (how) => import('./zstdCodec.ts').then((module) => module.zstdEncoder(how)),
  zstdDecoder: () => import('./zstdCodec.ts').then((module) => module.zstdDecoder()),
  needWebAssembly,
});

/** True if a stream can take the place of the unit that it codes. @param left bytes of the input from the unit on. */
export function fits(length: number, left: number, unit: number): boolean {
  return length <= Math.min(left, unit);
}

/** {@link CompressTask} */
export const compressTask: CompressTask = {
  async run({ how, input, unit, limit, mayOverwrite }) {
    const encode = await coders.encoder(how);
    let bytes = new Uint8Array(mayOverwrite ? 0 : Math.min(input.length, 65536) + 1024);
    const lengths: number[] = [];
    let used = 0;
    for (let at = 0; at < input.length; at += unit) {
      const stream = encode(input.subarray(at, at + unit), limit);
      lengths.push(stream?.length ?? -1);
      if (!stream) continue;
      if (mayOverwrite && fits(stream.length, input.length - at, unit)) {
        input.set(stream, at);
        continue;
      }
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
    const decode = await coders.decoder(how);
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
