/** Zstandard in WebAssembly, for hosts that have nothing quicker. */
import type { Decoder, Encoder } from '../../codec/codec.ts';
import { checkOverrun, guarded, overFrames } from '../../codec/zstdFrames.ts';

type Library = typeof import('@bokuweb/zstd-wasm');

const NO_DICTIONARY = new Uint8Array(0);

let library: Promise<Library> | undefined;

function load(): Promise<Library> {
  library ??= import('@bokuweb/zstd-wasm').then(async (module) => {
    await module.init();
    return module;
  });
  return library;
}

/** A decoder of zstd frames. */
export async function zstdDecoder(): Promise<Decoder> {
  const module = await load();
  let context = module.createDCtx();
  return overFrames((frame, maxContent, into) => {
    // The library allocates what the header states, so a lie must not get that far.
    checkOverrun(maxContent, into);
    const options = { defaultHeapSize: Math.max(1, maxContent) };
    try {
      return guarded(() => module.decompressUsingDict(context, frame, NO_DICTIONARY, options), into);
    } catch (error) {
      module.freeDCtx(context);
      context = module.createDCtx();
      throw error;
    }
  });
}

/** An encoder to one zstd frame. */
export async function zstdEncoder(level: number): Promise<Encoder> {
  const module = await load();
  const context = module.createCCtx();
  return (input, limit) => {
    const output = module.compressUsingDict(context, input, NO_DICTIONARY, level);
    return output.length < limit ? output : undefined;
  };
}
