/** Range-checked access to numbers in byte arrays. */
import { invalidImage } from './error.ts';
import { bytesOf, textOf } from './text.ts';

const TWO32 = 4294967296;

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Turns two 32-bit halves into a number; throws `invalid-image` if that number cannot be held exactly. */
export function joinHalves(high: number, low: number): number {
  const value = high * TWO32 + low;
  if (high >= 0x200000 && (!Number.isInteger(value) || value % TWO32 !== low || value >= 2 ** 64)) {
    throw invalidImage(`64-bit value 0x${hex(high)}${hex(low)} is out of range`);
  }
  return value;
}

function hex(half: number): string {
  return half.toString(16).padStart(8, '0');
}

/**
 * Numbers at fixed positions of a byte array, big or little endian. Accesses outside the array throw a `BlockError`
 * of kind `invalid-image`. 64-bit values that a number cannot hold exactly are refused, or saturated on request.
 */
export class Fields {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;

  constructor(bytes: Uint8Array, endian: 'big' | 'little') {
    this.bytes = bytes;
    this.#view = view(bytes);
    this.#little = endian === 'little';
  }

  /** Length of the array in bytes. */
  get length(): number {
    return this.bytes.length;
  }

  #check(at: number, size: number): void {
    if (!(at >= 0 && at + size <= this.bytes.length)) {
      throw invalidImage(`structure of ${this.bytes.length} bytes is too short for offset ${at}`);
    }
  }

  /** Unsigned 8-bit number. */
  u8(at: number): number {
    this.#check(at, 1);
    return this.#view.getUint8(at);
  }

  /** Unsigned 16-bit number. */
  u16(at: number): number {
    this.#check(at, 2);
    return this.#view.getUint16(at, this.#little);
  }

  /** Unsigned 32-bit number. */
  u32(at: number): number {
    this.#check(at, 4);
    return this.#view.getUint32(at, this.#little);
  }

  /** Unsigned 64-bit number; throws if it cannot be held exactly. */
  u64(at: number): number {
    const [high, low] = this.halves(at);
    return joinHalves(high, low);
  }

  /** Unsigned 64-bit number, rounded by the precision of numbers where it is large. */
  u64lossy(at: number): number {
    const [high, low] = this.halves(at);
    return high * TWO32 + low;
  }

  /** Unsigned 64-bit number as a bigint. */
  big64(at: number): bigint {
    this.#check(at, 8);
    return this.#view.getBigUint64(at, this.#little);
  }

  /** High and low 32 bits of a 64-bit number. */
  halves(at: number): [high: number, low: number] {
    this.#check(at, 8);
    const first = this.#view.getUint32(at, this.#little);
    const second = this.#view.getUint32(at + 4, this.#little);
    return this.#little ? [second, first] : [first, second];
  }

  /** Bytes `[at, at + length)`, not copied. */
  slice(at: number, length: number): Uint8Array {
    this.#check(at, length);
    return this.bytes.subarray(at, at + length);
  }

  /** Bytes as text, one character a byte, up to the first NUL or `length`. */
  latin1(at: number, length: number): string {
    let text = '';
    for (const byte of this.slice(at, length)) {
      if (byte === 0) break;
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** UTF-8 text up to the first NUL or `length`; other bytes are kept as `textOf` keeps them. */
  utf8(at: number, length: number): string {
    const bytes = this.slice(at, length);
    const end = bytes.indexOf(0);
    return textOf(end < 0 ? bytes : bytes.subarray(0, end));
  }

  setU8(at: number, value: number): void {
    this.#check(at, 1);
    this.#view.setUint8(at, value);
  }

  setU16(at: number, value: number): void {
    this.#check(at, 2);
    this.#view.setUint16(at, value, this.#little);
  }

  setU32(at: number, value: number): void {
    this.#check(at, 4);
    this.#view.setUint32(at, value, this.#little);
  }

  /** Stores a non-negative whole number below 2^64. */
  setU64(at: number, value: number): void {
    this.#check(at, 8);
    const low = value % TWO32;
    const high = (value - low) / TWO32;
    this.#view.setUint32(this.#little ? at : at + 4, low, this.#little);
    this.#view.setUint32(this.#little ? at + 4 : at, high, this.#little);
  }

  setBig64(at: number, value: bigint): void {
    this.#check(at, 8);
    this.#view.setBigUint64(at, value, this.#little);
  }

  /** Copies bytes in. */
  set(at: number, bytes: Uint8Array): void {
    this.#check(at, bytes.length);
    this.bytes.set(bytes, at);
  }
}

/** Big-endian fields of `bytes`. */
export function bigEndian(bytes: Uint8Array): Fields {
  return new Fields(bytes, 'big');
}

/** Little-endian fields of `bytes`. */
export function littleEndian(bytes: Uint8Array): Fields {
  return new Fields(bytes, 'little');
}

/** UTF-8 bytes of a text, and the bytes that `textOf` kept in it. */
export function utf8Bytes(text: string): Uint8Array {
  return bytesOf(text);
}

/** True if both arrays hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The pieces one after the other in a new array. */
export function concatBytes(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
