/** Checksums of formats and of compressed streams. */

/** Tables for eight bytes a step ("slicing-by-8") over a reflected polynomial. */
type CrcTables = readonly Int32Array[];

function crcTables(polynomial: number): CrcTables {
  const tables = Array.from({ length: 8 }, () => new Int32Array(256));
  const first = tables[0] as Int32Array;
  for (let byte = 0; byte < 256; byte++) {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ polynomial : rest >>> 1;
    first[byte] = rest;
  }
  for (let k = 1; k < 8; k++) {
    const before = tables[k - 1] as Int32Array;
    const table = tables[k] as Int32Array;
    for (let byte = 0; byte < 256; byte++) {
      const value = before[byte] as number;
      table[byte] = (value >>> 8) ^ (first[value & 255] as number);
    }
  }
  return tables;
}

// Typed array reads below are in range: indices are masked to 8 bits or bounded by the loop.
function crc(tables: CrcTables, bytes: Uint8Array, start: number): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as unknown as [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  const at = (i: number): number => bytes[i] as number;
  let sum = ~start;
  let i = 0;
  for (const end = bytes.length - 7; i < end; i += 8) {
    sum ^= at(i) | (at(i + 1) << 8) | (at(i + 2) << 16) | (at(i + 3) << 24);
    sum =
      (t7[sum & 255] as number) ^
      (t6[(sum >>> 8) & 255] as number) ^
      (t5[(sum >>> 16) & 255] as number) ^
      (t4[sum >>> 24] as number) ^
      (t3[at(i + 4)] as number) ^
      (t2[at(i + 5)] as number) ^
      (t1[at(i + 6)] as number) ^
      (t0[at(i + 7)] as number);
  }
  for (; i < bytes.length; i++) sum = (sum >>> 8) ^ (t0[(sum ^ at(i)) & 255] as number);
  return ~sum >>> 0;
}

let crc32Tables: CrcTables | undefined;
let crc32cTables: CrcTables | undefined;

/**
 * CRC-32 of IEEE 802.3 (zlib, GPT, gzip), as an unsigned number.
 * @param start the sum of what comes before `bytes`.
 */
export function crc32(bytes: Uint8Array, start = 0): number {
  crc32Tables ??= crcTables(0xedb88320);
  return crc(crc32Tables, bytes, start);
}

/**
 * CRC-32C (Castagnoli, RFC 3720; VHDX), as an unsigned number.
 * @param start the sum of what comes before `bytes`.
 */
export function crc32c(bytes: Uint8Array, start = 0): number {
  crc32cTables ??= crcTables(0x82f63b78);
  return crc(crc32cTables, bytes, start);
}

/** Sums of bytes stay below 2^32 for this many bytes (RFC 1950, section 9). */
const ADLER_RUN = 5552;

/**
 * Adler-32 (RFC 1950), as an unsigned number.
 * @param start the sum of what comes before `bytes`.
 */
export function adler32(bytes: Uint8Array, start = 1): number {
  let a = start & 0xffff;
  let b = start >>> 16;
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + ADLER_RUN);
    for (; at < end; at++) {
      a += bytes[at] as number;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return b * 65536 + a;
}
