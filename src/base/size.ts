/** Sizes as people write them (`1M`, `1.5G`, `0x1000`) and as they are shown (`196 KiB`). */

/** Outcome of reading a number from text. */
export type ParsedNumber =
  | { readonly kind: 'ok'; readonly value: number; readonly exact: bigint }
  /** Not a number at all. */
  | { readonly kind: 'invalid' }
  /** A number, but negative or not below 2^64. */
  | { readonly kind: 'range' };

const INVALID: ParsedNumber = { kind: 'invalid' };
const RANGE: ParsedNumber = { kind: 'range' };
const LIMIT = 2n ** 64n;

/** Powers of 1024 by suffix letter. */
const SUFFIXES = 'BKMGTPE';

function accepted(exact: bigint): ParsedNumber {
  return exact >= LIMIT ? RANGE : { kind: 'ok', value: Number(exact), exact };
}

/**
 * A size: a decimal number with an optional fraction and an optional suffix out of `bBkKmMgGtTpPeE` (powers of 1024),
 * or a hexadecimal number without either. A fraction needs a suffix above `B`. Leading blanks and `+` are accepted.
 */
export function parseSize(text: string): ParsedNumber {
  const body = text.replace(/^[ \t\n\v\f\r]+/, '');
  if (/^-\d+$|^-0[xX][0-9a-fA-F]+$/.test(body)) return RANGE;
  const hex = /^\+?0[xX]([0-9a-fA-F]+)$/.exec(body);
  if (hex?.[1] !== undefined) return accepted(BigInt(`0x${hex[1]}`));
  const decimal = /^\+?(\d*)(\.\d*)?([bBkKmMgGtTpPeE]?)$/.exec(body);
  if (decimal === null) return INVALID;
  const [, whole = '', fraction = '', suffix = ''] = decimal;
  if (whole === '' && fraction.length < 2) return INVALID;
  const unit = 1024n ** BigInt(suffix === '' ? 0 : SUFFIXES.indexOf(suffix.toUpperCase()));
  const part = fraction.length < 2 ? 0 : Number(`0${fraction}`);
  if (part !== 0 && unit === 1n) return INVALID;
  // The fraction is a double, rounded to whole bytes after scaling: 0.9999999k is 1024 bytes.
  return accepted(BigInt(whole === '' ? 0 : whole) * unit + BigInt(Math.floor(part * Number(unit) + 0.5)));
}

/**
 * A whole number in C notation: decimal, `0x` hexadecimal, `0` octal, with leading blanks and sign.
 * A negative number is `ok` with its negative value; the caller decides about the range.
 */
export function parseInteger(text: string): ParsedNumber {
  const match = /^[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]*)|([1-9]\d*))$/.exec(text);
  if (match === null) return INVALID;
  const [, sign, hex, octal, decimal] = match;
  const digits = hex !== undefined ? `0x${hex}` : octal !== undefined ? `0o${octal === '' ? '0' : octal}` : decimal;
  const magnitude = BigInt(digits ?? 0);
  if (magnitude >= LIMIT) return RANGE;
  const exact = sign === '-' ? -magnitude : magnitude;
  return { kind: 'ok', value: Number(exact), exact };
}

/** A number exactly between two of three digits goes to the even one, as in C; `toPrecision` takes the larger. */
function roundToEven(value: number): number {
  // Twenty digits tell any double from its neighbours, so a tie that shows here is one.
  const digits = value.toExponential(20);
  if (!/^\d\.\d[02468]50*e/.test(digits)) return value;
  return Number(`${digits.slice(0, 4)}${digits.slice(digits.indexOf('e'))}`);
}

/** `value` with at most three significant digits, in the style of C's `%0.3g`. */
export function threeDigits(value: number): string {
  if (Number.isInteger(value) && value >= 0 && value < 1000) return String(value);
  const [mantissa = '', exponent] = roundToEven(value).toPrecision(3).split('e');
  const plain = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
  if (exponent === undefined) return plain;
  const sign = exponent.startsWith('-') ? '-' : '+';
  return `${plain}e${sign}${exponent.replace(/^[+-]/, '').padStart(2, '0')}`;
}

const UNITS = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const;

/** A number of bytes for people: `196 KiB`, `1.95 TiB`, `0.977 MiB` (the next unit starts at 1000 of the last). */
export function humanSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${threeDigits(value)} ${UNITS[unit]}B`;
}

/** Largest signed and unsigned 64-bit numbers: what 2^63 and 2^64 stand for when a size is a double. */
const LARGEST_SIGNED = 2 ** 63;

/** All digits of a whole number; numbers beyond 2^53 never show as `1e+21` or with digits that a double made up. */
export function exactDecimal(value: number): string {
  if (Number.isSafeInteger(value)) return String(value);
  if (value === LARGEST_SIGNED) return '9223372036854775807';
  return BigInt(value).toString();
}
