/** Tests that all hosts' coders share. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Decoder, Encoder } from '../../../src/codec/codec.ts';
import { fate, SAFE } from '../codec/damage.ts';

/** The error of damaged data. */
export const IO: unknown = expect.objectContaining({ name: 'BlockError', kind: 'io' });
/** Bytes that get shorter. */
export const text: Uint8Array = Uint8Array.from({ length: 20_000 }, (_, i) => (i * i) >> 9);
let state = 1;
/** Bytes that do not. */
export const noise: Uint8Array = new Uint8Array(5000).map(() => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state;
});

/** Implementations of one method each. */
export type Ways = readonly [name: string, make: () => Promise<{ encode: Encoder; decode: Decoder }>][];

/** What every coder has to do, whatever it is made of. */
export function checkCoders(ways: Ways): void {
  describe.each(ways)('%s', (_name, make) => {
    it('gives back what it compressed, with anything behind it', async () => {
      const { encode, decode } = await make();
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 9 }), (bytes, behind) => {
          const stream = Buffer.concat([encode(bytes, Number.POSITIVE_INFINITY) as Uint8Array, behind]);
          const into = new Uint8Array(bytes.length + 3).fill(9);
          expect(decode(stream, into.subarray(0, bytes.length))).toBe(bytes.length);
          expect(into).toEqual(Uint8Array.from([...bytes, 9, 9, 9]));
        }),
        { numRuns: 30 },
      );
    });

    it('works on shared memory', async () => {
      const { encode, decode } = await make();
      const input = new Uint8Array(new SharedArrayBuffer(text.length));
      input.set(text);
      const stream = (encode(input, text.length) as Uint8Array).slice();
      const into = new Uint8Array(new SharedArrayBuffer(text.length));
      expect(decode(stream, into)).toBe(text.length);
      expect(Buffer.compare(into, text)).toBe(0);
    });

    it('declines what does not get shorter than the limit', async () => {
      const { encode } = await make();
      const length = (encode(text, Number.POSITIVE_INFINITY) as Uint8Array).length;
      expect(encode(text, length)).toBeUndefined();
      expect(encode(text, length + 1)?.length).toBe(length);
      expect(encode(noise, noise.length)).toBeUndefined();
      expect(encode(noise, Number.POSITIVE_INFINITY)?.length).toBeGreaterThanOrEqual(noise.length);
      expect(encode(text, 0)).toBeUndefined();
    });

    it('stops when the output is full, and reports a stream that yields less', async () => {
      const { encode, decode } = await make();
      const stream = Uint8Array.from(encode(text, text.length) as Uint8Array);
      const part = new Uint8Array(1000);
      expect(decode(stream, part)).toBe(1000);
      expect(part).toEqual(text.subarray(0, 1000));
      expect(decode(stream, new Uint8Array(text.length + 1))).toBe(text.length);
      expect(decode(stream, new Uint8Array(0))).toBe(0);
    });

    it('refuses damaged streams and works on after them', async () => {
      const { encode, decode } = await make();
      const stream = Uint8Array.from(encode(text, text.length) as Uint8Array);
      const into = new Uint8Array(text.length);
      for (const length of [0, 1, stream.length >> 1, stream.length - 12]) {
        expect(() => decode(stream.subarray(0, length), into)).toThrow(IO);
      }
      expect(() => decode(new Uint8Array(100).fill(0xff), into)).toThrow(IO);
      const damaged = stream.slice();
      damaged.fill(0x55, 12, 200);
      expect(() => decode(damaged, into)).toThrow(IO);
      expect(decode(stream, into)).toBe(text.length);
      expect(Buffer.compare(into, text)).toBe(0);
    });

    it('ends in output or a BlockError on any damage', async () => {
      const { encode, decode } = await make();
      const stream = Uint8Array.from(encode(text.subarray(0, 3000), 3000) as Uint8Array);
      const into = new Uint8Array(3000);
      const change = fc.tuple(fc.nat(stream.length - 1), fc.nat(255));
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
          const bytes = stream.slice();
          for (const [at, value] of changes) bytes[at] = value;
          expect(fate(() => decode(bytes, into))).toMatch(SAFE);
        }),
        { numRuns: 100 },
      );
    });
  });
}
