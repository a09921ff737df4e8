import { DEFAULT_LIMITS } from '../../../src/block/limits.ts';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { descriptorOfExtent, kindOfFile } from '../../../src/block/graph/notRaw.ts';
import type { GraphContext } from '../../../src/block/graph/context.ts';
import { openImage } from '../../../src/block/graph/open.ts';
import { DriverRegistry } from '../../../src/block/graph/registry.ts';
import { passThroughDriver } from '../../../src/block/graph/passThrough.ts';
import { CheckedStorage } from '../../../src/storage/checked.ts';
import { MemoryDriver } from '../../../src/storage/memory.ts';

/** The beginning of a file of 2 KiB: bytes in hexadecimal, or text. */
function head(start: string | Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2048);
  bytes.set(typeof start === 'string' ? Buffer.from(start.replaceAll(' ', ''), 'hex') : start.subarray(0, 2048));
  return bytes;
}

function text(start: string): Uint8Array {
  return head(Buffer.from(start, 'latin1'));
}

/** A tar header. @param magic what is at offset 257. */
function tar(name: string, magic: string): Uint8Array {
  const bytes = Buffer.alloc(2048);
  bytes.write(name, 0, 'latin1');
  bytes.write('0000644\0', 100);
  bytes.write('00000001000\0', 124);
  bytes.fill(0x20, 148, 156);
  bytes.write('0', 156);
  bytes.write(magic, 257, 'latin1');
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
}

describe('files that are no raw disks', () => {
  it.each<[string, Uint8Array]>([
    ['gzip', head(gzipSync(Buffer.alloc(4096, 'disk')))],
    ['gzip', head('1f8b 0808 00112233 0003 6469736b2e696d6700')],
    ['xz', head('fd377a585a00 0004 e6d6b446')],
    ['zstd', head('28b52ffd 24 00')],
    ['zstd', head('502a4d18 04000000 11223344 28b52ffd 04 00')],
    ['bzip2', head('425a6839 314159265359 00')],
    ['bzip2', head('425a6831 177245385090 00')],
    ['lz4', head('04224d18 6440 a7')],
    ['lzip', head('4c5a4950 01 0c')],
    ['lzop', head('894c5a4f000d0a1a0a 10')],
    ['a zip archive', head('504b0304 1400 0000 0800')],
    ['a zip archive', head('504b0506 000000000000')],
    ['a zip archive', head('504b0708 504b0304 1400')],
    ['a 7z archive', head('377abcaf271c 0004')],
    ['a RAR archive', head('526172211a0700 cf')],
    ['a RAR archive', head('526172211a070100 33')],
    ['a tar archive', tar('disk.img', 'ustar\x0000')],
    ['a tar archive', tar('disk.img', 'ustar  \0')],
    ['a tar archive', tar('disk.img', '')],
    ['an OVA package', tar('Appliance.OVF', 'ustar\x0000')],
    ['a cabinet', text('MSCF\0\0\0\0')],
    ['a Debian package', text('!<arch>\ndebian-binary')],
    ['an RPM package', head('edabeedb 0300')],
    ['a Windows image', text('MSWIM\0\0\0')],
    ['an Android sparse image', head('3aff26ed 0100 0000')],
    ['an EnCase image', head('455646090d0aff00')],
    ['a partclone image', text('partclone-image 0.3')],
    ['a Proxmox backup', text('VMA\0\0\0\0\x01')],
    ['an Apple sparse image', text('sprs\0\0\0\x03')],
    ['an extent of a VMDK image', head('bebafeca00000000 0100000002000000')],
    ['a dynamic VHD image', text(`${'\0'.repeat(512)}cxsparse`)],
    ['a Git LFS pointer', text('version https://git-lfs.github.com/spec/v1\n')],
    ['a web page', text('\n<!DOCTYPE html>\n<html>')],
    ['a web page', text('<HTML lang="en">')],
    ['an OVF descriptor', text('\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a --> <Envelope xmlns="x">')],
    ['an OVF descriptor', text('<ovf:Envelope>')],
    ['an OVF descriptor', text(`<?xml version="1.0"?>${'<!---->'.repeat(50)}<Envelope>`)],
  ])('are named: %s', (name, bytes) => {
    expect(kindOfFile(bytes)).toContain(name);
  });

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['zeroes', head('')],
    ['an empty sector with a sum', tar('', '').fill(0, 0, 148).fill(0, 156)],
    ['a boot sector', head('eb6390 1f8b')],
    ['the first bytes of gzip only', head('1f8b0808 ffffffff ffff')],
    ['gzip with flags that do not exist', head('1f8b0880 00000000 0003')],
    ['the first bytes of zstd only', head('28b52ffd 08')],
    ['the first bytes of lz4 only', head('04224d18 ff40')],
    ['the first bytes of bzip2 only', head('425a6839 000000000000')],
    ['the first bytes of zip only', head('504b0304 ffff')],
    ['a frame to be passed over, and nothing behind it', head('502a4d18 04000000 11223344')],
    ['a frame that ends behind the head', head('502a4d18 ffffffff')],
    ['a tar header with another sum', tar('disk.img', 'ustar\x0000').fill(1, 0, 1)],
    ['text', text('<xml/>')],
    ['a comment and an envelope, without a declaration of XML', text('<!-- a --><Envelope>')],
    // Which took for ever: comments can be divided in many ways.
    ['XML with many comments', text(`<?xml?>${'<!---->'.repeat(200)}x`)],
  ])('are not seen in %s', (_, bytes) => {
    expect(kindOfFile(bytes)).toBeUndefined();
  });

  it('are told from short files without reading behind their end', () => {
    const whole = tar('disk.img', 'ustar\x0000');
    for (let length = 0; length < 512; length++) expect(kindOfFile(whole.subarray(0, length))).toBeUndefined();
    const samples = ['1f8b08', '28b52ffd', '04224d18', '425a68', '504b0304', '502a4d18'];
    for (const sample of samples) expect(kindOfFile(Buffer.from(sample, 'hex'))).toBeUndefined();
  });

  it('are found in no random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 2048 }), (bytes) => kindOfFile(bytes) === undefined),
    );
  });
});

