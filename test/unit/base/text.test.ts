import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { bytesOf, isEscaped, textOf } from '../../../src/base/text.ts';

/** Bytes near the edges of what UTF-8 allows. */
const edges = fc.constantFrom(
  0x41,
  0x7f,
  0x80,
  0x8f,
  0x90,
  0x9f,
  0xa0,
  0xbf,
  0xc1,
  0xc2,
  0xe0,
  0xe2,
  0xed,
  0xef,
  0xf0,
  0xf4,
  0xf5,
);

it('brings any bytes back', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(edges, fc.nat(255)), { maxLength: 12 }), (numbers) => {
      const bytes = Uint8Array.from(numbers);
      expect(bytesOf(textOf(bytes))).toEqual(bytes);
    }),
  );
});

it('keeps well-formed text as it is, supplementary characters and U+FFFD included', () => {
  for (const text of ['', 'disk', 'é', '\ufeffx', '\ufffd', '😀\uffff', '\udbff\udfff']) {
    expect(textOf(new TextEncoder().encode(text))).toBe(text);
    expect(isEscaped(text)).toBe(false);
  }
});

it('turns each byte that is no UTF-8 into one lone surrogate', () => {
  expect(textOf(Uint8Array.of(0x63, 0xe9, 0x63))).toBe('c\udce9c');
  expect(textOf(Uint8Array.of(0xed, 0xa0, 0x80))).toBe('\udced\udca0\udc80');
  expect(textOf(Uint8Array.of(0xf0, 0x9f, 0x98, 0x80, 0x80))).toBe('😀\udc80');
});

it('writes a surrogate that stands for nothing as U+FFFD', () => {
  expect(bytesOf('\ud800\udc01x\ud800')).toEqual(new TextEncoder().encode('\u{10001}x\ufffd'));
});
