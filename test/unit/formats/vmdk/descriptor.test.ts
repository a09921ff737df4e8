import { describe, expect, it } from 'vitest';
import {
  contentId,
  createType,
  descriptorText,
  encodeDescriptor,
  extentLines,
  NO_CID,
  parentContentId,
  parentName,
  withContentId,
} from '../../../../src/formats/vmdk/descriptor.ts';
import { probe } from '../../../../src/formats/vmdk/probe.ts';

const text = descriptorText(
  encodeDescriptor({
    contentId: 0x1234,
    parentContentId: 0xfedcba98,
    createType: 'twoGbMaxExtentFlat',
    parentName: 'böse.vmdk',
    extents: ['RW 4096 FLAT "ä b.vmdk" 8'],
    hardwareVersion: '4',
    toolsVersion: '2147483647',
    adapterType: 'lsilogic',
    sectors: 32768,
  }),
);

function lines(...extents: string[]): ReturnType<typeof extentLines> {
  return extentLines(extents.join('\n'), 65536);
}

describe('a descriptor', () => {
  it('is read as it was written', () => {
    expect(contentId(text)).toBe(0x1234);
    expect(parentContentId(text)).toBe(0xfedcba98);
    expect(createType(text)).toBe('twoGbMaxExtentFlat');
    expect(parentName(text)).toBe('böse.vmdk');
    expect(extentLines(text, 65536)).toEqual([
      { access: 'RW', sectors: 4096, type: 'FLAT', filename: 'ä b.vmdk', offset: 8 },
    ]);
    expect(text).toContain('ddb.geometry.cylinders = "2"\nddb.geometry.heads = "255"\nddb.geometry.sectors = "63"\n');
  });

  it('gets another content id without any other change', () => {
    const changed = withContentId(text, 0xabcdef01);
    expect(changed).toBe(text.replace('CID=00001234', 'CID=abcdef01'));
    expect(parentContentId(changed)).toBe(0xfedcba98);
    expect(contentId(withContentId('parentCID=5\nCID=6\n', 7))).toBe(5);
    expect(withContentId('parentCID=5\nCID=6\n', 7)).toBe('parentCID=5\nCID=00000007\n');
  });

  it('is searched for keys, wherever they are', () => {
    expect(contentId('')).toBe(NO_CID);
    expect(contentId('#CID= \n0xff')).toBe(255);
    expect(contentId('CID=-1')).toBe(NO_CID);
    expect(() => contentId('CID=\nparentCID=1')).toThrow('Invalid argument');
    expect(() => contentId('parentCID=1\nCID = 2')).not.toThrow();
    expect(() => contentId('CID = 2\nparentCID=1')).toThrow('Invalid argument');
    expect(contentId('CID 2\nparentCID=1')).toBe(2);
    expect(withContentId('CID 2\nparentCID=1', 3)).toBe('CID 00000003\nparentCID=1');
    expect(() => parentContentId('CID=1')).toThrow('Invalid argument');
    expect(createType('createType = "x"')).toBe(' ');
    expect(() => createType('')).toThrow('invalid VMDK image descriptor');
    expect(() => createType(`createType="${'m'.repeat(128)}"`)).toThrow('invalid VMDK image descriptor');
    expect(() => parentName('parentFileNameHint="abc')).toThrow('Invalid argument');
    expect(parentName('parentFileNameHint=""')).toBeUndefined();
  });

  it('leaves out lines that are no extents', () => {
    expect(lines('RW 0 FLAT "a" 0', 'RW 0 BENT', '#RW 8 FLAT "a" 0', 'RWX=1', 'ddb.x = "RW 8"', '')).toEqual([]);
  });

  it('has extents that are no data: nothing behind them moves', () => {
    const place = { filename: '', offset: 0 };
    expect(lines('RW 8 ZERO', 'RDONLY 9 ZERO "a"', ' NOACCESS\t7\tZERO \r')).toEqual([
      { access: 'RW', sectors: 8, type: 'ZERO', ...place },
      { access: 'RDONLY', sectors: 9, type: 'ZERO', ...place },
      { access: 'NOACCESS', sectors: 7, type: 'ZERO', ...place },
    ]);
    expect(lines('NOACCESS 8', 'NOACCESS 8 FLAT', 'NOACCESS 8 FLAT "a" 5', 'NOACCESS 8 BENT "a"')).toEqual([
      { access: 'NOACCESS', sectors: 8, type: undefined, ...place },
      { access: 'NOACCESS', sectors: 8, type: 'FLAT', ...place },
      { access: 'NOACCESS', sectors: 8, type: 'FLAT', ...place },
      { access: 'NOACCESS', sectors: 8, type: undefined, ...place },
    ]);
  });

  it('has extents of devices, and such that are not written to', () => {
    expect(lines('RDONLY 8 FLAT "a" 3', 'RW 8 VMFSRAW "/vmfs/devices/disks/x"', 'RW 8 VMFSRDM "b" ')).toEqual([
      { access: 'RDONLY', sectors: 8, type: 'FLAT', filename: 'a', offset: 3 },
      { access: 'RW', sectors: 8, type: 'VMFSRAW', filename: '/vmfs/devices/disks/x', offset: 0 },
      { access: 'RW', sectors: 8, type: 'VMFSRDM', filename: 'b', offset: 0 },
    ]);
  });

  it('accepts what the real tool accepts', () => {
    expect(lines('  RW\t+8\tVMFSSPARSE "a"')).toEqual([
      { access: 'RW', sectors: 8, type: 'VMFSSPARSE', filename: 'a', offset: 0 },
    ]);
    expect(lines('RW 010 FLAT "a" 010 more')).toEqual([
      { access: 'RW', sectors: 10, type: 'FLAT', filename: 'a', offset: 10 },
    ]);
    expect(lines('RW 8 SPARSE "a')).toEqual([{ access: 'RW', sectors: 8, type: 'SPARSE', filename: 'a', offset: 0 }]);
  });

  it.each([
    'RW 8 FLAT "a"',
    'RW 8 FLAT "a" -1',
    'RW 8 SPARSE "a" 0',
    'RW 8 ZERO "a" 0',
    'RW 8 FLAT "a',
    'RW 8 FLAT a 0',
    'RW 8 FLAT"a" 0',
    'RW 8 FLAT "" 0',
    'RW 8 SPARSE',
    'RW 8 BENT "a"',
    'RW x FLAT "a" 0',
    'RW -8 FLAT "a" 0',
    'RW 8',
    'RW "a"',
    'rw 8 FLAT "a" 0',
    'RO 8 FLAT "a" 0',
    'RDONLY 8 flat "a" 0',
    'RDONLY 8 FLAT "a"',
    'NOACCESS',
    'NOACCESS -8 ZERO',
    'NOACCESS x ZERO',
  ])('refuses %s instead of leaving out its sectors', (line) => {
    expect(() => lines(`${line}\r`)).toThrow(`Invalid extent line: ${line}`);
  });
});

