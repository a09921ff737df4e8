import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAdc } from '../../../src/codec/adc.ts';
import { fate, SAFE } from './damage.ts';

function decode(input: number[], size = 64): number[] {
  const into = new Uint8Array(size);
  return [...into.subarray(0, decodeAdc(Uint8Array.from(input), into))];
}

describe('decodeAdc', () => {
  it('decodes literals and both kinds of copies', () => {
    expect(decode([0x83, 1, 2, 3, 4])).toEqual([1, 2, 3, 4]);
    // 3 bytes from distance 4; 10 bits of distance are split over both bytes.
    expect(decode([0x83, 1, 2, 3, 4, 0x00, 3])).toEqual([1, 2, 3, 4, 1, 2, 3]);
    // 4 bytes from distance 2, overlapping.
    expect(decode([0x81, 7, 8, 0x40, 0, 1])).toEqual([7, 8, 7, 8, 7, 8]);
    expect(decode([])).toEqual([]);
  });

  it('reaches back by the high bits of the distance', () => {
    const literals = Array.from({ length: 9 }, (_, i) => [0xff, ...Array.from({ length: 128 }, () => i)]).flat();
    const output = decode([...literals, 0x02, 0x80], 2000);
    // Distance 641 from byte 1152: the last byte of run 3, the first two of run 4.
    expect(output.slice(-3)).toEqual([3, 4, 4]);
  });

  it('stops when the output is full', () => {
    expect(decode([0x83, 1, 2, 3, 4], 2)).toEqual([1, 2]);
    expect(decode([0x80, 1, 0x7f, 0, 0], 5)).toEqual([1, 1, 1, 1, 1]);
  });

  it.each([
    ['cut literals', [0x83, 1]],
    ['a cut copy', [0x80, 1, 0x40, 0]],
    ['a copy from before the start', [0x80, 1, 0x00, 1]],
  ])('refuses %s', (_name, input) => {
    expect(() => decode(input)).toThrow(expect.objectContaining({ name: 'BlockError', kind: 'io' }));
  });

  it('ends in output or a BlockError on any input', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(fate(() => decodeAdc(bytes, new Uint8Array(50)))).toMatch(SAFE);
      }),
    );
  });
});
