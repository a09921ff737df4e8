import { inflateRawSync, inflateSync, deflateRawSync } from 'node:zlib';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Compression, Encoder } from '../../../src/codec/codec.ts';
import { deflateEncoder } from '../../../src/codec/deflate.ts';

const NO_LIMIT = Number.POSITIVE_INFINITY;

function encoderOf(how: Compression): Encoder {
  const encoder = deflateEncoder(how);
  if (!encoder) throw new Error('no WebAssembly');
  return encoder;
}

/** Bytes that look like a program: repetitions near and far, of all lengths, and noise between them. */
function sample(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let at = 0; at < length; ) {
    const count = 1 + next(next(4) === 0 ? 700 : 12);
    const back = 1 + next(next(2) === 0 ? 64 : 40_000);
    for (let i = 0; i < count && at < length; i++, at++) {
      bytes[at] = back <= at && count > 2 ? (bytes[at - back] as number) : next(96);
    }
  }
  return bytes;
}

test('a reader with the window of the encoder gets the bytes back', () => {
  const pieces = fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(new Uint8Array(500))), {
    maxLength: 30,
  });
  const raw = new Map([9, 12, 15].map((windowBits) => [windowBits, encoderOf({ method: 'deflate-raw', windowBits })]));
  fc.assert(
    fc.property(pieces, fc.nat(40), fc.constantFrom(9, 12, 15), (parts, times, windowBits) => {
      const once = Buffer.concat(parts);
      const bytes = Buffer.concat(Array.from({ length: times + 1 }, () => once));
      const stream = raw.get(windowBits)!(bytes, NO_LIMIT)!;
      // In small pieces, so that what is further back than the window is gone.
      expect(inflateRawSync(stream, { windowBits, chunkSize: 64 }).equals(bytes)).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test.each([0, 1, 2, 3, 4, 5, 511, 4096, 65_535, 65_536, 65_537, 300_000, 2_097_152])('%i bytes', (length) => {
  const bytes = sample(length, length + 1);
  for (const windowBits of [12, 15]) {
    const stream = encoderOf({ method: 'deflate-raw', windowBits })(bytes, NO_LIMIT)!;
    expect(inflateRawSync(stream, { windowBits, chunkSize: 64 }).equals(bytes)).toBe(true);
    const wrapped = encoderOf({ method: 'zlib', windowBits })(bytes, NO_LIMIT)!;
    expect(inflateSync(wrapped, { windowBits }).equals(bytes)).toBe(true);
  }
});

test('streams are about as long as those of zlib', () => {
  for (const seed of [1, 2, 3]) {
    const bytes = sample(65_536, seed);
    const ours = encoderOf({ method: 'deflate-raw', windowBits: 12 })(bytes, NO_LIMIT)!;
    expect(ours.length).toBeLessThan(1.02 * deflateRawSync(bytes, { windowBits: 12, memLevel: 9 }).length);
  }
  const zeroes = encoderOf({ method: 'deflate-raw', windowBits: 12 })(new Uint8Array(65_536), NO_LIMIT)!;
  expect(zeroes.length).toBeLessThanOrEqual(deflateRawSync(new Uint8Array(65_536)).length);
});

test('what came before makes no difference', () => {
  const encode = encoderOf({ method: 'deflate-raw', windowBits: 15 });
  const bytes = sample(100_000, 7);
  const first = encode(bytes, NO_LIMIT)!.slice();
  encode(sample(400_000, 8), NO_LIMIT);
  expect(encode(bytes, NO_LIMIT)).toEqual(first);
  encode(bytes.subarray(0, 1000), 10);
  expect(encode(bytes, NO_LIMIT)).toEqual(first);
});

test('a stream is given up when it reaches the limit', () => {
  const encode = encoderOf({ method: 'deflate-raw', windowBits: 12 });
  const bytes = sample(65_536, 9);
  const { length } = encode(bytes, NO_LIMIT)!;
  expect(encode(bytes, length)).toBeUndefined();
  expect(encode(bytes, length + 1)?.length).toBe(length);
});

test('bytes that do not get shorter are stored, in pieces that have a length', () => {
  const noise = new Uint8Array(200_000);
  let state = 1;
  for (let i = 0; i < noise.length; i++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + i;
    noise[i] = state >>> 13;
  }
  const stream = encoderOf({ method: 'deflate-raw', windowBits: 12 })(noise, NO_LIMIT)!;
  expect(stream.length).toBeLessThan(noise.length + 60);
  expect(inflateRawSync(stream).equals(noise)).toBe(true);
});

test('the sum of the wrapper is that of all bytes, even the largest', () => {
  const bytes = new Uint8Array(70_001).fill(255);
  const stream = encoderOf({ method: 'zlib' })(bytes, NO_LIMIT)!;
  expect(inflateSync(stream).equals(bytes)).toBe(true);
});