function found(start: string): number {
  return probe(new TextEncoder().encode(start));
}

describe('recognising', () => {
  it('takes sparse extents and descriptors', () => {
    for (const start of ['KDMV', 'COWD', '# a\nversion=1\n', 'version=3\r\n', '#\n  \n#\nversion=2\n']) {
      expect(found(start)).toBe(100);
    }
    expect(found(`#${'x'.repeat(500)}\nversion=1\n`)).toBe(100);
  });

  it('leaves everything else', () => {
    for (const start of ['', 'KDM', '#', '\nversion=1\n', ' version=1\n', 'version=1', 'version=4\n', 'version=12\n']) {
      expect(found(start)).toBe(0);
    }
    expect(found(`#${'x'.repeat(501)}\nversion=1\n`)).toBe(0);
  });
});

it('names are bytes, whatever encoding the descriptor is in', () => {
  const bytes = Buffer.from(
    'createType="a\xe9"\nRW 8 FLAT "caf\xe9" 0\nRW 8 FLAT "caf\xe9"\nparentFileNameHint="\xc3\xa9"',
    'latin1',
  );
  const descriptor = descriptorText(bytes);
  expect(createType(descriptor)).toBe('a\udce9');
  expect(parentName(descriptor)).toBe('é');
  expect(() => extentLines(descriptor, 65536)).toThrow('Invalid extent line: RW 8 FLAT "caf\udce9"');
  expect(extentLines(descriptor.replace('"caf\xe9"\n', '"caf\xe8" 0\n'), 65536)).toMatchObject([
    { filename: 'caf\udce9' },
    { filename: 'caf\udce8' },
  ]);
});
