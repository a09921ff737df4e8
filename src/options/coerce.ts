/** Option texts to typed values, with the real tool's messages. */
import { type BlockError, invalidArgument } from '../base/error.ts';
import { exactDecimal, parseInteger, parseSize } from '../base/size.ts';
import { escapeValue, type OptionPair } from './keyval.ts';
import type { AnyOptionValues, OptionKind, OptionTable, OptionValues } from './table.ts';

const TRUE = ['on', 'yes', 'true', 'y'];
const FALSE = ['off', 'no', 'false', 'n'];

const SIZE_HINT =
  'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.';

function bad(message: string, hint?: string): BlockError {
  return invalidArgument(message, hint === undefined ? {} : { hint });
}

/** `on` or `off`, or one of their older spellings. */
export function parseBool(name: string, text: string): boolean {
  if (TRUE.includes(text)) return true;
  if (FALSE.includes(text)) return false;
  throw bad(`Parameter '${name}' expects 'on' or 'off'`);
}

/** A size option: like {@link parseSize}, below 2^64. */
export function parseSizeOption(name: string, text: string): number {
  const parsed = parseSize(text);
  if (parsed.kind === 'range') throw bad(`Value '${text}' is out of range for parameter '${name}'`);
  if (parsed.kind === 'invalid') {
    throw bad(`Parameter '${name}' expects a non-negative number below 2^64`, SIZE_HINT);
  }
  return parsed.value;
}

/** A number option. Negative numbers pass: who uses the value decides about its range. */
function parseNumberOption(name: string, text: string): number {
  const parsed = parseInteger(text);
  if (parsed.kind === 'range') throw bad(`Value '${text}' is too large for parameter '${name}'`);
  if (parsed.kind === 'invalid') throw bad(`Parameter '${name}' expects a number`);
  return parsed.exact >= 2n ** 63n ? Number(parsed.exact - 2n ** 64n) : parsed.value;
}

/** One option's text as a value of its kind. */
function coerceText(name: string, kind: OptionKind, text: string): string | number | boolean {
  switch (kind) {
    case 'bool':
      return parseBool(name, text);
    case 'size':
      return parseSizeOption(name, text);
    case 'number':
      return parseNumberOption(name, text);
    default:
      return text;
  }
}

/**
 * A value of an option tree (text from the command line, or already typed from JSON or a program) as its kind. Typed
 * values are taken as what a user would have written for them: `true` as `on`, as the real tool does.
 */
export function coerceLeaf(name: string, kind: OptionKind, leaf: unknown): string | number | boolean {
  if (typeof leaf === 'boolean') return coerceText(name, kind, leaf ? 'on' : 'off');
  if (typeof leaf === 'number')
    return coerceText(name, kind, Number.isInteger(leaf) ? exactDecimal(leaf) : String(leaf));
  if (typeof leaf === 'string') return coerceText(name, kind, leaf);
  const expected = { bool: 'boolean', number: 'integer', size: 'integer', string: 'string' }[kind];
  throw bad(`Invalid parameter type for '${name}', expected: ${expected}`);
}

/** The defaults of a table. */
export function defaultsOf<T extends OptionTable>(table: T): OptionValues<T> {
  const values: Record<string, string | number | boolean> = {};
  for (const [name, spec] of Object.entries(table)) {
    if (spec.default !== undefined) values[name] = spec.default;
  }
  return values as OptionValues<T>;
}

/** Result of {@link coerceOptions}. */
export interface CoercedOptions {
  /** Every option that was given or has a default. */
  readonly values: AnyOptionValues;
  /** Names that were given, each with its text for the `Formatting ...` line. */
  readonly given: ReadonlyMap<string, string>;
}

/**
 * The options of a `-o` list by a table. Errors come in the order of the list; the last of several values counts.
 * @throws BlockError `Invalid parameter 'x'` for a name that the table does not have.
 */
export function coerceOptions(table: OptionTable, pairs: readonly OptionPair[]): CoercedOptions {
  const values: Record<string, string | number | boolean | undefined> = { ...defaultsOf(table) };
  const given = new Map<string, string>();
  for (const { name, value } of pairs) {
    const spec = Object.hasOwn(table, name) ? table[name] : undefined;
    if (spec === undefined) throw bad(`Invalid parameter '${name}'`);
    const typed = coerceText(name, spec.kind, value);
    values[name] = typed;
    // Texts are shown as written (with commas doubled), numbers as numbers.
    given.set(name, typeof typed === 'number' ? exactDecimal(typed) : escapeValue(value));
  }
  return { values, given };
}
