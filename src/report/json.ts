/** JSON in the layout of `qemu-img --output=json`: four spaces, one element per line, ASCII only. */
import { exactDecimal } from '../base/size.ts';
import { jsonString } from '../options/jsonText.ts';

/** What can be printed. Keys whose value is undefined are left out. */
export type JsonValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

const INDENT = '    ';

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/**
 * The text of a value, without a final newline. Keys come in the order in which the object has them; an empty list or
 * object takes two lines, as with the real tool.
 * @param margin blanks in front of every line but the first.
 */
export function formatJson(value: JsonValue, margin = ''): string {
  if (typeof value === 'string') return jsonString(value);
  if (typeof value === 'number') return Number.isInteger(value) ? exactDecimal(value) : String(value);
  if (typeof value !== 'object' || value === null) return String(value);
  const inner = margin + INDENT;
  if (isList(value))
    return enclose(
      '[',
      ']',
      value.map((item) => formatJson(item, inner)),
      margin,
    );
  const lines: string[] = [];
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) lines.push(`${jsonString(key)}: ${formatJson(member, inner)}`);
  }
  return enclose('{', '}', lines, margin);
}

function enclose(open: string, close: string, lines: readonly string[], margin: string): string {
  const body = lines.map((line) => `\n${margin}${INDENT}${line}`).join(',');
  return `${open}${body}\n${margin}${close}`;
}
