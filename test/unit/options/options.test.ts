import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { coerceLeaf, coerceOptions } from '../../../src/options/coerce.ts';
import { amendHelp, createHelp } from '../../../src/options/describe.ts';
import { flatten, normalize, unflatten } from '../../../src/options/dotted.ts';
import { directoryOf, protocolPrefix, relativeTo, stripProtocol } from '../../../src/options/filename.ts';
import { parseOptionList } from '../../../src/options/keyval.ts';
import type { OptionTable } from '../../../src/options/table.ts';
import type { OptionTree } from '../../../src/options/tree.ts';

const TABLE = {
  size: { kind: 'size', help: 'Bytes' },
  lazy: { kind: 'bool', help: 'Later', default: false },
  bits: { kind: 'number', help: 'Width', default: 16 },
  name: { kind: 'string', help: 'Text', defaultText: 'none' },
} satisfies OptionTable;

function complaint(list: string): string | undefined {
  try {
    coerceOptions(TABLE, parseOptionList(list));
    return undefined;
  } catch (thrown) {
    if (thrown instanceof BlockError) return thrown.message;
    throw thrown;
  }
}

describe('coerceOptions', () => {
  test('gives types, defaults, and the text to show', () => {
    const { values, given } = coerceOptions(TABLE, parseOptionList('size=1.5k,bits=0x10,lazy=yes,name=a,,b,bits=-1'));
    expect(values).toEqual({ size: 1536, bits: -1, lazy: true, name: 'a,b' });
    expect([...given]).toEqual([
      ['size', '1536'],
      ['bits', '-1'],
      ['lazy', 'yes'],
      ['name', 'a,,b'],
    ]);
    expect(coerceOptions(TABLE, []).values).toEqual({ lazy: false, bits: 16 });
  });

  test.each([
    ['x=y,lazy=maybe', "Invalid parameter 'x'"],
    ['lazy=maybe,x=y', "Parameter 'lazy' expects 'on' or 'off'"],
    ['lazy=ON', "Parameter 'lazy' expects 'on' or 'off'"],
    ['lazy=', "Parameter 'lazy' expects 'on' or 'off'"],
    ['size', "Parameter 'size' expects a non-negative number below 2^64"],
    ['size=-1', "Value '-1' is out of range for parameter 'size'"],
    ['size=16E', "Value '16E' is out of range for parameter 'size'"],
    ['bits=1k', "Parameter 'bits' expects a number"],
    ['bits=18446744073709551616', "Value '18446744073709551616' is too large for parameter 'bits'"],
    ['help', "Invalid parameter 'help'"],
    ['toString=1', "Invalid parameter 'toString'"],
  ])('%s: %s', (list, message) => expect(complaint(list)).toBe(message));

  test('leaves of trees may be typed already', () => {
    expect(coerceLeaf('a', 'bool', true)).toBe(true);
    expect(coerceLeaf('a', 'size', 512)).toBe(512);
    expect(coerceLeaf('a', 'size', '1k')).toBe(1024);
    expect(coerceLeaf('a', 'string', true)).toBe('on');
    expect(() => coerceLeaf('a', 'bool', 5)).toThrow("Parameter 'a' expects 'on' or 'off'");
    expect(() => coerceLeaf('a', 'string', {})).toThrow("Invalid parameter type for 'a', expected: string");
  });
});

test('help texts', () => {
  expect(amendHelp('x', TABLE)).toBe(
    [
      "Amend options for 'x':",
      '  bits=<num>             - Width',
      '  lazy=<bool (on/off)>   - Later',
      '  name=<str>             - Text (default: none)',
      '  size=<size>            - Bytes',
      '',
    ].join('\n'),
  );
  expect(createHelp('x', {}, undefined)).toMatch(/^Supported x options:\n[^]*include those options\.\n$/);
  expect(createHelp('x', TABLE, { extra: { kind: 'bool', help: 'More' } })).toContain(
    '  extra=<bool (on/off)>  - More\n',
  );
});

describe('dotted names', () => {
  test('there and back', () => {
    const tree = { a: { b: '1', c: [{ d: '2' }, '3'] }, e: null };
    expect(flatten(tree)).toEqual([
      ['a.b', '1'],
      ['a.c.0.d', '2'],
      ['a.c.1', '3'],
      ['e', null],
    ]);
    expect(unflatten(flatten(tree) as [string, string][])).toEqual(tree);
  });

  test('any tree survives', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,5}$/);
    const leaf = fc.oneof(fc.string(), fc.boolean(), fc.integer(), fc.constant(null));
    const tree = fc.letrec<{ node: unknown; branch: Record<string, unknown> }>((tie) => ({
      branch: fc.dictionary(name, tie('node'), { minKeys: 1, maxKeys: 4 }),
      node: fc.oneof({ depthSize: 'small' }, leaf, tie('branch'), fc.array(leaf, { minLength: 1, maxLength: 3 })),
    })).branch;
    fc.assert(
      fc.property(tree, (value) => {
        expect(normalize(value as OptionTree)).toEqual(value);
      }),
    );
  });

  test('mixed forms become one', () => {
    expect(normalize({ file: { filename: 'x' }, 'file.locking': 'off' })).toEqual({
      file: { filename: 'x', locking: 'off' },
    });
  });

  test('a value with parts keeps both', () => {
    expect(
      unflatten([
        ['file', 'x'],
        ['file.filename', 'y'],
      ]),
    ).toEqual({ file: 'x', 'file.filename': 'y' });
  });

  test('hostile names are only names', () => {
    const tree = unflatten([
      ['__proto__.polluted', 'yes'],
      [`${'a.'.repeat(5000)}b`, 'deep'],
    ]);
    expect(Object.keys(tree)).toHaveLength(2);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('file names', () => {
  test.each([
    ['nbd:x', 'nbd'],
    [':x', ''],
    ['a b:c', 'a b'],
    ['C:\\x', 'C'],
    ['./x:y', undefined],
    ['/x:y', undefined],
    ['x', undefined],
  ])('%j has prefix %j', (name, prefix) => expect(protocolPrefix(name)).toBe(prefix));

  test.each([
    ['d/o.q', 'base.raw', 'd/base.raw'],
    ['d/o.q', '../base.raw', 'd/../base.raw'],
    ['d/o.q', './x:y', 'd/./x:y'],
    ['d/o.q', '/abs', '/abs'],
    ['d/o.q', 'nbd:x', 'nbd:x'],
    ['o.q', 'base.raw', 'base.raw'],
    ['d/o.q', '', ''],
    ['http://h/p/o.q', 'base.raw', 'http://h/p/base.raw'],
    ['json:{}', 'base.raw', undefined],
  ])('from %j, %j is %j', (base, name, expected) => expect(relativeTo(base, name)).toBe(expected));

  test('the rest', () => {
    expect(directoryOf('nbd:x')).toBe('nbd:');
    expect(stripProtocol('file:a:b', 'file')).toBe('a:b');
    expect(stripProtocol('a', 'file')).toBe('a');
  });
});
