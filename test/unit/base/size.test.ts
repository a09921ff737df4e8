import { describe, expect, test } from 'vitest';
import { exactDecimal, humanSize, parseInteger, parseSize, threeDigits } from '../../../src/base/size.ts';

/** Short form of a result, to compare with. */
function read(text: string): bigint | string {
  const parsed = parseSize(text);
  return parsed.kind === 'ok' ? parsed.exact : parsed.kind;
}

describe('parseSize', () => {
  test.each([
    ['0', 0n],
    ['512', 512n],
    ['1b', 1n],
    ['1B', 1n],
    ['1K', 1024n],
    ['1k', 1024n],
    ['1.5k', 1536n],
    ['.5M', 524288n],
    ['1.', 1n],
    ['1.0', 1n],
    ['+1M', 1048576n],
    [' 1M', 1048576n],
    ['\v1k', 1024n],
    ['010k', 10240n],
    ['0x1E', 30n],
    ['0X10', 16n],
    ['0.9999999k', 1024n],
    ['1.0005k', 1025n],
    ['1.0004k', 1024n],
    ['7.9E', 9108079886394091136n],
    ['8191P', 9222246136947933184n],
    ['18446744073709551615', 18446744073709551615n],
  ])('%j is %s', (text, size) => expect(read(text)).toBe(size));

  test.each([
    '',
    'x',
    '.',
    '.k',
    '.5',
    '1.5',
    '1.5b',
    '1M ',
    '1 M',
    '1Mx',
    '1kb',
    '1KiB',
    '1e3',
    '0x',
    '0x1M',
    '0x1p3',
  ])('%j is no size', (text) => expect(read(text)).toBe('invalid'));
  test.each(['-1k', '-0.0', '--1', '+-1', 'inf', 'nan', '1,5M', '1..5k', '1.5.k', '0xg'])('%j is no size', (text) =>
    expect(read(text)).toBe('invalid'),
  );
  test.each(['-1', '-0', ' -1', '16E', '15.99999999999999999999E', '18446744073709551616'])(
    '%j is out of range',
    (text) => expect(read(text)).toBe('range'),
  );
});

test('parseInteger knows C notation', () => {
  expect(parseInteger('020')).toMatchObject({ value: 16 });
  expect(parseInteger(' 0x1f')).toMatchObject({ value: 31 });
  expect(parseInteger('-3')).toMatchObject({ value: -3 });
  expect(parseInteger('0')).toMatchObject({ value: 0 });
  for (const text of ['08', '5k', '', '1.5', '-', '0x']) expect(parseInteger(text).kind).toBe('invalid');
  expect(parseInteger('99999999999999999999').kind).toBe('range');
});

test.each([
  [0, '0 B'],
  [512, '512 B'],
  [999, '999 B'],
  [1000, '0.977 KiB'],
  [1536, '1.5 KiB'],
  [102400, '100 KiB'],
  [1022976, '999 KiB'],
  [1023488, '1e+03 KiB'],
  [1024000, '0.977 MiB'],
  [1047552, '0.999 MiB'],
  [1048064, '1 MiB'],
  [1073741824, '1 GiB'],
  [2000000000000, '1.82 TiB'],
  [2 ** 63, '8 EiB'],
])('%d bytes are %s', (bytes, text) => expect(humanSize(bytes)).toBe(text));

test('numbers keep their digits', () => {
  expect(exactDecimal(2 ** 62 + 1024)).toBe('4611686018427388928');
  expect(exactDecimal(2 ** 63)).toBe('9223372036854775807');
  expect(exactDecimal(5)).toBe('5');
  expect(threeDigits(0.001)).toBe('0.001');
  expect(threeDigits(12345)).toBe('1.23e+04');
});
