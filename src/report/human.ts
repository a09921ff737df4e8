/** Format-specific data as `info` shows it to people: nested, with blanks instead of hyphens in the names. */
import { exactDecimal } from '../base/size.ts';
import type { InfoValue } from '../block/capabilities.ts';

const INDENT = '    ';

function isComposite(value: InfoValue): value is readonly InfoValue[] | { readonly [key: string]: InfoValue } {
  return typeof value === 'object' && value !== null;
}

function scalar(value: string | number | boolean | null): string {
  return typeof value === 'number' && Number.isInteger(value) ? exactDecimal(value) : String(value);
}

/**
 * The lines that describe nested data: `name: value`, or `name:` with what belongs to it indented below; elements of
 * lists are named `[0]`, `[1]` and so on.
 * @param margin blanks in front of every line.
 */
export function describeValues(data: InfoValue, margin: string): string[] {
  if (!isComposite(data)) return [`${margin}${scalar(data)}`];
  const named = Array.isArray(data)
    ? data.map((value: InfoValue, index) => [`[${index}]`, value] as const)
    : Object.entries(data).map(([key, value]) => [key.replaceAll('-', ' '), value] as const);
  return named.flatMap(([name, value]) =>
    isComposite(value)
      ? [`${margin}${name}:`, ...describeValues(value, margin + INDENT)]
      : [`${margin}${name}: ${scalar(value)}`],
  );
}
