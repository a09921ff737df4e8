/** The codec port without a platform: one stream after the other, on the thread that asks. */
import { isPromise } from '../../base/async.ts';
import type { CodecPort, Compression } from '../../codec/codec.ts';
import { Coders } from '../shared/coders.ts';

/** What the real tool takes where nobody says. */
const ZSTD_LEVEL = 3;

function loadCoders(): Coders {
  return new Coders({
    deflater: (how) => import('./deflate.ts').then((module) => module.deflater(how)),
    inflater: (how) => import('./deflate.ts').then((module) => module.inflater(how)),
    zstdEncoder: ({ level = ZSTD_LEVEL }) => import('../shared/zstd.ts').then((module) => module.zstdEncoder(level)),
    zstdDecoder: () => import('../shared/zstd.ts').then((module) => module.zstdDecoder()),
  });
}

async function compressBatch(
  coders: Coders,
  how: Compression,
  input: Uint8Array,
  unit: number,
  limit: number,
): Promise<(Uint8Array | undefined)[]> {
  const encode = await coders.encoder(how);
  const streams: (Uint8Array | undefined)[] = [];
  for (let at = 0; at < input.length; at += unit) {
    // The encoder uses the memory of its result again.
    streams.push(encode(input.subarray(at, at + unit), limit)?.slice());
  }
  return streams;
}

/** Codecs of any platform. */
export function portableCodecs(): CodecPort {
  const coders = loadCoders();
  const codec: CodecPort = {
    decompress(how, input, into) {
      const decoder = coders.decoder(how);
      return isPromise(decoder) ? decoder.then((decode) => decode(input, into)) : decoder(input, into);
    },
    async decompressBatch(how, pieces) {
      const decode = await coders.decoder(how);
      const lengths: number[] = [];
      for (const { input, output } of pieces) lengths.push(await decode(input, output));
      return lengths;
    },
    compressBatch: (how, input, unit, limit) => compressBatch(coders, how, input, unit, limit),
    async expand(method, input) {
      if (method === 'bzip2') return (await import('../shared/expand.ts')).expandBzip2(codec, input);
      if (method === 'xz') return (await import('../shared/expand.ts')).expandXz(input);
      if (method === 'zstd') return (await import('../shared/expandZstd.ts')).expandZstd(codec, input);
      return (await import('./inflate.ts')).expandDeflate(method, input);
    },
  };
  return codec;
}
