/**
 * LZMA2 in xz streams ("The .xz File Format" 1.2.1): no platform decodes them, so xz-embedded does, in WebAssembly.
 * It hands out pieces of 64 KiB, and is asked for no more of them than there is room for.
 */
import { asBlockError } from '../../base/error.ts';
import type { LateDecoder } from '../../codec/codec.ts';
import { damaged } from '../../codec/damaged.ts';

type Library = typeof import('xz-decompress');

/** A decoder of xz streams; it decodes on the thread that asks. */
export async function xzDecoder(): Promise<LateDecoder> {
  // A CommonJS package: what loads it decides where its names are.
  const loaded: Library & { readonly default?: Library } = await import('xz-decompress');
  const { XzReadableStream } = loaded.default ?? loaded;
  return async (input, into) => {
    const stored = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(input);
        controller.close();
      },
    });
    const reader = new XzReadableStream(stored).getReader();
    try {
      return await fill(reader, into);
    } catch (error) {
      throw damaged('xz', asBlockError(error).message, error);
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  };
}

/** Reads until the stream ends or `into` is full; returns the number of bytes. */
async function fill(reader: ReadableStreamDefaultReader<Uint8Array>, into: Uint8Array): Promise<number> {
  let produced = 0;
  while (produced < into.length) {
    const { done, value } = await reader.read();
    if (done) break;
    const part = value.subarray(0, into.length - produced);
    into.set(part, produced);
    produced += part.length;
  }
  return produced;
}
