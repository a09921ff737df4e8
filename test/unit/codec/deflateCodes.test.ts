import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { CODE_BITS, codeLengths, prefixCodes } from '../../../src/codec/deflateCodes.ts';

function lengthsOf(counts: readonly number[], longest: number): number[] {
  const lengths = new Uint8Array(counts.length);
  codeLengths(Uint32Array.from(counts), longest, lengths);
  return [...lengths];
}

/** The bits of the best code: each step of Huffman's way joins the two least. */
function leastBits(counts: readonly number[]): number {
  const left = counts.filter((count) => count > 0);
  let bits = 0;
  while (left.length > 1) {
    left.sort((one, other) => one - other);
    const sum = (left.shift() as number) + (left.shift() as number);
    bits += sum;
    left.push(sum);
  }
  return bits;
}

test('codes are complete, and the shortest there are where length is no matter', () => {
  const counts = fc.array(fc.oneof(fc.constant(0), fc.nat(9), fc.nat(30_000)), { minLength: 3, maxLength: 286 });
  fc.assert(
    fc.property(counts, (list) => {
      const lengths = lengthsOf(list, 15);
      expect(lengths.reduce((sum, length) => sum + (length > 0 ? 2 ** -length : 0), 0)).toBe(1);
      if (list.filter((count) => count > 0).length < 2) return;
      list.forEach((count, symbol) => expect(lengths[symbol] === 0).toBe(count === 0));
      // 15 bits are enough for counts of this size.
      const bits = list.reduce((sum, count, symbol) => sum + count * (lengths[symbol] as number), 0);
      expect(bits).toBe(leastBits(list));
    }),
  );
});

test('no code is longer than asked for', () => {
  // Counts as Fibonacci's make the deepest tree.
  const counts = [1, 1];
  while (counts.length < 24) counts.push((counts.at(-1) as number) + (counts.at(-2) as number));
  for (const longest of [15, 7]) {
    const lengths = lengthsOf(counts, longest);
    expect(Math.max(...lengths)).toBe(longest);
    expect(lengths.reduce((sum, length) => sum + 2 ** -length, 0)).toBe(1);
  }
});

test('the codes are those of the example in RFC 1951, 3.2.2', () => {
  const codes = new Uint32Array(8);
  prefixCodes(Uint8Array.from([3, 3, 3, 3, 3, 2, 4, 4]), codes);
  const text = [...codes].map((code) => {
    const bits = (code & ((1 << CODE_BITS) - 1)).toString(2).padStart(code >>> CODE_BITS, '0');
    return bits.split('').toReversed().join('');
  });
  expect(text).toEqual(['010', '011', '100', '101', '110', '00', '1110', '1111']);
});
