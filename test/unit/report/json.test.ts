import { array, assert, boolean, constant, dictionary, integer, letrec, oneof, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeValues } from '../../../src/report/human.ts';
import { isCharacter, textOf } from '../../../src/base/text.ts';
import { formatJson, type JsonValue } from '../../../src/report/json.ts';

describe('JSON output', () => {
  it('has the layout of the real tool', () => {
    const value = { b: [], a: {}, list: [1, { x: 'y' }], none: undefined, big: 70368744177664, yes: true };
    expect(formatJson(value)).toBe(`{
    "b": [
    ],
    "a": {
    },
    "list": [
        1,
        {
            "x": "y"
        }
    ],
    "big": 70368744177664,
    "yes": true
}`);
  });

  it('writes text as ASCII', () => {
    expect(formatJson('é😀"\\\t\u0001\u007f\ud800')).toBe('"\\u00E9\\uD83D\\uDE00\\"\\\\\\t\\u0001\\u007F\\uFFFD"');
  });

  it('shows what is no character as the real tool does', () => {
    for (const [bytes, shown] of [
      [[0xe9, 0xe9], '\\uFFFD\\uFFFD'],
      [[0xe2, 0x82, 0x7a], '\\uFFFDz'],
      [[0xed, 0xa0, 0x80], '\\uFFFD'],
      [[0xc0, 0x80], '\\u0000'],
      [[0xc1, 0xbf], '\\uFFFD'],
      [[0xf8, 0x88, 0x80, 0x80, 0x80], '\\uFFFD'],
      [[0xfe, 0x80], '\\uFFFD\\uFFFD'],
      [[0xef, 0xbf, 0xbe], '\\uFFFD'],
      [[0xf0, 0x9f, 0x98, 0x80, 0xe9], '\\uD83D\\uDE00\\uFFFD'],
    ] as const) {
      expect(formatJson(textOf(Uint8Array.from(bytes)))).toBe(`"${shown}"`);
    }
  });

  it('is JSON', () => {
    // Noncharacters are shown as U+FFFD.
    const codes = array(integer({ min: 0, max: 0x10ffff }).filter(isCharacter), { maxLength: 8 });
    const characters = codes.map((all) => String.fromCodePoint(...all));
    const { value } = letrec<{ value: JsonValue }>((tie) => ({
      value: oneof(
        { maxDepth: 3 },
        oneof(characters, integer(), boolean(), constant(null)),
        array(tie('value'), { maxLength: 4 }),
        dictionary(string({ unit: 'grapheme' }), tie('value'), { maxKeys: 4 }),
      ),
    }));
    assert(
      property(value, (original) => {
        expect(JSON.parse(formatJson(original))).toEqual(JSON.parse(JSON.stringify(original)));
      }),
    );
  });

  it('writes integers beyond 2^53 with all their digits', () => {
    expect(formatJson(2 ** 62)).toBe('4611686018427387904');
    expect(formatJson(12n ** 20n)).toBe('3833759992447475122176');
  });
});

describe('nested data for people', () => {
  it('names elements, and has blanks in names', () => {
    const data = { 'lazy-refcounts': false, bitmaps: [{ flags: ['auto'], name: 'b0' }, { flags: [] }], format: '' };
    expect(describeValues(data, '  ')).toEqual([
      '  lazy refcounts: false',
      '  bitmaps:',
      '      [0]:',
      '          flags:',
      '              [0]: auto',
      '          name: b0',
      '      [1]:',
      '          flags:',
      '  format: ',
    ]);
  });
});
