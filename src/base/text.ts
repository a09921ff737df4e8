/**
 * Text of which only the bytes count: names of files, snapshots and bitmaps, lines of descriptors. Such bytes are UTF-8
 * by custom, not by rule. A byte that is no part of well-formed UTF-8 becomes one lone surrogate, U+DC80 to U+DCFF, as in
 * Python's PEP 383, and turns back into that byte: any bytes survive the way through a string.
 */

/** Well-formed UTF-8 never decodes to a surrogate that stands alone, so these are free. */
const ESCAPE = 0xdc00;
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

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
  try {
    return strict.decode(bytes);
  } catch {
    return escapedText(bytes);
  }
}

function escapedText(bytes: Uint8Array): string {
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

/** True if `text` stands for bytes that are not well-formed UTF-8, or holds surrogates that stand for nothing. */
export function isEscaped(text: string): boolean {
  return LONE.test(text);
}

/** The bytes that `text` stands for. A lone surrogate that stands for no byte becomes U+FFFD, as everywhere. */
export function bytesOf(text: string): Uint8Array {
  if (!isEscaped(text)) return encoder.encode(text);
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.charCodeAt(0);
    if (character.length === 1 && code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff) bytes.push(code - ESCAPE);
    else bytes.push(...encoder.encode(character));
  }
  return Uint8Array.from(bytes);
}
