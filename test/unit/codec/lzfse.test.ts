import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeLzfse } from '../../../src/codec/lzfse.ts';
import { fate, SAFE } from './damage.ts';
import { encodeBlock, type Step } from './lzfseEncoder.ts';

const END = Buffer.from('bvx$');

function decode(input: Uint8Array, size: number): Uint8Array {
  const into = new Uint8Array(size);
  return into.subarray(0, decodeLzfse(input, into));
}

function repeat(byte: number, count: number): number[] {
  return Array.from({ length: count }, () => byte);
}

function block(magic: string, numbers: number[], payload: number[] = []): Buffer {
  const head = Buffer.alloc(4 + numbers.length * 4);
  head.write(magic, 'latin1');
  for (const [i, number] of numbers.entries()) head.writeUInt32LE(number, 4 + i * 4);
  return Buffer.concat([head, Buffer.from(payload)]);
}

/** A `bvxn` block with the end mark of eight bytes. */
function lzvn(size: number, payload: number[]): Buffer {
  const whole = [...payload, 6, 0, 0, 0, 0, 0, 0, 0];
  return Buffer.concat([block('bvxn', [size, whole.length], whole), END]);
}

/** Applies steps to a plain array. */
function play(steps: readonly Step[], start: number[] = []): number[] {
  const output = [...start];
  let distance = 0;
  for (const step of steps) {
    output.push(...step.literals);
    distance = step.distance || distance;
    for (let i = 0; i < step.match; i++) output.push(output[output.length - distance] as number);
  }
  return output;
}

/** Steps that are valid after `history` bytes; every match is at least 1. */
function anySteps(): fc.Arbitrary<Step[]> {
  const step = fc.record({
    literals: fc.oneof(
      fc.array(fc.nat(255), { maxLength: 20 }),
      fc.array(fc.constantFrom(1, 2, 3), { maxLength: 320 }),
    ),
    match: fc.oneof(fc.nat(20), fc.nat(2359)),
    distance: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 262139 })),
  });
  return fc.array(step, { minLength: 1, maxLength: 12 }).map((list) => {
    let size = 1;
    let known = 1;
    return list.map((item, i) => {
      const literals = i === 0 ? [42, ...item.literals.slice(0, 300)] : item.literals.slice(0, 314);
      size += literals.length - (i === 0 ? 1 : 0);
      const distance = i === 0 ? 1 : item.distance === 0 ? 0 : 1 + (item.distance % size);
      known = distance || known;
      size += item.match;
      return { literals, match: item.match, distance };
    });
  });
}

describe('decodeLzfse', () => {
  it('decodes what the system compressor of macOS writes for 4096 times A', () => {
    const stream = Buffer.from(
      `6276783200100000040000000003007000000000000c0050830000002490000ce7d75c030000005c03000000c04ff0937c0f${'00'.repeat(31)}c0a30f${'00'.repeat(55)}3456ff3f62767824`,
      'hex',
    );
    expect(decode(stream, 5000)).toEqual(new Uint8Array(4096).fill(0x41));
    expect(decode(stream, 100)).toEqual(new Uint8Array(100).fill(0x41));
  });

  it('decodes entropy-coded blocks of any frequencies', () => {
    fc.assert(
      fc.property(anySteps(), fc.integer({ min: 2, max: 9 }), (steps, skew) => {
        const expected = Uint8Array.from(play(steps));
        const stream = Buffer.concat([encodeBlock(steps, expected.length, skew), END]);
        expect(Buffer.compare(decode(stream, expected.length + 1), expected)).toBe(0);
        const half = expected.length >> 1;
        expect(Buffer.compare(decode(stream, half), expected.subarray(0, half))).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('shares history between blocks', () => {
    const steps = [{ literals: [9], match: 5, distance: 6 }];
    const first = block('bvx-', [5], [1, 2, 3, 4, 5]);
    const stream = Buffer.concat([first, encodeBlock(steps, 6), END]);
    expect([...decode(stream, 50)]).toEqual(play(steps, [1, 2, 3, 4, 5]));
  });

  it.each([
    ['small literals', [0xe3, 1, 2, 3], [1, 2, 3]],
    ['large literals', [0xe0, 1, ...repeat(8, 17)], repeat(8, 17)],
    ['small distance', [0x80 | (1 << 3), 2, 4, 5], [4, 5, 4, 5, 4, 5]],
    ['large distance', [0xc7, 2, 0, 1, 2, 3], [1, 2, 3, 2, 3, 2]],
    ['medium distance', [0xb8, 0x0c | 1, 0, 1, 2, 3], [1, 2, 3, 1, 2, 3, 1]],
    ['previous distance', [0x80, 2, 4, 5, 0x4e, 7], [4, 5, 4, 5, 4, 7, 4, 7, 4, 7]],
    ['previous distance only', [0x80, 2, 4, 5, 0xf2, 0x0e, 0x16], [4, 5, 4, 5, 4, 5, 4]],
    ['long match', [0x40, 1, 6, 0xf0, 2], repeat(6, 22)],
  ])('decodes LZVN: %s', (_name, payload, expected) => {
    expect([...decode(lzvn(expected.length, payload), 100)]).toEqual(expected);
  });

  it.each([
    ['an unknown block', Buffer.from('bvx3....')],
    ['no block', Buffer.alloc(0)],
    ['a raw block that is cut off', block('bvx-', [5], [1, 2])],
    ['a block of another size', lzvn(4, [0xe3, 1, 2, 3])],
    ['a block that yields too much', lzvn(2, [0xe3, 1, 2, 3])],
    ['a distance of zero', lzvn(4, [0xe1, 1, 0xf3])],
    ['a distance before the start', lzvn(5, [0x80, 9, 1, 2])],
    ['an undefined opcode', lzvn(4, [0x70])],
    ['an LZVN block without end', block('bvxn', [9, 2], [0xe1, 1])],
  ])('refuses %s', (_name, stream) => {
    expect(() => decode(stream, 100)).toThrow(expect.objectContaining({ name: 'BlockError', kind: 'io' }));
  });

  it('ends in output or a BlockError on any damage', () => {
    const steps: Step[] = [
      { literals: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 200], match: 40, distance: 7 },
      { literals: [4, 5], match: 300, distance: 0 },
    ];
    const stream = Buffer.concat([encodeBlock(steps, play(steps).length), lzvn(7, [0x88, 2, 4, 5, 0xf1])]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(stream.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const bytes = Uint8Array.from(stream);
          for (const [at, value] of changes) bytes[at] = value;
          expect(fate(() => decodeLzfse(bytes, new Uint8Array(1000)))).toMatch(SAFE);
        },
      ),
      { numRuns: 500 },
    );
  });
});
