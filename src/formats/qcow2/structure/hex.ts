/** Numbers as the messages about damage show them. */

/** A number in C's `%#x` notation. */
export function hex(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}

/** A 64-bit value from its halves in hexadecimal, without leading zeroes. */
export function hexHalves(high: number, low: number): string {
  return high === 0 ? low.toString(16) : high.toString(16) + low.toString(16).padStart(8, '0');
}
