/**
 * Compressed files by their beginnings, which are as long as 2 KiB where the file is: a disk may begin with any bytes, so everything
 * here is told by more than the two or three bytes that it begins with.
 */
import { littleEndian } from '../base/bytes.ts';
import type { FileCompression } from './codec.ts';

const XZ = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];

/** The byte at an offset; -1 behind the end. */
function byteAt(head: Uint8Array, offset: number): number {
  return head[offset] ?? -1;
}

function begins(head: Uint8Array, bytes: readonly number[], offset = 0): boolean {
  return bytes.every((byte, at) => head[offset + at] === byte);
}

/** RFC 1952: reserved flags are 0, `XFL` is 0, 2 or 4, and the operating system is a known one. */
export function isGzipFile(head: Uint8Array): boolean {
  const [flags, extra, system] = [byteAt(head, 3), byteAt(head, 8), byteAt(head, 9)];
  const isKnown = (system >= 0 && system <= 13) || system === 255;
  return begins(head, [0x1f, 0x8b, 8]) && flags >= 0 && flags < 0x20 && [0, 2, 4].includes(extra) && isKnown;
}

/** "The .xz File Format", 2.1.1. */
export function isXzFile(head: Uint8Array): boolean {
  return begins(head, XZ);
}

/** RFC 8878: the reserved bit of the frame header descriptor is 0. */
function isZstdFrame(head: Uint8Array, at: number): boolean {
  return begins(head, ZSTD, at) && byteAt(head, at + 4) >= 0 && (byteAt(head, at + 4) & 0x08) === 0;
}

/** RFC 8878; also behind a frame to be passed over (3.1.2), as `pzstd` writes them. */
export function isZstdFile(head: Uint8Array): boolean {
  if (isZstdFrame(head, 0)) return true;
  const isSkippable = head.length >= 8 && begins(head, [0x2a, 0x4d, 0x18], 1);
  return isSkippable && isZstdFrame(head, 8 + littleEndian(head).u32(4));
}

/** A file of the bzip2 program: a block or the end of the stream follows, the digits of pi, or of its square root. */
export function isBzip2File(head: Uint8Array): boolean {
  const level = byteAt(head, 3);
  const next = [...head.subarray(4, 10)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const isMark = next === '314159265359' || next === '177245385090';
  return begins(head, [0x42, 0x5a, 0x68]) && level >= 0x31 && level <= 0x39 && isMark;
}

/** How a file is compressed; undefined if it is not. */
export function compressionOf(head: Uint8Array): FileCompression | undefined {
  if (isGzipFile(head)) return 'gzip';
  if (isXzFile(head)) return 'xz';
  if (isZstdFile(head)) return 'zstd';
  return isBzip2File(head) ? 'bzip2' : undefined;
}