describe('extents of VMDK images', () => {
  it('are told by their names', () => {
    expect(descriptorOfExtent('dir/disk-flat.vmdk')).toBe('dir/disk.vmdk');
    expect(descriptorOfExtent('disk-f001.vmdk')).toBe('disk.vmdk');
    for (const name of ['disk.vmdk', 'flat.vmdk', 'disk-flat.img', 'disk-s001.vmdk', 'disk-f01.vmdk']) {
      expect(descriptorOfExtent(name)).toBeUndefined();
    }
  });
});

/** Opens a file with that content; returns the warnings. */
async function warnings(name: string, content: Uint8Array, how: Partial<Parameters<typeof openImage>[1]>) {
  const found: string[] = [];
  const storage = (): CheckedStorage => new CheckedStorage(new MemoryDriver(content), { name, readOnly: true });
  const drivers = new DriverRegistry(
    [
      {
        name: 'raw',
        load: async () => ({ name: 'raw', openOptions: {}, open: async ({ file }) => passThroughDriver(file) }),
      },
    ],
    [
      {
        name: 'file',
        prefixes: ['file'],
        load: async () => ({
          name: 'file',
          prefixes: ['file'],
          openOptions: { filename: { kind: 'string', help: '' } },
          parseFilename: (filename) => ({ filename }),
          open: async () => storage(),
        }),
      },
    ],
  );
  const context = {
    drivers,
    services: { limits: DEFAULT_LIMITS },
    gate: () => {},
    onWarning: (line: string) => found.push(line),
  };
  const node = await openImage(context as unknown as GraphContext, { filename: name, ...how });
  await node.close();
  return found;
}

describe('an archive taken for a raw disk', () => {
  it('brings a warning, unless the format was given', async () => {
    const ova = tar('x.ovf', 'ustar\x0000');
    expect(await warnings('x.ova', ova, {})).toEqual([
      "'x.ova' is an OVA package (a tar archive with disk images in it); it is taken for a raw disk as it is",
    ]);
    expect(await warnings('x.ova', ova, { intent: 'info' })).toHaveLength(1);
    expect(await warnings('x.ova', ova, { format: 'raw' })).toEqual([]);
    expect(await warnings('x.img', new Uint8Array(2048), {})).toEqual([]);
  });

  it('and an extent whose data is used, likewise', async () => {
    const extent = new Uint8Array(2048);
    expect(await warnings('x-flat.vmdk', extent, {})).toEqual([
      "'x-flat.vmdk' is a part of a VMDK image, taken for a raw disk; the image is 'x.vmdk'",
    ]);
    expect(await warnings('x-flat.vmdk', extent, { intent: 'info' })).toEqual([]);
    expect(await warnings('x-flat.vmdk', extent, { format: 'raw' })).toEqual([]);
  });
});
