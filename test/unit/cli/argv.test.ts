import { describe, expect, test } from 'vitest';
import { ArgumentError, ArgumentReader, type OptionDeclaration, type ReaderRules } from '../../../src/cli/argv.ts';

const OPTIONS: readonly OptionDeclaration[] = [
  { id: 'format', short: 'f', long: 'format', argument: 'FORMAT' },
  { id: 'share', short: 'U', long: 'force-share' },
  { id: 'output', long: 'output', argument: 'OUTPUT' },
  { id: 'object', long: 'object', argument: 'OBJECT' },
  { id: 'target', long: 'target', argument: 'TARGET' },
  { id: 'target-options', long: 'target-options', argument: 'TARGET-OPTIONS' },
  { id: 'same', long: 'same-one' },
  { id: 'same', long: 'same-two' },
  { id: 'whole', long: 'whole', exact: true },
];

/** Options as `id=value`, operands in brackets, in the order found. */
function read(args: readonly string[], rules: ReaderRules = {}): string[] {
  const reader = new ArgumentReader(args, OPTIONS, rules);
  const found: string[] = [];
  for (let item = reader.next(); item !== undefined; item = reader.next()) {
    found.push(item.kind === 'operand' ? `[${item.value}]` : `${item.id}=${item.value}`);
  }
  return found;
}

function complaint(args: readonly string[]): string {
  try {
    read(args);
    return '';
  } catch (thrown) {
    if (thrown instanceof ArgumentError) return thrown.message;
    throw thrown;
  }
}

test.each([
  [
    ['-fraw', 'a'],
    ['format=raw', '[a]'],
  ],
  [
    ['-Uf', 'raw'],
    ['share=', 'format=raw'],
  ],
  [['-fU'], ['format=U']],
  [
    ['-f', '--', 'a'],
    ['format=--', '[a]'],
  ],
  [
    ['a', '-U', 'b'],
    ['[a]', 'share=', '[b]'],
  ],
  [
    ['a', '--', '-U', '--'],
    ['[a]', '[-U]', '[--]'],
  ],
  [['-'], ['[-]']],
  [
    ['--format=a=b', '--format', ''],
    ['format=a=b', 'format='],
  ],
  [
    ['--out=x', '--force'],
    ['output=x', 'share='],
  ],
  [
    ['--target=x', '--target-o=y'],
    ['target=x', 'target-options=y'],
  ],
  [['--same'], ['same=']],
  [['--whole'], ['whole=']],
])('%j', (args, expected) => expect(read(args)).toEqual(expected));

test.each([
  [['-x'], "invalid option -- 'x'"],
  [['-Ux'], "invalid option -- 'x'"],
  [['-f'], "option requires an argument -- 'f'"],
  [['--format'], "option '--format' requires an argument"],
  [['--fo=x'], "option '--fo=x' is ambiguous; possibilities: '--format' '--force-share'"],
  [['--nothing=x'], "unrecognized option '--nothing=x'"],
  [['--force=x'], "option '--force-share' doesn't allow an argument"],
  [['--who'], "unrecognized option '--who'"],
  [['-é'], "invalid option -- '\udcc3'"],
  [['-\udce9x'], "invalid option -- '\udce9'"],
])('%j is refused', (args, message) => expect(complaint(args)).toBe(message));

describe('rules', () => {
  test('the first operand can end the options', () => {
    const reader = new ArgumentReader(['-U', 'info', '-f'], OPTIONS, { stopAtOperand: true });
    expect(reader.next()).toEqual({ kind: 'option', id: 'share', value: '' });
    expect(reader.next()).toBeUndefined();
    expect(reader.rest()).toEqual(['info', '-f']);
  });

  test('a negative number may follow the first operand', () => {
    expect(read(['a', '-1M', '-U'], { negativeSecond: true })).toEqual(['[a]', '[-1M]', 'share=']);
    expect(() => read(['a', '-U', '-1M'], { negativeSecond: true })).toThrow("invalid option -- '1'");
    expect(() => read(['a', 'b', '-1M'], { negativeSecond: true })).toThrow("invalid option -- '1'");
    expect(() => read(['-1M'], { negativeSecond: true })).toThrow("invalid option -- '1'");
  });
});
