/** Which coder is for which method; each is made once. */
import type { MaybePromise } from '../../base/async.ts';
import { isPromise } from '../../base/async.ts';
import type { Compression, Decoder, Decompression, Encoder, LateDecoder } from '../../codec/codec.ts';

/** The coders that hosts have of their own. */
export interface HostCoders {
  /** For the methods `deflate-raw` and `zlib`, as the next one; asked where there is no WebAssembly, or for a level. */
  deflater(how: Compression): MaybePromise<Encoder>;
  inflater(how: Decompression): MaybePromise<Decoder>;
  zstdEncoder(how: Compression): MaybePromise<Encoder>;
  zstdDecoder(): MaybePromise<Decoder>;
  /** Throws a `BlockError` where modules of WebAssembly cannot be used, which `what` needs. */
  needWebAssembly?(what: string): void;
}

/** Upper bound of a deflate stream with any setting, wrapper included (zlib's documented conservative bound). */
export function deflateBound(length: number): number {
  return length + Math.floor((length + 7) / 8) + Math.floor((length + 63) / 64) + 18;
}

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

/** All coders of a host. Without a promise, once they are loaded. */
export class Coders {
  readonly #host: HostCoders;
  readonly #encoders = new Map<string, MaybePromise<Encoder>>();
  readonly #decoders = new Map<string, MaybePromise<Decoder | LateDecoder>>();

  constructor(host: HostCoders) {
    this.#host = host;
  }

  /** The encoder for `how`; the same one for the same settings. */
  encoder(how: Compression): MaybePromise<Encoder> {
    const key = `${how.method},${how.level},${how.windowBits},${how.memLevel}`;
    return kept(this.#encoders, key, () =>
      how.method === 'zstd' ? this.#host.zstdEncoder(how) : this.#makeDeflater(how),
    );
  }

  /** Our own where it can be had: it makes the same streams with every host. It has one effort only. */
  #makeDeflater(how: Compression): MaybePromise<Encoder> {
    if (how.level !== undefined) return this.#host.deflater(how);
    return import('../../codec/deflate.ts').then(
      ({ deflateEncoder }) => deflateEncoder(how) ?? this.#host.deflater(how),
    );
  }

  /** The decoder for `how`; the same one for the same settings. */
  decoder(how: Decompression): MaybePromise<Decoder | LateDecoder> {
    return kept(this.#decoders, `${how.method},${how.windowBits}`, () => this.#makeDecoder(how));
  }

  #makeDecoder(how: Decompression): MaybePromise<Decoder | LateDecoder> {
    switch (how.method) {
      case 'deflate-raw':
      case 'zlib':
        return this.#host.inflater(how);
      case 'zstd':
        return this.#host.zstdDecoder();
      case 'bzip2':
        return import('../../codec/bzip2.ts').then((module) => module.decodeBzip2);
      case 'lzfse':
        return import('../../codec/lzfse.ts').then((module) => module.decodeLzfse);
      case 'adc':
        return import('../../codec/adc.ts').then((module) => module.decodeAdc);
      case 'xz':
        return import('./xz.ts').then((module) => {
          this.#host.needWebAssembly?.('xz');
          return module.xzDecoder();
        });
    }
  }
}
