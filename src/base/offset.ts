/**
 * Arithmetic on byte offsets. Offsets are plain numbers: exact for every byte below 2^53 and for every multiple of
 * 512 below 2^62. Bit operators work on 32 bits only and are never used on offsets.
 */

/** Bytes in a sector, the unit of most disk formats. */
export const SECTOR = 512;
/** 2^10. */
export const KiB = 1024;
/** 2^20. */
export const MiB = 1048576;
/** 2^30. */
export const GiB = 1073741824;
/** 2^40. */
export const TiB = 1099511627776;
/** Largest image or file size in bytes, 2^63 - 512: the largest multiple of 512 in a signed 64-bit number. */
export const MAX_SIZE = 9223372036854774784;
/** Largest disk that can be opened in bytes, 2^63 - 2^30, as in the real tool. */
export const MAX_DISK = 9223372035781033984;

/** `value` rounded down to a multiple of `unit`. */
export function alignDown(value: number, unit: number): number {
  return value - (value % unit);
}

/** `value` rounded up to a multiple of `unit`. */
export function alignUp(value: number, unit: number): number {
  const rest = value % unit;
  return rest === 0 ? value : value - rest + unit;
}

/** True if `value` is a multiple of `unit`. */
export function isAligned(value: number, unit: number): boolean {
  return value % unit === 0;
}

/** `value / unit` rounded up. */
export function divideUp(value: number, unit: number): number {
  return alignUp(value, unit) / unit;
}

/** True for 1, 2, 4, 8 and so on. */
export function isPowerOfTwo(value: number): boolean {
  return value >= 1 && Number.isInteger(Math.log2(value)) && 2 ** Math.round(Math.log2(value)) === value;
}

/** Exponent of a power of two. */
export function log2(value: number): number {
  return Math.round(Math.log2(value));
}
