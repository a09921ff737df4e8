/** `json:{...}` image names: reading them with the real tool's messages, and writing them with its spacing. */
import { BlockError, invalidArgument } from '../base/error.ts';
import { byteTextBytes, bytesOf, isCharacter, jsonCharacter, textOf } from '../base/text.ts';
import { jsonString } from './jsonText.ts';
import { inOrder } from './order.ts';
import { JsonLexer, jsonError, type JsonToken } from './jsonLexer.ts';
import type { OptionNode } from './dotted.ts';
import type { OptionTree } from './tree.ts';

/** How deep values may nest. */
const MAX_DEPTH = 1024;

/** A parsed JSON value. */
export type JsonValue = OptionNode | readonly JsonValue[];

const BACKSLASH = 0x5c;

const KEYWORDS: Readonly<Record<string, boolean | null>> = { true: true, false: false, null: null };
const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  '"': '"',
  "'": "'",
  '\\': '\\',
  '/': '/',
};

class JsonParser {
  readonly #lexer: JsonLexer;
  /** The last word read. */
  #token: JsonToken;
  #depth = 0;

  constructor(text: string) {
    this.#lexer = new JsonLexer(text);
    this.#token = this.#lexer.next();
  }

  /** The one value of the text. */
  whole(): JsonValue {
    if (this.#token.kind === 'end') throw invalidArgument('Expecting a JSON value');
    const value = this.#value();
    let more = true;
    try {
      more = this.#lexer.next().kind !== 'end';
    } catch {
      // Even what is no JSON counts as a second value.
    }
    if (more) throw invalidArgument('Expecting at most one JSON value');
    return value;
  }

  #advance(): JsonToken {
    this.#token = this.#lexer.next();
    if (this.#token.kind === 'end') throw jsonError(this.#token, 'premature end of input');
    return this.#token;
  }

  /** The value that starts with the current word; afterwards the current word is its last. */
  #value(): JsonValue {
    const token = this.#token;
    switch (token.kind) {
      case 'string':
        return unquote(token);
      case 'number':
        return Number(token.text);
      case 'keyword': {
        const value = Object.hasOwn(KEYWORDS, token.text) ? KEYWORDS[token.text] : undefined;
        if (value === undefined) throw jsonError(token, `invalid keyword '${token.text}'`);
        return value;
      }
      default:
        if (token.text !== '{' && token.text !== '[') throw jsonError(token, 'expecting value');
        if (++this.#depth > MAX_DEPTH) {
          throw invalidArgument('JSON nesting depth limit exceeded');
        }
        return this.#finish(token.text === '{' ? this.#object() : this.#list());
    }
  }

