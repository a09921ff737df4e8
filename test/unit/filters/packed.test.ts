/** Compressed files and archives below formats, in memory. */
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { littleEndian } from '../../../src/base/bytes.ts';
import { crc32 } from '../../../src/codec/checksums.ts';
import { drivers } from '../../../src/drivers.ts';
import { portableServices } from '../../../src/host/portable/host.ts';
import { ImageLibrary } from '../../../src/operations/library.ts';
import { MemoryFiles } from '../../../src/storage/memoryFiles.ts';
import { readAt } from '../../../src/storage/storage.ts';
import { type TarEntry, tarOf, zipOf } from '../../support/archives.ts';

const MiB = 1048576;
const disk = Buffer.alloc(MiB, 'a disk. ');

/** A library that has these files. */
async function over(files: Readonly<Record<string, Uint8Array>>): Promise<ImageLibrary & { warnings: string[] }> {
  const memory = new MemoryFiles();
  for (const [name, bytes] of Object.entries(files)) {
    await memory.create(name, { size: 0, preallocation: 'off' });
    const handle = await memory.open(name, { writable: true });
    await handle.write?.(0, bytes);
    await handle.close();
  }
  const warnings: string[] = [];
  const library = new ImageLibrary(drivers, portableServices({ files: memory }), {
    onWarning: (text) => warnings.push(text),
  });
  return Object.assign(library, { warnings });
}

async function contentOf(file: Uint8Array, options?: object): Promise<Buffer> {
  const library = await over({ x: file });
  const image = options ? { options: options as never } : 'x';
  const node = await library.openImage(image);
  try {
    return Buffer.from(await readAt(node, 0, node.size()));
  } finally {
    await node.close();
  }
}

function member(driver: string, name: string): object {
  return { driver: 'raw', file: { driver, member: name, file: { driver: 'file', filename: 'x' } } };
}

async function failureOf(file: Uint8Array, options?: object): Promise<BlockError> {
  try {
    await contentOf(file, options);
  } catch (error) {
    if (error instanceof BlockError) return error;
    throw error;
  }
  return expect.fail('it can be read');
}

/** A file of `bgzip`: members with their lengths, and an empty one at the end. */
function bgzip(content: Uint8Array): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at <= content.length; at += 50_000) {
    const plain = gzipSync(content.subarray(at, at + 50_000));
    const block = Buffer.concat([
      plain.subarray(0, 10),
      Buffer.from([6, 0, 0x42, 0x43, 2, 0, 0, 0]),
      plain.subarray(10),
    ]);
    block[3] = 4;
    block.writeUInt16LE(block.length - 1, 16);
    pieces.push(block);
  }
  return Buffer.concat(pieces);
}

