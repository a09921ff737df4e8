/**
 * Text of which only the bytes count: names of files, snapshots and bitmaps, lines of descriptors. Such bytes are UTF-8
 * by custom, not by rule. A byte that is no part of well-formed UTF-8 becomes one lone surrogate, U+DC80 to U+DCFF, as in
 * Python's PEP 383, and turns back into that byte: any bytes survive the way through a string.
 */

/** Well-formed UTF-8 never decodes to a surrogate that stands alone, so these are free. */
const ESCAPE = 0xdc00;
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

const encoder = new TextEncoder();
/** Made at the first use, since that takes longer than some commands need for all the rest. */
let strict: InstanceType<typeof TextDecoder> | undefined;
let lenient: InstanceType<typeof TextDecoder> | undefined;

/** Length in bytes of the well-formed UTF-8 sequence at `at`; 0 where there is none (Unicode, table 3-7). */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  const length =
    lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  for (let index = 1; index < length; index++) {
    const byte = bytes[at + index] ?? 0;
    if (byte < (index === 1 ? least : 0x80) || byte > (index === 1 ? most : 0xbf)) return 0;
  }
  return length;
}

/** The text of `bytes`, reversible by `bytesOf`. */
export function textOf(bytes: Uint8Array): string {
  strict ??= new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
  try {
    return strict.decode(bytes);
  } catch {
    return escapedText(bytes);
  }
}

function escapedText(bytes: Uint8Array): string {
  lenient ??= new TextDecoder('utf-8', { ignoreBOM: true });
  let text = '';
  let from = 0;
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    if (length === 0) {
      text += lenient.decode(bytes.subarray(from, at)) + String.fromCharCode(ESCAPE + (bytes[at] ?? 0));
      from = at + 1;
    }
    at += Math.max(1, length);
  }
  return text + lenient.decode(bytes.subarray(from));
}

/** Bytes as text with one character for each of them, for what is read byte by byte. */
export function byteText(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

/** The bytes of a text of {@link byteText}. */
export function byteTextBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** True if `text` stands for bytes that are not well-formed UTF-8, or holds surrogates that stand for nothing. */
export function isEscaped(text: string): boolean {
  // ASCII is told apart without a pattern, which takes time to be made.
  return encoder.encode(text).length !== text.length && LONE.test(text);
}

/** The bytes that `text` stands for. A lone surrogate that stands for no byte becomes U+FFFD, as everywhere. */
export function bytesOf(text: string): Uint8Array {
  const encoded = encoder.encode(text);
  if (encoded.length === text.length || !LONE.test(text)) return encoded;
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.charCodeAt(0);
    if (character.length === 1 && code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff) bytes.push(code - ESCAPE);
    else bytes.push(...encoder.encode(character));
  }
  return Uint8Array.from(bytes);
}

/** Smallest code that needs 1, 2, 3, 4 or 5 bytes behind the first. */
const LEAST = [0x80, 0x800, 0x10000, 0x200000, 0x4000000];
const UNUSUAL = /[\ufdd0-\ufdef\ufffe\uffff]|[\ud800-\udfff]/;

/** True for code points that are characters: no surrogates and no noncharacters. */
export function isCharacter(code: number): boolean {
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
  return code % 0x10000 < 0xfffe && !(code >= 0xfdd0 && code <= 0xfdef);
}

/**
 * The code at `at`, and how many bytes it takes, in the UTF-8 of the real tool's JSON: sequences of up to six bytes as in
 * RFC 2279, and NUL as C0 80. The code is undefined for what is cut off, too long or no character.
 */
export function jsonCharacter(
  bytes: Uint8Array,
  at: number,
): { readonly code: number | undefined; readonly length: number } {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return { code: lead, length: 1 };
  if (lead < 0xc0 || lead >= 0xfe) return { code: undefined, length: 1 };
  // As many bytes follow as the first one has ones behind its first one.
  const rest = Math.clz32(~(lead << 24)) - 1;
  let code = lead % 2 ** (6 - rest);
  let length = 1;
  for (; length <= rest; length++) {
    const byte = bytes[at + length] ?? 0;
    if (byte < 0x80 || byte > 0xbf) return { code: undefined, length };
    code = code * 64 + (byte % 64);
  }
  const valid = lead === 0xc0 ? code === 0 : code >= (LEAST[rest - 1] ?? 0) && isCharacter(code);
  return { code: valid ? code : undefined, length };
}

/** The characters of `text` as the real tool shows them in JSON: U+FFFD for whatever is none. */
export function jsonCharacters(text: string): string {
  if (!UNUSUAL.test(text)) return text;
  const bytes = bytesOf(text);
  let shown = '';
  for (let at = 0; at < bytes.length; ) {
    const { code, length } = jsonCharacter(bytes, at);
    shown += String.fromCodePoint(code ?? 0xfffd);
    at += length;
  }
  return shown;
}
