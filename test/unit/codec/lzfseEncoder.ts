/**
 * A compressor to `bvx2` blocks that knows nothing but the format: frequencies are whatever the caller wants, states
 * are found by search. It exists to produce streams with properties that a real compressor rarely chooses.
 */

/** A step of the decoder: literals, then a copy; distance 0 repeats the one before. */
export interface Step {
  readonly literals: readonly number[];
  readonly match: number;
  readonly distance: number;
}

const L_EXTRA = [...new Uint8Array(16), 2, 3, 5, 8];
const M_EXTRA = [...new Uint8Array(16), 3, 5, 8, 11];
const D_EXTRA = Array.from({ length: 64 }, (_, i) => i >> 2);

/** Bits in the order in which they are written; a decoder takes them from the last one. */
class Bits {
  readonly list: number[] = [];
  push(value: number, count: number): void {
    for (let i = 0; i < count; i++) this.list.push(Math.floor(value / 2 ** i) & 1);
  }
  /** The bytes, and minus the number of unused bits of the last one. */
  bytes(): [Uint8Array, number] {
    const bytes = new Uint8Array(Math.ceil(this.list.length / 8));
    for (const [i, bit] of this.list.entries()) bytes[i >> 3] = (bytes[i >> 3] as number) | (bit << (i & 7));
    return [bytes, this.list.length - bytes.length * 8];
  }
}

interface State {
  symbol: number;
  bits: number;
  next: number;
}

/** The rule of the format: of f states of a symbol, the first ones take k bits, the others k - 1. */
function states(frequencies: number[], total: number): State[] {
  return frequencies.flatMap((f, symbol) => {
    if (f === 0) return [];
    let k = 0;
    while (f * 2 ** k < total) k++;
    const wide = (2 * total) / 2 ** k - f;
    return Array.from({ length: f }, (_, i) =>
      i < wide
        ? { symbol, bits: k, next: (f + i) * 2 ** k - total }
        : { symbol, bits: k - 1, next: (i - wide) * 2 ** (k - 1) },
    );
  });
}

/** The state that yields `symbol` and leads to state `to`. */
function before(table: State[], symbol: number, to: number, bits: Bits): number {
  const at = table.findIndex((s) => s.symbol === symbol && s.next <= to && to < s.next + 2 ** s.bits);
  const state = table[at] as State;
  bits.push(to - state.next, state.bits);
  return at;
}

/** Frequencies over all symbols that occur, adding up to `total`; `skew` decides how uneven they are. */
function spread(symbols: number[], size: number, total: number, skew: number): number[] {
  const frequencies = Array.from({ length: size }, () => 0);
  const used = [...new Set(symbols)];
  let left = total;
  for (const [i, symbol] of used.entries()) {
    const others = used.length - i - 1;
    const share = others === 0 ? left : Math.max(1, Math.min(left - others, Math.floor(left / skew)));
    frequencies[symbol] = share;
    left -= share;
  }
  return frequencies;
}

function symbolOf(value: number, extra: number[]): { symbol: number; rest: number; bits: number } {
  let base = 0;
  let symbol = 0;
  while (symbol < extra.length - 1 && value >= base + 2 ** (extra[symbol] as number)) {
    base += 2 ** (extra[symbol] as number);
    symbol++;
  }
  return { symbol, rest: value - base, bits: extra[symbol] as number };
}

function frequencyBits(bits: Bits, f: number): void {
  if (f < 2) bits.push(f === 0 ? 0 : 2, 2);
  else if (f < 4) bits.push(f === 2 ? 1 : 5, 3);
  else if (f < 8) bits.push(3 + (f - 4) * 8, 5);
  else if (f < 24) bits.push(7 + (f - 8) * 16, 8);
  else bits.push(15 + (f - 24) * 16, 14);
}

/** One `bvx2` block of `size` bytes. */
export function encodeBlock(steps: readonly Step[], size: number, skew = 3): Uint8Array {
  const literals = steps.flatMap((step) => step.literals);
  while (literals.length % 4 !== 0) literals.push(literals[0] as number);
  const codes = steps.map((step) => [
    symbolOf(step.literals.length, L_EXTRA),
    symbolOf(step.match, M_EXTRA),
    symbolOf(step.distance, D_EXTRA),
  ]);
  const frequencies = [20, 20, 64].map((count, i) =>
    spread(
      codes.map((c) => c[i]?.symbol as number),
      count,
      i < 2 ? 64 : 256,
      skew,
    ),
  );
  const literalFrequencies =
    literals.length === 0 ? Array.from({ length: 256 }, () => 0) : spread(literals, 256, 1024, skew);

  const literalBits = new Bits();
  const literalTable = states(literalFrequencies, 1024);
  const literalStates = [0, 0, 0, 0];
  for (let i = literals.length - 1; i >= 0; i--) {
    literalStates[i & 3] = before(literalTable, literals[i] as number, literalStates[i & 3] as number, literalBits);
  }
  const stepBits = new Bits();
  const tables = [64, 64, 256].map((total, i) => states(frequencies[i] as number[], total));
  const stepStates = [0, 0, 0];
  for (const code of codes.toReversed()) {
    for (let i = 2; i >= 0; i--) {
      const { symbol, rest, bits } = code[i] as { symbol: number; rest: number; bits: number };
      stepBits.push(rest, bits);
      stepStates[i] = before(tables[i] as State[], symbol, stepStates[i] as number, stepBits);
    }
  }

  const header = new Bits();
  header.push(0x32787662, 32);
  header.push(size, 32);
  const [literalBytes, literalUnused] = literalBits.bytes();
  const [stepBytes, stepUnused] = stepBits.bytes();
  for (const count of [literals.length, literalBytes.length, steps.length]) header.push(count, 20);
  header.push(literalUnused + 7, 4);
  for (const state of literalStates) header.push(state, 10);
  header.push(stepBytes.length, 20);
  header.push(stepUnused + 7, 4);
  const frequencyTable = new Bits();
  for (const f of [...frequencies.flat(), ...literalFrequencies]) frequencyBits(frequencyTable, f);
  const [tableBytes] = frequencyTable.bytes();
  header.push(32 + tableBytes.length, 32);
  for (const state of stepStates) header.push(state, 10);
  header.push(0, 2);
  return Buffer.concat([header.bytes()[0], tableBytes, literalBytes, stepBytes]);
}