  #finish<T>(value: T): T {
    this.#depth--;
    return value;
  }

  #object(): OptionTree {
    // No prototype: a name like `__proto__` is a name like any other.
    const tree = Object.create(null) as Record<string, OptionNode>;
    if (this.#advance().text === '}' && this.#token.kind === 'mark') return tree;
    for (;;) {
      if (this.#token.kind !== 'string') throw jsonError(this.#token, 'expecting key');
      const name = unquote(this.#token);
      if (this.#advance().text !== ':') throw jsonError(this.#token, "expecting ':'");
      this.#advance();
      const value = this.#value();
      if (Object.hasOwn(tree, name)) throw jsonError(this.#token, 'duplicate key');
      tree[name] = value as OptionNode;
      const { kind, text } = this.#advance();
      if (kind === 'mark' && text === '}') return tree;
      if (kind !== 'mark' || text !== ',') throw jsonError(this.#token, "expected ',' or '}'");
      this.#advance();
    }
  }

  #list(): JsonValue[] {
    const list: JsonValue[] = [];
    if (this.#advance().text === ']' && this.#token.kind === 'mark') return list;
    for (;;) {
      list.push(this.#value());
      const { kind, text } = this.#advance();
      if (kind === 'mark' && text === ']') return list;
      if (kind !== 'mark' || text !== ',') throw jsonError(this.#token, "expected ',' or ']'");
      this.#advance();
    }
  }
}

/** The content of a string word. */
function unquote(token: JsonToken): string {
  const bytes = byteTextBytes(token.text);
  const content: number[] = [];
  for (let index = 1; index < bytes.length - 1; ) {
    if (bytes[index] === BACKSLASH) {
      const { code, length } = escapeAt(token, index);
      content.push(...encodedCharacter(code));
      index += length;
      continue;
    }
    const { code, length } = jsonCharacter(bytes, index);
    if (code === undefined) throw jsonError(token, 'invalid UTF-8 sequence in string');
    content.push(...bytes.subarray(index, index + length));
    index += length;
  }
  return textOf(Uint8Array.from(content));
}

/** A character as the real tool keeps it: NUL takes two bytes, so that it does not end the text. */
function encodedCharacter(code: number): Iterable<number> {
  return code === 0 ? [0xc0, 0x80] : bytesOf(String.fromCodePoint(code));
}

/** The character that an escape at `index` stands for, and its bytes. */
function escapeAt(token: JsonToken, index: number): { readonly code: number; readonly length: number } {
  const escape = token.text[index + 1] ?? '';
  if (escape === 'u') return unicodeEscape(token, index);
  const char = Object.hasOwn(ESCAPES, escape) ? ESCAPES[escape] : undefined;
  if (char === undefined) throw jsonError(token, 'invalid escape sequence in string');
  return { code: char.charCodeAt(0), length: 2 };
}

/** The character of a `\uXXXX` escape (or of a surrogate pair of them) at `index`. */
function unicodeEscape(token: JsonToken, index: number): { readonly code: number; readonly length: number } {
  const text = token.text.slice(index);
  const pair = /^\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})/.exec(text);
  const single = /^\\u([0-9a-fA-F]{4})/.exec(text);
  if (pair?.[1] !== undefined && pair[2] !== undefined) {
    const code = 0x10000 + (Number.parseInt(pair[1], 16) - 0xd800) * 0x400 + Number.parseInt(pair[2], 16) - 0xdc00;
    if (isCharacter(code)) return { code, length: 12 };
  } else if (single?.[1] !== undefined) {
    const code = Number.parseInt(single[1], 16);
    if (isCharacter(code)) return { code, length: 6 };
  }
  throw jsonError(token, `${pair?.[0] ?? text.slice(0, 6)} is not a valid Unicode character`);
}

/** Parses one JSON value. Messages are without a prefix, for instance `1:2: JSON parse error, expecting key`. */
export function parseJson(text: string): JsonValue {
  return new JsonParser(text).whole();
}

/** True for a name that describes an image in JSON. */
export function isJsonName(name: string): boolean {
  return name.startsWith('json:');
}

/** The options in a `json:` name. */
export function parseJsonName(name: string): OptionTree {
  let value: JsonValue;
  try {
    value = parseJson(name.slice('json:'.length));
  } catch (thrown) {
    if (thrown instanceof BlockError) throw thrown.prepend('Could not parse the JSON options: ');
    throw thrown;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidArgument('Invalid JSON object given');
  }
  return value as OptionTree;
}

/** A value on one line with the real tool's spacing: `{"driver": "raw", "size": 512}`. */
function printJson(value: JsonValue): string {
  if (typeof value === 'string') return jsonString(value);
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value).toString() : String(value);
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => printJson(item as JsonValue)).join(', ')}]`;
  const members = inOrder(Object.entries(value as OptionTree)).map(
    ([name, item]) => `${jsonString(name)}: ${printJson(item)}`,
  );
  return `{${members.join(', ')}}`;
}

/** The `json:` name of a description, with the real tool's order of options. */
export function printJsonName(tree: OptionTree): string {
  return `json:${printJson(tree)}`;
}
