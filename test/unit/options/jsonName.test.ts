import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { textOf } from '../../../src/base/text.ts';
import { parseJsonName, printJsonName } from '../../../src/options/jsonName.ts';

/** What is wrong with a `json:` name; undefined if nothing. */
function complaint(text: string): string | undefined {
  try {
    parseJsonName(`json:${text}`);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof BlockError) return thrown.message;
    throw thrown;
  }
}

// Observed on the real tool.
test.each<[string, string | undefined]>([
  ['{"a":tru', "Could not parse the JSON options: 1:6: JSON parse error, invalid keyword 'tru'"],
  ['{"a": 12', 'Could not parse the JSON options: 1:10: JSON parse error, premature end of input'],
  ['{"a":nul ', "Could not parse the JSON options: 1:6: JSON parse error, invalid keyword 'nul'"],
  ['{"a":1 ', 'Could not parse the JSON options: 1:8: JSON parse error, premature end of input'],
  ['{"a":"x" ', 'Could not parse the JSON options: 1:10: JSON parse error, premature end of input'],
  ['{a:1;}', 'Could not parse the JSON options: 1:2: JSON parse error, expecting key'],
  ['{a', 'Could not parse the JSON options: 1:2: JSON parse error, expecting key'],
  ['{a:', 'Could not parse the JSON options: 1:2: JSON parse error, expecting key'],
  ['{"a" 1 ;', "Could not parse the JSON options: 1:6: JSON parse error, expecting ':'"],
  ['{"a":1}]', 'Could not parse the JSON options: Expecting at most one JSON value'],
  ['{}}', 'Could not parse the JSON options: Expecting at most one JSON value'],
  ['{};', 'Could not parse the JSON options: Expecting at most one JSON value'],
  ['{} {}', 'Could not parse the JSON options: Expecting at most one JSON value'],
  ['{}"x', 'Could not parse the JSON options: Expecting at most one JSON value'],
  ['[} ', 'Could not parse the JSON options: 1:2: JSON parse error, expecting value'],
  ['{]', 'Could not parse the JSON options: 1:2: JSON parse error, expecting key'],
  ['{"a":[}', 'Could not parse the JSON options: 1:7: JSON parse error, expecting value'],
  ['{"a":[1}', "Could not parse the JSON options: 1:9: JSON parse error, expected ',' or ']'"],
  ['{"a":{]', 'Could not parse the JSON options: 1:7: JSON parse error, expecting key'],
  ['{"a":1,"a":{"b":1}}', 'Could not parse the JSON options: 1:19: JSON parse error, duplicate key'],
  ['{"a":1,"a":[1,2],"c":1}', 'Could not parse the JSON options: 1:17: JSON parse error, duplicate key'],
  ['{\n"a" 1}', "Could not parse the JSON options: 2:5: JSON parse error, expecting ':'"],
  ['{\n\n "a": ;}', "Could not parse the JSON options: 3:7: JSON parse error, stray ';'"],
  [
    '{"a":"\\u12zz"}',
    'Could not parse the JSON options: 1:6: JSON parse error, \\u12zz is not a valid Unicode character',
  ],
  ['{"a":"\\uZ"}', 'Could not parse the JSON options: 1:6: JSON parse error, \\uZ" is not a valid Unicode character'],
  ['{"a":"\\ud83d\\ude00"}', undefined],
  [
    '{"a":"\\udc00"}',
    'Could not parse the JSON options: 1:6: JSON parse error, \\udc00 is not a valid Unicode character',
  ],
  [
    '{"a":"\\ud83dx"}',
    'Could not parse the JSON options: 1:6: JSON parse error, \\ud83d is not a valid Unicode character',
  ],
  [
    '{"a":"\\ud83d\\u0041"}',
    'Could not parse the JSON options: 1:6: JSON parse error, \\ud83d is not a valid Unicode character',
  ],
  ['{"a":"\u00e9"}', undefined],
  ['{"\u00e9":1 1}', "Could not parse the JSON options: 1:9: JSON parse error, expected ',' or '}'"],
  ['{"a":1,', 'Could not parse the JSON options: 1:8: JSON parse error, premature end of input'],
  ['{"a":[', 'Could not parse the JSON options: 1:7: JSON parse error, premature end of input'],
  ['{"a":[1', 'Could not parse the JSON options: 1:9: JSON parse error, premature end of input'],
  ['{"a":[1,', 'Could not parse the JSON options: 1:9: JSON parse error, premature end of input'],
  ['x y', "Could not parse the JSON options: 1:1: JSON parse error, invalid keyword 'x'"],
  ['1 2', 'Could not parse the JSON options: Expecting at most one JSON value'],
  ['1 ;', 'Could not parse the JSON options: Expecting at most one JSON value'],
  ['"a', "Could not parse the JSON options: 1:1: JSON parse error, stray '\"a'"],
  ['tru', "Could not parse the JSON options: 1:1: JSON parse error, invalid keyword 'tru'"],
  ['trux', "Could not parse the JSON options: 1:1: JSON parse error, invalid keyword 'trux'"],
  ['12x', 'Could not parse the JSON options: Expecting at most one JSON value'],
  ['{"a":1,,}', 'Could not parse the JSON options: 1:8: JSON parse error, expecting key'],
  ['{,}', 'Could not parse the JSON options: 1:2: JSON parse error, expecting key'],
  ['[,]', 'Could not parse the JSON options: 1:2: JSON parse error, expecting value'],
  ['{"a":,}', 'Could not parse the JSON options: 1:6: JSON parse error, expecting value'],
  ["{'a\\'b':1 1}", "Could not parse the JSON options: 1:11: JSON parse error, expected ',' or '}'"],
  ['{"a":-0}', undefined],
  ['{"a":-', "Could not parse the JSON options: 1:6: JSON parse error, stray '-'"],
  ['{"a":1.5.2}', "Could not parse the JSON options: 1:10: JSON parse error, stray '.'"],
  ['{"a":12a}', "Could not parse the JSON options: 1:9: JSON parse error, expected ',' or '}'"],
  ['{"a":"\\', "Could not parse the JSON options: 1:6: JSON parse error, stray '\"\\'"],
  ['{"a":"\\u', "Could not parse the JSON options: 1:6: JSON parse error, stray '\"\\u'"],
  ['{"a":"x\\q" ;', 'Could not parse the JSON options: 1:6: JSON parse error, invalid escape sequence in string'],
  ['\t{', 'Could not parse the JSON options: 1:3: JSON parse error, premature end of input'],
  ['{\t;', "Could not parse the JSON options: 1:3: JSON parse error, stray ';'"],
  ['{"a":1 true}', "Could not parse the JSON options: 1:8: JSON parse error, expected ',' or '}'"],
  ['{"a":true false}', "Could not parse the JSON options: 1:11: JSON parse error, expected ',' or '}'"],
  ['{"a":null;', "Could not parse the JSON options: 1:11: JSON parse error, stray ';'"],
  ['{"a":nul;', "Could not parse the JSON options: 1:6: JSON parse error, invalid keyword 'nul'"],
  ['{"a":1;', "Could not parse the JSON options: 1:8: JSON parse error, stray ';'"],
  ['{"a":%s}', "Could not parse the JSON options: 1:6: JSON parse error, stray '%'"],
  ['{"a":%xx}', "Could not parse the JSON options: 1:6: JSON parse error, stray '%'"],
  ['{"a":"%s"}', undefined],
  ['{"a":"%%"}', undefined],
  ['%', "Could not parse the JSON options: 1:1: JSON parse error, stray '%'"],
  ['{"a":"\n"}', "Could not parse the JSON options: 1:6: JSON parse error, stray '\"\n'"],
  ['{"a":"\u007f"}', undefined],
  ['{"a":"\u00a0"}', undefined],
  ['{"a":"\ufffe"}', 'Could not parse the JSON options: 1:6: JSON parse error, invalid UTF-8 sequence in string'],
  ['{"a":"\ud83d\ude00"}', undefined],
  ['{"a":\u0001}', "Could not parse the JSON options: 1:6: JSON parse error, stray '\u0001'"],
  ['', 'Could not parse the JSON options: Expecting a JSON value'],
  [' ', 'Could not parse the JSON options: Expecting a JSON value'],
  ['{}', undefined],
  ['not json', "Could not parse the JSON options: 1:1: JSON parse error, invalid keyword 'not'"],
  ['[]', 'Invalid JSON object given'],
  ['5', 'Invalid JSON object given'],
  ['"x"', 'Invalid JSON object given'],
  ['null', 'Invalid JSON object given'],
  ['{', 'Could not parse the JSON options: 1:2: JSON parse error, premature end of input'],
  ['{"a"', 'Could not parse the JSON options: 1:5: JSON parse error, premature end of input'],
  ['{"a":', 'Could not parse the JSON options: 1:6: JSON parse error, premature end of input'],
  ['{"a":1', 'Could not parse the JSON options: 1:8: JSON parse error, premature end of input'],
  ['{"a":1,}', 'Could not parse the JSON options: 1:8: JSON parse error, expecting key'],
  ['{"a":1}x', 'Could not parse the JSON options: Expecting at most one JSON value'],
  ['{"a":1} ', undefined],
  ["{'driver':'file'}", undefined],
  [
    '{"driver":"file","filename":"a.raw" "x":1}',
    "Could not parse the JSON options: 1:37: JSON parse error, expected ',' or '}'",
  ],
  ['{"a":nul}', "Could not parse the JSON options: 1:6: JSON parse error, invalid keyword 'nul'"],
  ['{"a":"\\x"}', 'Could not parse the JSON options: 1:6: JSON parse error, invalid escape sequence in string'],
  ['{"a":"\\u12"}', 'Could not parse the JSON options: 1:6: JSON parse error, \\u12" is not a valid Unicode character'],
  [
    '{"a":"\\ud800"}',
    'Could not parse the JSON options: 1:6: JSON parse error, \\ud800 is not a valid Unicode character',
  ],
  ['{"a":"\\u0000"}', undefined],
  ['{"a":"x', "Could not parse the JSON options: 1:6: JSON parse error, stray '\"x'"],
  ["{'a':'x", "Could not parse the JSON options: 1:6: JSON parse error, stray ''x'"],
  ['{"a":01}', "Could not parse the JSON options: 1:6: JSON parse error, stray '01'"],
  ['{"a":-}', "Could not parse the JSON options: 1:6: JSON parse error, stray '-}'"],
  ['{"a":1.}', "Could not parse the JSON options: 1:6: JSON parse error, stray '1.}'"],
  ['{"a":.5}', "Could not parse the JSON options: 1:6: JSON parse error, stray '.'"],
  ['{"a":1e}', "Could not parse the JSON options: 1:6: JSON parse error, stray '1e}'"],
  ['{"a":1e5}', undefined],
  ['{"a":+1}', "Could not parse the JSON options: 1:6: JSON parse error, stray '+'"],
  ['{"a":1 2}', "Could not parse the JSON options: 1:8: JSON parse error, expected ',' or '}'"],
  ['[', 'Could not parse the JSON options: 1:2: JSON parse error, premature end of input'],
  [']', 'Could not parse the JSON options: 1:1: JSON parse error, expecting value'],
  ['}', 'Could not parse the JSON options: 1:1: JSON parse error, expecting value'],
  ['{"a":[1,]}', 'Could not parse the JSON options: 1:9: JSON parse error, expecting value'],
  ['{"a":[1 2]}', "Could not parse the JSON options: 1:9: JSON parse error, expected ',' or ']'"],
  ['{"a":truex}', "Could not parse the JSON options: 1:6: JSON parse error, invalid keyword 'truex'"],
  ['{"a":True}', "Could not parse the JSON options: 1:6: JSON parse error, stray 'T'"],
  ['{"a":--1}', "Could not parse the JSON options: 1:6: JSON parse error, stray '--'"],
  ['{"a":1..2}', "Could not parse the JSON options: 1:6: JSON parse error, stray '1..'"],
  ['{"a":0x10}', "Could not parse the JSON options: 1:8: JSON parse error, expected ',' or '}'"],
  ['{"a":"b"c}', "Could not parse the JSON options: 1:9: JSON parse error, expected ',' or '}'"],
  ['# x', "Could not parse the JSON options: 1:1: JSON parse error, stray '#'"],
  ['{"a":1,"a":2}', 'Could not parse the JSON options: 1:12: JSON parse error, duplicate key'],
  ['{"driver":"raw","driver":"raw"}', 'Could not parse the JSON options: 1:26: JSON parse error, duplicate key'],
])('json:%s', (text, message) => expect(complaint(text)).toBe(message));

