import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBzip2 } from '../../../src/codec/bzip2.ts';
import { fate, SAFE } from './damage.ts';

/** Output of `bzip2` 1.0.8. */
const STREAMS = {
  empty: { base64: 'QlpoORdyRThQkAAAAAA=', text: '' },
  text: {
    base64: 'QlpoOTFBWSZTWW9PEPMAAAXRAAAQQAACRKAAMMACqDRxDa2HDxdyRThQkG9PEPM=',
    text: 'hello hello hello hello\n',
  },
  runs: {
    base64: 'QlpoMTFBWSZTWVSf+ugAAD7BgcAAOAAAcACAAAggADEGTECKmm1Mk9UVCwEgCa3gOO6zaYHPi7kinChIKk/9dAA=',
    text: `${'x'.repeat(1000)}yyyy${'abc'.repeat(40)}${'z'.repeat(259)}`,
  },
};
const bytesOf = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));

function decode(input: Uint8Array, size: number): string {
  const into = new Uint8Array(size);
  return Buffer.from(into.subarray(0, decodeBzip2(input, into))).toString('latin1');
}

describe('decodeBzip2', () => {
  it.each(Object.entries(STREAMS))('decodes what bzip2 wrote: %s', (_name, { base64, text }) => {
    expect(decode(bytesOf(base64), text.length)).toBe(text);
    expect(decode(bytesOf(base64), text.length + 100)).toBe(text);
    expect(decode(Buffer.concat([bytesOf(base64), Buffer.alloc(30, 7)]), text.length + 100)).toBe(text);
  });

  it('stops when the output is full', () => {
    const { base64, text } = STREAMS.runs;
    for (const size of [0, 1, 3, 4, 5, 700, 1003, 1382]) {
      expect(decode(bytesOf(base64), size)).toBe(text.slice(0, size));
    }
  });

  it('refuses a stream that is cut short', () => {
    const whole = bytesOf(STREAMS.runs.base64);
    for (let length = 0; length < whole.length - 10; length++) {
      expect(() => decode(whole.subarray(0, length), 2000)).toThrow(expect.objectContaining({ kind: 'io' }));
    }
  });

  it('notices a wrong checksum', () => {
    const bytes = bytesOf(STREAMS.text.base64);
    bytes[10] = (bytes[10] as number) ^ 1;
    expect(() => decode(bytes, 100)).toThrow('a checksum is wrong');
  });

  it('ends in output or a BlockError on any damage', () => {
    const whole = bytesOf(STREAMS.runs.base64);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const bytes = whole.slice();
          for (const [at, value] of changes) bytes[at] = value;
          expect(fate(() => decodeBzip2(bytes, new Uint8Array(1500)))).toMatch(SAFE);
        },
      ),
      { numRuns: 200 },
    );
  });
});
