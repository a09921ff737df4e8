import { describe, expect, it } from 'vitest';
import { fatTime } from '../../../../src/protocols/vvfat/entries.ts';
import { longNameEntries, shortName } from '../../../../src/protocols/vvfat/names.ts';

const zone = (): number => 3600;

describe('short names', () => {
  it.each([
    ['hello.txt', 'HELLO   TXT'],
    ['UPPER', 'UPPER      '],
    ['trail.', 'TRAIL      '],
    ['trail..', 'TRAIL~1    '],
    ['.hidden', 'HIDDEN~1   '],
    ['..dots', 'DOTS~1     '],
    ['.a.b', 'A~1     B  '],
    ['a.b.c', 'A~1     C  '],
    ['a b', 'AB~1       '],
    ['abcdefgh.txtx', 'ABCDEF~1TXT'],
    ['abcdefg1.txt', 'ABCDEFG1TXT'],
    ['ab.ab cd', 'AB~1    ABC'],
    ['x+y=z', 'XYZ~1      '],
    ['日本', '~1         '],
    ['ümlaut.txt', 'MLAUT~1 TXT'],
    ['...', '~1         '],
    ["{br}'`", "{BR}'`     "],
  ])('of %s is %s', (name, short) => {
    expect(shortName(name, new Set())).toBe(short);
  });

  it('are different in one directory', () => {
    const taken = new Set<string>();
    const names = Array.from({ length: 12 }, (_, index) => shortName(`abcdefgh${index}`, taken));
    expect([names[0], names[1], names[9], names[11]]).toEqual([
      'ABCDEF~1   ',
      'ABCDEF~2   ',
      'ABCDE~10   ',
      'ABCDE~12   ',
    ]);
    expect([shortName('a', taken), shortName('A', taken)]).toEqual(['A          ', 'A~1        ']);
  });
});

describe('long names', () => {
  it('take entries of 13 characters, the last first', () => {
    const entries = longNameEntries('A long file name with spaces.text', 'ALONGF~1TEX');
    expect([entries.length, entries[0], entries[32], entries[64], entries[13]]).toEqual([96, 0x43, 2, 1, 0x7d]);
    expect(longNameEntries('1234567890123', 'X          ').length).toBe(32);
    const exact = longNameEntries('12345678901', 'X          ');
    expect([exact[28], exact[29], exact[30], exact[31]]).toEqual([0, 0, 0xff, 0xff]);
  });
});

describe('times', () => {
  it('are local, in steps of two seconds', () => {
    const time = fatTime(Date.UTC(2024, 1, 29, 11, 34, 57) / 1000, zone);
    expect(time).toEqual({ date: 0x585d, time: 0x645c });
  });

  it('stay between 1980 and 2107', () => {
    expect(fatTime(0, zone)).toEqual({ date: 0x21, time: 0 });
    expect(fatTime(Date.UTC(2200, 0) / 1000, zone)).toEqual({ date: 0xff9f, time: 0xbf7d });
  });
});
