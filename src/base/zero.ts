/** Fast tests on whole buffers: all zero, equal, where they part. */

/** What `Buffer.compare` offers under Node; much quicker than a loop in JavaScript. */
type NativeCompare = (this: Uint8Array, target: Uint8Array, ts: number, te: number, ss: number, se: number) => number;

const native = (globalThis as { Buffer?: { prototype: { compare: NativeCompare } } }).Buffer?.prototype.compare;
const ZEROES = new Uint8Array(65536);

/** True if bytes `[start, end)` of `bytes` are all zero. */
export function isZero(bytes: Uint8Array, start = 0, end: number = bytes.length): boolean {
  // Most data shows in its first or last word.
  if (start < end && (bytes[start] !== 0 || bytes[end - 1] !== 0)) return false;
  for (let at = start; at < end; at += ZEROES.length) {
    const stop = Math.min(end, at + ZEROES.length);
    if (!equalRange(bytes, at, ZEROES, 0, stop - at)) return false;
  }
  return true;
}

/** True if `length` bytes of `a` from `aStart` equal those of `b` from `bStart`. */
export function equalRange(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  if (native) return native.call(a, b, bStart, bStart + length, aStart, aStart + length) === 0;
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}

/** Index of the first byte in which `a` and `b` (of equal length) differ, or -1. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  // Mostly there is no difference, and one call says so.
  if (equalRange(a, 0, b, 0, length)) return a.length === b.length ? -1 : length;
  for (let at = 0; at < length; at += 4096) {
    const size = Math.min(4096, length - at);
    if (equalRange(a, at, b, at, size)) continue;
    for (let i = at; i < at + size; i++) if (a[i] !== b[i]) return i;
  }
  return -1;
}
