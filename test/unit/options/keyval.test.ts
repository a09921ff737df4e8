import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import {
  asksForHelp,
  escapeValue,
  isOptionList,
  parseImageOptions,
  parseOptionList,
  parseProperties,
} from '../../../src/options/keyval.ts';

function complaint(body: () => unknown): string | undefined {
  try {
    body();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof BlockError) return thrown.message;
    throw thrown;
  }
}

describe('-o lists', () => {
  test('pairs, short forms and doubled commas', () => {
    expect(parseOptionList('a=1,,2,b,noc,d=')).toEqual([
      { name: 'a', value: '1,2' },
      { name: 'b', value: 'on', bare: true },
      { name: 'c', value: 'off', bare: true },
      { name: 'd', value: '' },
    ]);
  });

  test('an id names the list and is no option', () => {
    expect(parseOptionList('id=5,a=b')).toEqual([{ name: 'a', value: 'b' }]);
  });

  test.each(['', ',', 'a=b,', ',a=b', ',,x', ',,', 'a=b,,,'])('%j cannot be joined', (text) =>
    expect(isOptionList(text)).toBe(false),
  );
  test.each(['a=b', 'a', 'a=b,,', 'a=b,,,c=d'])('%j can be joined', (text) => expect(isOptionList(text)).toBe(true));

  test('help stands alone', () => {
    expect(asksForHelp('a=b,help')).toBe(true);
    expect(asksForHelp('?')).toBe(true);
    expect(asksForHelp('help=on,a=help')).toBe(false);
    expect(asksForHelp('a=x,,help')).toBe(false);
  });

  test('any value survives escaping', () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        expect(parseOptionList(`a=${escapeValue(value)},b=1`)).toEqual([
          { name: 'a', value },
          { name: 'b', value: '1' },
        ]);
      }),
    );
  });
});

function silent(): void {}

describe('--image-opts', () => {
  test('nests names; later values count', () => {
    const warnings: string[] = [];
    const tree = parseImageOptions('driver=raw,driver=qcow2,file.filename=a,,b,file.driver=file,x,nofoo,help', (text) =>
      warnings.push(text),
    );
    expect(tree).toEqual({ driver: 'qcow2', file: { filename: 'a,b', driver: 'file' }, x: 'on', foo: 'off' });
    expect(warnings).toEqual([
      "short-form boolean option 'x' deprecated",
      "short-form boolean option 'nofoo' deprecated",
    ]);
  });

  test('the first element may be a bare file', () => {
    expect(parseImageOptions('nofoo', silent)).toEqual({ file: 'nofoo' });
    expect(parseImageOptions(',driver=raw', silent)).toEqual({ file: '', driver: 'raw' });
    expect(parseImageOptions('', silent)).toEqual({});
  });

  test('an id must be an identifier', () => {
    expect(complaint(() => parseImageOptions('driver=raw,id=', () => undefined))).toBe(
      "Parameter 'id' expects an identifier",
    );
  });
});

describe('--object', () => {
  test('nests names and lists', () => {
    expect(parseProperties('secret,id=s,data=a,,b,l.0=x,l.1.y=z', 'qom-type')).toEqual({
      tree: { 'qom-type': 'secret', id: 's', data: 'a,b', l: ['x', { y: 'z' }] },
      help: false,
    });
    expect(parseProperties('secret,?', 'qom-type').help).toBe(true);
    expect(parseProperties('secret,id=s,', 'qom-type').help).toBe(false);
  });

  test.each([
    [',', "Invalid parameter ''"],
    ['=x', "Invalid parameter ''"],
    ['secret,,id=s', "Invalid parameter ''"],
    ['secret,data', "Expected '=' after parameter 'data'"],
    ['secret,1x=5', "Invalid parameter '1x'"],
    ['secret,a b=5', "Invalid parameter 'a b'"],
    ['secret,a.=5', "Invalid parameter 'a.'"],
    ['secret,a..b=5', "Invalid parameter 'a..b'"],
    ['secret,a.b=1,a=2', "Parameters 'a.*' used inconsistently"],
    ['secret,a.0=2,a.b=3', "Parameters 'a.*' used inconsistently"],
    ['secret,a.1=2', "Parameter 'a.0' missing"],
    [' {"qom-type":"secret","id":"s"}', `Invalid parameter '"id":"s"}'`],
  ])('%j: %s', (text, message) => expect(complaint(() => parseProperties(text, 'qom-type'))).toBe(message));
});
