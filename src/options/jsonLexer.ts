/**
 * The words of the JSON dialect that image names use: RFC 8259 plus strings in single quotes. It is read byte by byte: in
 * the texts of this file one character stands for one byte (`byteText`), except in errors. Positions are those of the
 * real tool: lines and byte columns from 1, where a word that touches a number or a keyword before it counts one column
 * more.
 */
import { type BlockError, invalidArgument } from '../base/error.ts';
import { byteText, byteTextBytes, bytesOf, textOf } from '../base/text.ts';

/** One word. */
export interface JsonToken {
  readonly kind: 'mark' | 'string' | 'number' | 'keyword' | 'end';
  /** As written, one character for each byte; of strings with their quotes. */
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

/** An error at a place in a JSON text; `text` has one character for each byte. */
export function jsonError(at: { readonly line: number; readonly column: number }, text: string): BlockError {
  const message = textOf(byteTextBytes(text));
  return invalidArgument(`${at.line}:${at.column}: JSON parse error, ${message}`);
}

const BLANK = /[ \t\r\n]/;
const MARK = /[{}[\],:]/;

/** True for a byte that can be in a string: no control character, and no byte that UTF-8 never had. */
function inString(byte: number): boolean {
  return byte >= 0x20 && byte < 0xfe;
}

/** Where a string ends: at its quote, or at a byte that must not be in it. Escapes are skipped. */
function stringEnd(text: string, quote: string): number {
  let index = 1;
  while (index < text.length && text[index] !== quote && inString(text.charCodeAt(index))) {
    index += text[index] === '\\' && inString(text.charCodeAt(index + 1)) ? 2 : 1;
  }
  return Math.min(index, text.length);
}

/** Reads words one after the other; throws at what is none. */
export class JsonLexer {
  readonly #text: string;
  #index = 0;
  #line = 1;
  /** Bytes of the line before `#index`. */
  #bytes = 0;
  /** The last word needed a look at the character behind it. */
  #touched = false;

  /** @param text as everywhere; it becomes bytes here. */
  constructor(text: string) {
    this.#text = byteText(bytesOf(text));
  }

  /** The next word; `end` at the end, again and again. */
  next(): JsonToken {
    this.#skipBlanks();
    const at = { line: this.#line, column: this.#bytes + 1 + (this.#touched ? 1 : 0) };
    const first = this.#text[this.#index];
    this.#touched = false;
    if (first === undefined) return { kind: 'end', text: '', ...at };
    if (MARK.test(first)) return this.#take('mark', first, at);
    const rest = this.#text.slice(this.#index);
    if (first === '"' || first === "'") return this.#string(first, rest, at);
    const keyword = /^[a-z]+/.exec(rest)?.[0];
    if (keyword !== undefined) return this.#take('keyword', keyword, at);
    const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/.exec(rest)?.[0];
    const stray = /^-?(?:0\d|(?:0|[1-9]\d*)(?:(?:\.\d+)?[eE][+-]?|\.)?|)/.exec(rest)?.[0] ?? '';
    if (number === undefined || stray.length > number.length) {
      throw jsonError(at, `stray '${strayText(rest, stray)}'`);
    }
    return this.#take('number', number, at);
  }

  #skipBlanks(): void {
    for (let char = this.#text[this.#index]; char !== undefined && BLANK.test(char); char = this.#text[this.#index]) {
      this.#index++;
      // The blank behind a number was already counted when the number ended.
      this.#touched = false;
      if (char === '\n') {
        this.#line++;
        this.#bytes = 0;
      } else this.#bytes++;
    }
  }

  #string(quote: string, rest: string, at: { line: number; column: number }): JsonToken {
    const body = rest.slice(0, stringEnd(rest, quote));
    const next = rest[body.length];
    if (next === quote) return this.#take('string', body + quote, at);
    throw jsonError(at, `stray '${body}${next ?? ''}'`);
  }

  #take(kind: JsonToken['kind'], text: string, at: { line: number; column: number }): JsonToken {
    this.#index += text.length;
    this.#bytes += text.length;
    this.#touched = kind === 'number' || kind === 'keyword';
    return { kind, text, ...at };
  }
}

/** What a failed number looked like, with the character that broke it. */
function strayText(rest: string, begun: string): string {
  if (begun === '') return rest.slice(0, 1);
  if (/^-?0\d$/.test(begun)) return begun;
  return rest.slice(0, begun.length + 1);
}
