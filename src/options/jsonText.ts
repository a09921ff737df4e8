/** Strings as the real tool writes them in JSON. */
import { jsonCharacters } from '../base/text.ts';

/** Short escapes. */
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/**
 * A string in quotes; everything that is not printable ASCII is escaped, with capital hexadecimal digits, and what is no
 * character is U+FFFD.
 */
export function jsonString(text: string): string {
  return `"${jsonCharacters(text).replace(/["\\]|[^ -~]/g, (unit) => ESCAPES[unit] ?? unitEscape(unit))}"`;
}

function unitEscape(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
}