describe('compressed images', () => {
  it('are opened as what is in them, also twice', async () => {
    expect((await contentOf(gzipSync(disk))).equals(disk)).toBe(true);
    expect((await contentOf(gzipSync(gzipSync(disk)))).equals(disk)).toBe(true);
    expect((await contentOf(bgzip(disk))).equals(disk)).toBe(true);
  });

  it('keep their name, and are what they are as raw images', async () => {
    const library = await over({ 'x.gz': gzipSync(disk) });
    expect(await library.info({ image: 'x.gz' })).toMatchObject({ images: [{ filename: 'x.gz', format: 'raw' }] });
    expect(library.warnings).toEqual([]);
    const plain = await library.openImage({ filename: 'x.gz', format: 'raw' });
    expect(plain.size()).toBeLessThan(MiB / 2);
    await plain.close();
  });

  it('give no more than they may', async () => {
    const services = portableServices({
      files: (await over({ x: gzipSync(disk), 'x.zip': zipOf([{ name: 'a', content: disk, method: 8 }]) })).context
        .services.files,
      limits: { decompressedBytes: MiB - 1 },
    });
    const bounded = new ImageLibrary(drivers, services);
    for (const source of ['x', 'x.zip']) {
      await expect(bounded.convert({ source, target: 'out' })).rejects.toMatchObject({ kind: 'limit' });
    }
  });

  it('can only be read', async () => {
    const library = await over({ x: gzipSync(disk) });
    await expect(library.resize({ image: 'x', size: 2 * MiB })).rejects.toMatchObject({ kind: 'read-only' });
  });

  it('are not looked into below other images', async () => {
    const library = await over({ base: gzipSync(disk) });
    await library.createImage({ filename: 'top', format: 'qcow2', backing: { filename: 'base', format: 'raw' } });
    const node = await new ImageLibrary(drivers, library.context.services, { implicitOpen: 'allow' }).openImage('top');
    expect(node.size()).toBeLessThan(MiB / 2);
    await node.close();
  });

  it('fail a conversion whose source is damaged behind what it needs', async () => {
    const library = await over({ raw: disk });
    await library.convert({ source: 'raw', target: { filename: 'image', format: 'qcow2' } });
    const image = await library.openImage({ filename: 'image', format: 'raw' });
    const packed = bgzip(Buffer.concat([await readAt(image, 0, image.size()), Buffer.alloc(100_000, 'behind')]));
    await image.close();
    const other = await over({ 'x.gz': packed });
    await other.convert({ source: 'x.gz', target: 'right' });
    packed[packed.length - 34] = (packed[packed.length - 34] as number) ^ 1;
    const wrong = await over({ 'x.gz': packed });
    await expect(wrong.convert({ source: 'x.gz', target: 'wrong' })).rejects.toMatchObject({ kind: 'io' });
    await expect(wrong.info({ image: 'wrong' })).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('tar archives', () => {
  it('with one file are opened as that', async () => {
    expect((await contentOf(tarOf([{ name: 'disk', content: disk }]))).equals(disk)).toBe(true);
    expect((await contentOf(gzipSync(tarOf([{ name: 'disk', content: disk }])))).equals(disk)).toBe(true);
  });

  it('with several say which disks there are', async () => {
    const archive = tarOf([
      { name: 'README', content: Buffer.from('hello') },
      { name: '../a.img', content: disk },
      { name: './b.raw', content: disk.subarray(0, 512) },
    ]);
    const error = await failureOf(archive);
    expect(error.message).toContain("There are 2 disks in 'x': '../a.img', './b.raw'");
    expect(error.hint).toContain("driver: 'tar', member: '../a.img'");
    expect((await contentOf(archive, member('tar', 'b.raw'))).equals(disk.subarray(0, 512))).toBe(true);
    expect((await failureOf(archive, member('tar', 'c'))).message).toContain("There is no file 'c' in 'x'");
  });

  it('have long names, in any of the ways', async () => {
    const long = `${'directory/'.repeat(30)}disk.img`;
    const rest: TarEntry = { name: 'other.img', content: disk };
    const pax = `path=${long}\n`;
    const record = `${pax.length + 4} ${pax}`;
    for (const entries of [
      [
        { name: '././@LongLink', type: 'L', content: Buffer.from(`${long}\0`) },
        { name: 'short', content: disk },
      ],
      [
        { name: 'pax', type: 'x', content: Buffer.from(record) },
        { name: 'short', content: disk },
      ],
    ]) {
      expect((await contentOf(tarOf([...entries, rest]), member('tar', long))).equals(disk)).toBe(true);
    }
  });

  it('have the last of two files with one name', async () => {
    const archive = tarOf([
      { name: 'a', content: disk },
      { name: 'a', content: Buffer.alloc(512, 'new') },
    ]);
    expect((await contentOf(archive, member('tar', 'a'))).equals(Buffer.alloc(512, 'new'))).toBe(true);
  });

  it.each<[string, (archive: Buffer) => Buffer, string]>([
    ['cut off', (archive) => archive.subarray(0, 5000), 'it is cut off'],
    ['with a wrong header', (archive) => Buffer.concat([archive.subarray(0, -1024), Buffer.alloc(512, 1)]), 'checksum'],
  ])('%s are refused', async (_, spoil, message) => {
    expect((await failureOf(spoil(tarOf([{ name: 'disk', content: disk }])))).message).toContain(message);
  });

  it('are refused with sparse maps that cannot be', async () => {
    for (const map of ['0,100,50,10', '0,600', `${2 ** 60},1`, '1', 'a,b', '0,2000000']) {
      const lines = [`GNU.sparse.size=1024`, `GNU.sparse.map=${map}`].map((line) => `${line.length + 4} ${line}\n`);
      const archive = tarOf([
        { name: 'pax', type: 'x', content: Buffer.from(lines.join('')) },
        { name: 'disk', content: disk.subarray(0, 512) },
      ]);
      const { message } = await failureOf(archive);
      expect({ map, isAboutMap: /sparse map/.test(message) }).toEqual({ map, isAboutMap: true });
    }
  });
});

describe('archives that want time and memory', () => {
  const record = (line: string): string => {
    for (let length = line.length + 2; ; length++) {
      const whole = `${length} ${line}\n`;
      if (whole.length === length) return whole;
    }
  };

  // Each of these took minutes, or all of the memory.
  it('do not get it for tags that never end', async () => {
    const tags = Buffer.from('<File <ovf:Disk '.repeat(2 * 65536));
    const other = { name: 'b.bin', content: disk };
    expect((await contentOf(tarOf([{ name: 'x.ovf', content: tags }, other]))).equals(disk)).toBe(true);
  });

  it('do not get it for a sparse map with more pieces than there are', async () => {
    const lines = ['GNU.sparse.major=1', 'GNU.sparse.minor=0', 'GNU.sparse.realsize=4096'].map(record).join('');
    const pax = { name: 'pax', type: 'x', content: Buffer.from(lines) };
    for (const map of [`900000000\n${'0\n'.repeat(MiB)}`, '1'.repeat(MiB)]) {
      const { message } = await failureOf(tarOf([pax, { name: 'disk', content: Buffer.from(map) }]));
      expect(message).toContain('a sparse map');
    }
  });

  it('do not get it for names that nobody can have, nor for records that mean nothing', async () => {
    const name = { name: '././@LongLink', type: 'L', content: Buffer.alloc(MiB, 'a') };
    expect((await failureOf(tarOf([name, { name: 'disk', content: disk }]))).message).toContain('too long');
    const lines = Array.from({ length: 20000 }, (_, index) => record(`key${index}=value`)).join('');
    const members = Array.from({ length: 2000 }, (_, index) => ({ name: `m${index}`, content: new Uint8Array() }));
    const archive = tarOf([
      { name: 'pax', type: 'g', content: Buffer.from(lines) },
      ...members,
      { name: 'disk', content: disk },
    ]);
    expect((await contentOf(archive)).equals(disk)).toBe(true);
  });

  it('do not get it for members of bgzip without a length', async () => {
    const file = bgzip(disk);
    file.writeUInt16LE(0, 16);
    expect((await contentOf(file)).equals(disk)).toBe(true);
  });
});

describe('OVA packages', () => {
  const ovf = (...disks: readonly string[]): Buffer =>
    Buffer.from(
      `<?xml version="1.0"?><Envelope xmlns:ovf="o"><References>${['a', 'b', 'notes']
        .map((name) => `<File ovf:id="${name}" ovf:href="${name}.bin"/>`)
        .join('')}</References><DiskSection>${disks
        .map((name) => `<Disk ovf:diskId="d-${name}" ovf:fileRef="${name}"/>`)
        .join('')}</DiskSection></Envelope>`,
    );
  const files = [
    { name: 'a.bin', content: disk },
    { name: 'b.bin', content: disk },
    { name: 'notes.bin', content: Buffer.from('notes') },
  ];

  it('are opened as the disk that their descriptor names', async () => {
    expect((await contentOf(tarOf([{ name: 'x.ovf', content: ovf('a') }, ...files]))).equals(disk)).toBe(true);
  });

  it('with several disks say which', async () => {
    const error = await failureOf(tarOf([{ name: 'x.ovf', content: ovf('a', 'b') }, ...files]));
    expect(error.message).toContain("There are 2 disks in 'x': 'a.bin', 'b.bin'");
  });
});

describe('zip archives', () => {
  it('are read, stored and compressed', async () => {
    for (const method of [0, 8]) {
      expect((await contentOf(zipOf([{ name: 'disk.img', content: disk, method }]))).equals(disk)).toBe(true);
    }
  });

  it('are read with 64-bit sizes', async () => {
    expect((await contentOf(zipOf([{ name: 'disk.img', content: disk, method: 8, large: true }]))).equals(disk)).toBe(
      true,
    );
  });

  it('are refused where they are encrypted, of unknown methods, or cut off', async () => {
    const zip = zipOf([{ name: 'disk.img', content: disk, method: 0 }]);
    const directory = zip.lastIndexOf('PK\x01\x02');
    const changed = (at: number, value: number): Buffer => {
      const copy = Buffer.from(zip);
      copy[at] = value;
      return copy;
    };
    expect((await failureOf(changed(directory + 8, 1))).message).toContain('encrypted');
    expect((await failureOf(changed(directory + 10, 93))).message).toContain('method 93');
    expect((await failureOf(zip.subarray(0, -30))).message).toContain('cut off');
    expect((await failureOf(changed(directory + 42, 7))).message).toContain('not where it should be');
  });

  it('have sums, which a conversion looks at', async () => {
    for (const method of [0, 8]) {
      const zip = zipOf([{ name: 'disk.img', content: disk, method }]);
      const directory = zip.lastIndexOf('PK\x01\x02');
      zip.writeUInt32LE(1, directory + 16);
      const library = await over({ 'x.zip': zip });
      await expect(library.convert({ source: 'x.zip', target: 'y' })).rejects.toThrow("checksum of 'disk.img'");
    }
  });

  it('do not give more than they say', async () => {
    const zip = zipOf([{ name: 'disk.img', content: disk, method: 8 }]);
    const directory = zip.lastIndexOf('PK\x01\x02');
    zip.writeUInt32LE(4096, directory + 24);
    const library = await over({ 'x.zip': zip });
    await expect(library.convert({ source: 'x.zip', target: 'y' })).rejects.toThrow('has not the 4096 bytes');
  });

  it('have the sums of the tests, too', () => {
    expect(littleEndian(zipOf([{ name: 'a', content: disk, method: 0 }])).u32(14)).toBe(crc32(disk));
  });
});
