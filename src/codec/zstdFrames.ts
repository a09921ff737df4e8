/**
 * Zstandard streams frame by frame. Frames are measured first (`zstdFrame`), because most decoders refuse bytes behind a
 * frame and trust the content size in its header.
 */
import { asBlockError } from '../base/error.ts';
import type { Decoder } from './codec.ts';
import { damaged } from './damaged.ts';
import { isZstdFrame, zstdFrame } from './zstdFrame.ts';

/** A frame that yields this much more than was asked for is refused by decoders that cannot stop early. */
const OVERRUN = 64 * 1024 * 1024;

/** Decodes one frame into `into`, which may be smaller than its content. */
export type FrameDecoder = (frame: Uint8Array, maxContent: number, into: Uint8Array) => number;

/** Decodes frame after frame until `into` is full or no further frame follows. */
export function overFrames(decodeFrame: FrameDecoder): Decoder {
  return (input, into) => {
    let at = 0;
    let produced = 0;
    do {
      const frame = zstdFrame(input, at);
      if (!frame.skippable && produced < into.length) {
        const maxContent = Math.min(frame.maxContent, frame.contentSize ?? frame.maxContent);
        const bytes = input.subarray(at, at + frame.length);
        produced += decodeFrame(bytes, maxContent, produced === 0 ? into : into.subarray(produced));
      }
      at += frame.length;
    } while (produced < into.length && isZstdFrame(input, at));
    return produced;
  };
}

/** Refuses a frame that could have much more content than was asked for. */
export function checkOverrun(maxContent: number, into: Uint8Array): void {
  if (maxContent > into.length + OVERRUN) throw damaged('zstd', 'the content is larger than expected');
}

/** Runs a library's decoder; its errors become errors of the data. */
export function guarded(decode: () => Uint8Array, into: Uint8Array): number {
  let output: Uint8Array;
  try {
    output = decode();
  } catch (error) {
    throw damaged('zstd', asBlockError(error).message, error);
  }
  const length = Math.min(output.length, into.length);
  into.set(output.length > length ? output.subarray(0, length) : output);
  return length;
}
