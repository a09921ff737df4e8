/**
 * The outer structure of Zstandard data (RFC 8878, section 3.1): where a frame ends and how much it can yield, without
 * decoding it. Decoders refuse bytes behind a frame, while images store frames in whole sectors.
 */
import { damaged } from './damaged.ts';

const FRAME_MAGIC = 0xfd2fb528;
/** Skippable frames have magic numbers 0x184D2A50 to 0x184D2A5F. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const BLOCK_MAX = 131072;

/** Extent of one frame. */
export interface ZstdFrame {
  /** Length of the frame in bytes, with header, blocks and checksum. */
  readonly length: number;
  /** Size of the content as the frame states it; undefined if it does not say. */
  readonly contentSize: number | undefined;
  /** No decoder produces more than this many bytes from the frame. */
  readonly maxContent: number;
  /** A frame of user data that decoders pass over. */
  readonly skippable: boolean;
}

function little(bytes: Uint8Array, at: number, size: number): number {
  if (at + size > bytes.length) throw damaged('zstd', 'the frame is cut off');
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] as number);
  return value;
}

/** True if `bytes` at `at` begin with the magic number of a frame (of either sort). */
export function isZstdFrame(bytes: Uint8Array, at = 0): boolean {
  if (at + 4 > bytes.length) return false;
  const magic = little(bytes, at, 4);
  return magic === FRAME_MAGIC || (magic >= SKIPPABLE_MAGIC && magic < SKIPPABLE_MAGIC + 16);
}

/**
 * Measures the frame that starts at `at`.
 * @throws BlockError of kind `io` if there is no frame, or it goes beyond the end of `bytes`.
 */
export function zstdFrame(bytes: Uint8Array, at = 0): ZstdFrame {
  if (!isZstdFrame(bytes, at)) throw damaged('zstd', 'there is no frame');
  if (little(bytes, at, 4) !== FRAME_MAGIC) {
    const length = 8 + little(bytes, at + 4, 4);
    if (at + length > bytes.length) throw damaged('zstd', 'the frame is cut off');
    return { length, contentSize: 0, maxContent: 0, skippable: true };
  }
  const header = frameHeader(bytes, at);
  const blocks = walkBlocks(bytes, header.end);
  const end = blocks.end + (header.checksum ? 4 : 0);
  if (end > bytes.length) throw damaged('zstd', 'the frame is cut off');
  if (header.contentSize !== undefined && header.contentSize > blocks.maxContent) {
    throw damaged('zstd', 'the blocks cannot yield the stated content size');
  }
  return { length: end - at, contentSize: header.contentSize, maxContent: blocks.maxContent, skippable: false };
}

/**
 * The header at the start of `bytes`, 18 of them where there are so many: of a frame, or of one to be passed over, of so many
 * bytes. Undefined if it is neither.
 */
export function frameHead(
  bytes: Uint8Array,
):
  | { readonly length: number; readonly checksum: boolean; readonly contentSize: number | undefined }
  | { readonly skip: number }
  | undefined {
  if (!isZstdFrame(bytes)) return undefined;
  if (little(bytes, 0, 4) !== FRAME_MAGIC) return bytes.length < 8 ? undefined : { skip: 8 + little(bytes, 4, 4) };
  try {
    const { end, checksum, contentSize } = frameHeader(bytes, 0);
    return { length: end, checksum, contentSize };
  } catch {
    return undefined;
  }
}

/** Frame_Header of RFC 8878, section 3.1.1.1. */
function frameHeader(
  bytes: Uint8Array,
  at: number,
): { end: number; checksum: boolean; contentSize: number | undefined } {
  const descriptor = little(bytes, at + 4, 1);
  const singleSegment = (descriptor & 0x20) !== 0;
  if (descriptor & 0x08) throw damaged('zstd', 'a reserved bit is set');
  const dictionarySize = [0, 1, 2, 4][descriptor & 3] as number;
  const sizeFlag = descriptor >> 6;
  const contentBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag;
  const contentAt = at + 5 + (singleSegment ? 0 : 1) + dictionarySize;
  let contentSize: number | undefined;
  if (contentBytes > 0) contentSize = little(bytes, contentAt, contentBytes) + (contentBytes === 2 ? 256 : 0);
  return { end: contentAt + contentBytes, checksum: (descriptor & 0x04) !== 0, contentSize };
}

/** Passes over blocks up to and including the last one (section 3.1.1.2). */
function walkBlocks(bytes: Uint8Array, start: number): { end: number; maxContent: number } {
  let at = start;
  let maxContent = 0;
  for (;;) {
    const head = little(bytes, at, 3);
    const type = (head >> 1) & 3;
    const size = head >>> 3;
    if (type === 3 || size > BLOCK_MAX) throw damaged('zstd', 'a block header is invalid');
    at += 3 + (type === 1 ? 1 : size);
    maxContent += type === 2 ? BLOCK_MAX : size;
    if (at > bytes.length) throw damaged('zstd', 'the frame is cut off');
    if (head & 1) return { end: at, maxContent };
  }
}
