/** `json:{...}` image names: reading them with the real tool's messages, and writing them with its spacing. */
import { BlockError } from '../base/error.ts';
import { JsonLexer, jsonError, type JsonToken } from './jsonLexer.ts';
import type { OptionNode } from './dotted.ts';
import type { OptionTree } from './tree.ts';

/** How deep values may nest. */
const MAX_DEPTH = 1024;

/** A parsed JSON value. */
export type JsonValue = OptionNode | readonly JsonValue[];

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
    if (this.#token.kind === 'end') throw new BlockError('invalid-argument', 'Expecting a JSON value');
    const value = this.#value();
    let more = true;
    try {
      more = this.#lexer.next().kind !== 'end';
    } catch {
      // Even what is no JSON counts as a second value.
    }
    if (more) throw new BlockError('invalid-argument', 'Expecting at most one JSON value');
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
          throw new BlockError('invalid-argument', 'JSON nesting depth limit exceeded');
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

/** True for code points that may stand in a string: no surrogates and no noncharacters. */
function isCharacter(code: number): boolean {
  if (code >= 0xd800 && code <= 0xdfff) return false;
  return code % 0x10000 < 0xfffe && !(code >= 0xfdd0 && code <= 0xfdef);
}

/** The content of a string word. */
function unquote(token: JsonToken): string {
  const { text } = token;
  let result = '';
  for (let index = 1; index < text.length - 1; ) {
    if (text[index] === '\\') {
      const escape = text[index + 1] ?? '';
      if (escape === 'u') {
        const { char, used } = unicodeEscape(token, index);
        result += char;
        index += used;
        continue;
      }
      const char = Object.hasOwn(ESCAPES, escape) ? ESCAPES[escape] : undefined;
      if (char === undefined) throw jsonError(token, 'invalid escape sequence in string');
      result += char;
      index += 2;
      continue;
    }
    const code = text.codePointAt(index) ?? 0;
    if (!isCharacter(code)) throw jsonError(token, 'invalid UTF-8 sequence in string');
    const char = String.fromCodePoint(code);
    result += char;
    index += char.length;
  }
  return result;
}

/** The character of a `\uXXXX` escape (or of a surrogate pair of them) at `index`. */
function unicodeEscape(token: JsonToken, index: number): { char: string; used: number } {
  const text = token.text.slice(index);
  const pair = /^\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})/.exec(text);
  const single = /^\\u([0-9a-fA-F]{4})/.exec(text);
  if (pair?.[1] !== undefined && pair[2] !== undefined) {
    const code = 0x10000 + (Number.parseInt(pair[1], 16) - 0xd800) * 0x400 + Number.parseInt(pair[2], 16) - 0xdc00;
    if (isCharacter(code)) return { char: String.fromCodePoint(code), used: 12 };
  } else if (single?.[1] !== undefined) {
    const code = Number.parseInt(single[1], 16);
    if (isCharacter(code)) return { char: String.fromCodePoint(code), used: 6 };
  }
  throw jsonError(token, `${text.slice(0, 6)} is not a valid Unicode character`);
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
    throw new BlockError('invalid-argument', 'Invalid JSON object given');
  }
  return value as OptionTree;
}

/** A string in JSON with everything outside printable ASCII escaped. */
function quoteJson(text: string): string {
  const escaped = JSON.stringify(text).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`,
  );
  // JSON.stringify writes \u001f in lower case.
  return escaped.replace(/(\\\\)|\\u([0-9a-f]{4})/g, (all, backslash, hex) =>
    backslash === undefined ? `\\u${String(hex).toUpperCase()}` : all,
  );
}

/** A value on one line with the real tool's spacing: `{"driver": "raw", "size": 512}`. */
function printJson(value: JsonValue): string {
  if (typeof value === 'string') return quoteJson(value);
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value).toString() : String(value);
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => printJson(item as JsonValue)).join(', ')}]`;
  const members = Object.entries(value).map(
    ([name, item]: [string, JsonValue]) => `${quoteJson(name)}: ${printJson(item)}`,
  );
  return `{${members.join(', ')}}`;
}

/** The `json:` name of a description. */
export function printJsonName(tree: OptionTree): string {
  return `json:${printJson(tree)}`;
}