function nested(depth: number): string {
  return `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
}

test('nesting has a limit', () => {
  expect(complaint(nested(1023))).toBeUndefined();
  expect(complaint(nested(1024))).toBe('Could not parse the JSON options: JSON nesting depth limit exceeded');
});

test('values and strings are read', () => {
  const tree = parseJsonName(
    String.raw`json:{'a':"x\"\u00e9\ud83d\ude00\n", "b":[1,true,null], "__proto__":{"c":-1.5}}`,
  );
  expect(tree['a']).toBe('x"\u00e9\u{1f600}\n');
  expect(tree['b']).toEqual([1, true, null]);
  expect(Object.keys(tree)).toEqual(['a', 'b', '__proto__']);
});

test('names are printed with the spacing and the order of the real tool', () => {
  const tree = {
    driver: 'raw',
    size: 512,
    file: { driver: 'file', filename: '\u00e9"\\.raw\t\u0001' },
    list: [1, false],
  };
  expect(printJsonName(tree)).toBe(
    String.raw`json:{"list": [1, false], "driver": "raw", "size": 512, "file": {"driver": "file", "filename": "\u00E9\"\\.raw\t\u0001"}}`,
  );
  expect(parseJsonName(printJsonName(tree))).toEqual(tree);
});

test('whatever JSON.stringify writes is read back, and so is what is printed', () => {
  const tree = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }));
  fc.assert(
    fc.property(tree, (value) => {
      const plain = JSON.stringify(value);
      const parsed = parseJsonName(`json:${plain}`);
      expect(JSON.parse(JSON.stringify(parsed))).toEqual(JSON.parse(plain));
      expect(parseJsonName(printJsonName(parsed))).toEqual(parsed);
    }),
  );
});

test('no text makes the parser fail in another way', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    "'",
    '"',
    '\\',
    '\\u00e9',
    '1',
    '-',
    '.',
    'e',
    'true',
    'nul',
    ' ',
    '\n',
    'é',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      expect(() => complaint(pieces.join(''))).not.toThrow();
    }),
  );
});

test('strings are bytes: what is no UTF-8 is refused, NUL is kept in two bytes', () => {
  const nul = textOf(Uint8Array.of(0x61, 0xc0, 0x80));
  expect(parseJsonName(String.raw`json:{"a": "a\u0000"}`)).toEqual({ a: nul });
  expect(parseJsonName(`json:{"a": "${nul}"}`)).toEqual({ a: nul });
  expect(printJsonName({ a: nul })).toBe(String.raw`json:{"a": "a\u0000"}`);
  const cafe = textOf(Uint8Array.of(0x63, 0xe9));
  expect(() => parseJsonName(`json:{"a": "${cafe}"}`)).toThrow(
    '1:7: JSON parse error, invalid UTF-8 sequence in string',
  );
  expect(() => parseJsonName(`json:{ "é": ${cafe}`)).toThrow(/1:9: JSON parse error, invalid keyword 'c'/);
  expect(() => parseJsonName(`json:${textOf(Uint8Array.of(0x22, 0xe9, 0xff))}`)).toThrow("stray '\"\udce9\udcff'");
});
