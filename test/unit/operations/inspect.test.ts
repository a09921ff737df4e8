/** `inspect` and `untrusted`: what is refused of images of others. Tests are named after the attacks. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { BlockError } from '../../../src/base/error.ts';
import { UNTRUSTED_LIMITS } from '../../../src/block/limits.ts';
import type { InspectResult } from '../../../src/operations/inspect.ts';
import { MemoryLibrary } from '../../../src/testing.ts';
import { bochsImage } from '../../fixtures/bochs.ts';
import { samples } from '../../support/hostileSamples.ts';

const MiB = 1048576;
let library = new MemoryLibrary({ implicitOpen: 'allow' });
beforeEach(() => {
  library = new MemoryLibrary({ implicitOpen: 'allow' });
});

/** What is wrong with an image, by the rules that it breaks. */
async function broken(bytes: Uint8Array, format?: string): Promise<{ readonly [rule: string]: readonly string[] }> {
  library.files.put('image', bytes);
  const { checks } = await library.inspect({ image: { filename: 'image', format } });
  return Object.fromEntries(
    checks.filter(({ verdict }) => verdict === 'fail').map(({ rule, reasons }) => [rule, reasons]),
  );
}

/** A new image with data at its beginning. */
async function image(
  format: string,
  options: Readonly<Record<string, string | number | boolean>> = {},
): Promise<Uint8Array> {
  library.files.put('source', new Uint8Array(3 * MiB).fill(1, 0, 70000));
  await library.convert({
    source: { filename: 'source', format: 'raw' },
    target: { filename: 'made', format },
    options,
  });
  return library.files.bytes('made').slice();
}

function changed(bytes: Uint8Array, at: number, ...values: readonly number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

function text(value: string): number[] {
  return Array.from(value, (character) => character.charCodeAt(0));
}

/** A qcow2 image that names a backing file. */
async function overlay(name: string): Promise<Uint8Array> {
  const bytes = changed(await image('qcow2', { cluster_size: 4096 }), 2000, ...text(name));
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, 2000n);
  view.setUint32(16, name.length);
  return bytes;
}

/** A qcow2 image that says that its data is in the file `name`. */
async function withDataFile(name: string): Promise<Uint8Array> {
  const bytes = changed(await image('qcow2', { cluster_size: 4096 }), 79, 4);
  const view = new DataView(bytes.buffer);
  bytes.fill(0, 112, 2000);
  view.setUint32(112, 0x44415441);
  view.setUint32(116, name.length);
  bytes.set(text(name), 120);
  return bytes;
}

function descriptor(type: string, ...lines: readonly string[]): Uint8Array {
  const head = `# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="${type}"\n`;
  return Uint8Array.from(text(`${head}${lines.join('\n')}\n`));
}

/** The descriptor of a VMDK image of one file, changed. */
async function sparse(change: (descriptor: string) => string, subformat = 'monolithicSparse'): Promise<Uint8Array> {
  const bytes = await image('vmdk', { subformat });
  const area = bytes.subarray(512, 512 + 20 * 512);
  const old = String.fromCharCode(...area.subarray(0, area.indexOf(0)));
  area.fill(0);
  area.set(text(change(old)));
  return bytes;
}

describe('sound images', () => {
  it('are safe, but for formats that were given up', async () => {
    for (const { name, bytes, format } of await samples()) {
      library.files.put('image', bytes);
      const result = await library.inspect({ image: 'image' });
      const isOld = ['qed', 'qcow'].includes(format);
      const refers = ['qcow2 top', 'vmdk flat'].includes(name);
      const wanted = { name, format, kind: isOld || refers ? 'unsafe' : 'safe' };
      expect({ name, format: result.format, kind: result.kind }).toEqual(wanted);
    }
  });

  it('are told apart by a type', async () => {
    library.files.put('image', await image('qcow2'));
    const result: InspectResult = await library.inspect({ image: 'image' });
    expect(result).toMatchObject({ kind: 'safe', format: 'qcow2', virtualSize: 3 * MiB, names: [], contents: [] });
    expect(result.checks.map(({ rule }) => rule)).toContain('backing-file');
  });

  it('are of the format of their content, whatever their name is', async () => {
    library.files.put('a.dmg', new Uint8Array(4096).fill(3));
    expect(await library.inspect({ image: 'a.dmg' })).toMatchObject({ kind: 'safe', format: 'raw' });
  });
});

describe('attacks', () => {
  it.each(['CVE-2008-2004', 'CVE-2015-1850', 'CVE-2015-1851', 'CVE-2011-3147', 'CVE-2015-5163', 'CVE-2026-27211'])(
    '%s: a backing file',
    async () => {
      const found = await broken(await overlay('/etc/passwd'), 'raw');
      expect(Object.keys(found)).toEqual(['format', 'backing-file', 'names']);
      expect((await library.inspect({ image: 'image' })).names).toEqual([
        { role: 'backing file', name: '/etc/passwd' },
      ]);
    },
  );

  it('CVE-2024-4467: a data file whose name is a description', async () => {
    const found = await broken(await withDataFile('json:{"driver":"file","filename":"/etc/passwd"}'));
    expect(found).toHaveProperty('data-file');
    expect(found['names']?.join()).toContain('json:');
  });

  it.each(['CVE-2024-32498', 'CVE-2024-40767', 'CVE-2024-44082', 'CVE-2026-24708'])(
    '%s: a data file, in what was said to be a raw disk',
    async () => {
      const bytes = await withDataFile('/dev/sda');
      const found = await broken(bytes, 'raw');
      expect(Object.keys(found)).toEqual(expect.arrayContaining(['format', 'data-file', 'names']));
    },
  );

  it('CVE-2026-24708: a raw disk that its guest made an image of is not resized', async () => {
    library.files.put('disk', await withDataFile('victim'));
    library.files.put('victim', new Uint8Array(4096).fill(7));
    const strict = new MemoryLibrary({ untrusted: true }, library.files);
    const refused = await strict
      .resize({ image: 'disk', size: 65536, shrink: true })
      .catch((error: BlockError) => error);
    expect(refused).toMatchObject({ kind: 'denied' });
    expect(library.files.bytes('victim')).toEqual(new Uint8Array(4096).fill(7));
    await strict.resize({ image: { filename: 'disk', format: 'raw' }, size: 65536, shrink: true });
    expect(library.files.bytes('disk').length).toBe(65536);
  });

  it.each(['CVE-2022-47951', 'GHSA-f7qw-jj9c-rpq9'])('%s: extents that are files of the host', async () => {
    for (const type of ['monolithicFlat', 'vmfs', 'twoGbMaxExtentFlat']) {
      const found = await broken(descriptor(type, 'RW 8 FLAT "/etc/passwd" 0'));
      expect(Object.keys(found)).toEqual(expect.arrayContaining(['extents', 'names']));
    }
    expect(await broken(descriptor('monolithicFlat', 'RW 8 FLAT "../x" 0'))).toHaveProperty('names');
  });

  it.each(['CVE-2014-0142', 'CVE-2014-0143', 'CVE-2014-0144', 'CVE-2014-0145', 'CVE-2014-0146', 'CVE-2014-0147'])(
    '%s: sizes and places that cannot be',
    async () => {
      const qcow2 = await image('qcow2');
      const far = new Uint8Array(8).fill(0x3f);
      for (const at of [40, 48]) expect(Object.keys(await broken(changed(qcow2, at, ...far)))).toContain('format');
      expect(await broken(changed(qcow2, 36, 0x7f, 0xff))).toHaveProperty('format');
      const bochs = bochsImage({ extent: 32768, size: 131072, catalog: [undefined], extents: [] });
      expect(await broken(changed(bochs, 80, 0, 0, 0, 0))).toHaveProperty('format');
      const parallels = await image('parallels');
      expect(await broken(changed(parallels, 28, 0, 0, 0, 0))).toHaveProperty('format');
      const vpc = await image('vpc');
      expect(await broken(changed(vpc, 512 + 32, 0, 0, 0, 0))).toHaveProperty('format');
    },
  );

  it('CVE-2014-0148: VHDX blocks of no size', async () => {
    const vhdx = await image('vhdx');
    expect(await broken(changed(vhdx, 65536, 0))).not.toHaveProperty('format');
    const zeroed = vhdx.map((byte, at) => (at >= 65536 && at < 65536 * 3 ? 0 : byte));
    expect(await broken(zeroed)).toHaveProperty('format');
  });

  it.each(['CVE-2014-0222', 'CVE-2014-0223'])('%s: qcow tables of any size', async () => {
    const qcow = await image('qcow');
    expect(await broken(changed(qcow, 33, 60))).toHaveProperty('format');
    expect(await broken(changed(qcow, 24, 0x7f))).toHaveProperty('format');
  });

  it.each(['CVE-2013-2096', 'CVE-2013-4463', 'CVE-2013-4469'])('%s: a disk without bounds', async () => {
    await library.createImage({ filename: 'huge', format: 'qcow2', size: '100T', options: { cluster_size: '2M' } });
    expect(await broken(library.files.bytes('huge').slice())).toEqual({ sizes: [expect.stringContaining('disk has')] });
  });

  it('CVE-2015-5162: tables that take the time and memory of others', async () => {
    const bytes = await image('qcow2', { cluster_size: 65536 });
    const view = new DataView(bytes.buffer);
    view.setUint32(60, 65536);
    expect(await broken(bytes)).toHaveProperty('sizes');
  });

  it('CVE-2010-2237, CVE-2010-2238, CVE-2010-2239: chains are not followed', async () => {
    library.files.put('secret', new Uint8Array(4096).fill(9));
    library.files.put('disk', await overlay('secret'));
    const strict = new MemoryLibrary({ untrusted: true }, library.files);
    const disk = { filename: 'disk', format: 'qcow2' };
    await expect(strict.map({ image: disk })).rejects.toMatchObject({ kind: 'denied' });
    await expect(strict.info({ image: disk, backingChain: true })).rejects.toMatchObject({ kind: 'denied' });
    const { images } = await strict.info({ image: disk });
    expect(images[0]).toMatchObject({ backingFile: 'secret' });
  });

  it('QEMU issue 4033: a VHDX disk beyond what its tables can count is not opened', async () => {
    const vhdx = await image('vhdx', { block_size: 1048576 });
    const needle = text('metadata');
    const at = vhdx.findIndex((_, i) => needle.every((byte, k) => vhdx[i + k] === byte));
    const fields = new DataView(vhdx.buffer, at);
    const items = at + 65536;
    const size = new DataView(vhdx.buffer, items);
    // The size of the disk is the second item of those that this program writes.
    for (let i = 0; i < 256; i += 8) {
      if (size.getBigUint64(i, true) === BigInt(3 * MiB)) size.setBigUint64(i, (2n ** 32n + 25n) * BigInt(MiB), true);
    }
    expect(fields.getUint16(10, true)).toBeGreaterThan(0);
    expect(await broken(vhdx)).toHaveProperty('format');
  });
});

describe('rules of the format inspector of OpenStack', () => {
  it('qcow2: version, unknown features, backing file, data file', async () => {
    const qcow2 = await image('qcow2');
    expect(await broken(changed(qcow2, 7, 4))).toHaveProperty('features');
    expect(await broken(changed(qcow2, 79, 0x20))).toHaveProperty('features');
    expect(await broken(changed(qcow2, 72, 0x80))).toHaveProperty('features');
    expect(await broken(await image('qcow'))).toHaveProperty('format');
  });

  it('vmdk: no descriptor, no text, unknown lines, no extents, kinds, places of the descriptor', async () => {
    expect(await broken(await sparse(() => ''))).toHaveProperty('format');
    expect(await broken(await sparse((old) => `${old}\xe9\n`))).toHaveProperty('format');
    expect(await broken(await sparse((old) => `${old}what is this\n`))).toHaveProperty('format');
    expect(await broken(await sparse((old) => old.replace(/^RW.*\n/m, '')))).toHaveProperty('extents');
    expect(await broken(await sparse((old) => old.replace('monolithicSparse', 'custom')))).toHaveProperty('extents');
    expect(await broken(await sparse((old) => old.replace('"made"', '"/etc/passwd"')))).toHaveProperty('extents');
    const hint = (old: string): string => `${old}parentFileNameHint="base.vmdk"\n`;
    expect(await broken(await sparse(hint))).toHaveProperty('backing-file');
    const vmdk = await image('vmdk');
    expect(await broken(changed(vmdk, 28, 2))).toHaveProperty('format');
    expect(await broken(changed(vmdk, 4, 9))).toHaveProperty('features');
  });

  it('vmdk: header and footer of a stream say the same', async () => {
    const stream = await image('vmdk', { subformat: 'streamOptimized' });
    expect(await broken(stream)).toEqual({});
    expect(await broken(changed(stream, stream.length - 1024 + 28, 3))).toHaveProperty('metadata');
    expect(await broken(stream.subarray(0, stream.length - 512))).toHaveProperty('metadata');
  });

  it('vhd, vdi, vhdx: parents', async () => {
    expect(await broken(changed(await image('vdi'), 0x1a8, 1))).toHaveProperty('backing-file');
    const vpc = await image('vpc');
    expect(await broken(changed(vpc, 60, 0, 0, 0, 4))).toHaveProperty('backing-file');
  });

  it('luks: version 2, and passphrases that cost hours', async () => {
    const luks = (await samples()).length > 0 ? new Uint8Array(2 * MiB) : new Uint8Array();
    luks.set([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe, 0, 1]);
    expect(await broken(luks)).toHaveProperty('encryption');
  });

  it('mbr and gpt: flags of booting, protective entries, partitions', async () => {
    const disk = new Uint8Array(65536);
    disk.set([0x55, 0xaa], 510);
    expect(await broken(disk)).toHaveProperty('partitions');
    disk.set([0x80, 1, 1, 0, 0x83, 1, 1, 1, 8, 0, 0, 0, 8, 0, 0, 0], 446);
    expect(await broken(disk)).toEqual({});
    expect(await broken(changed(disk, 446, 0x12))).toHaveProperty('partitions');
    const gpt = changed(disk, 446, 0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0);
    expect(await broken(gpt)).toHaveProperty('partitions');
    gpt.set(text('EFI PART'), 512);
    expect(await broken(gpt)).toEqual({});
    expect(await broken(changed(gpt, 454, 2))).toHaveProperty('partitions');
    expect(await broken(changed(gpt, 447, 1))).toHaveProperty('partitions');
  });

  it('content that is not what was expected', async () => {
    expect(await broken(await image('vdi'), 'qcow2')).toHaveProperty('format');
    expect(await broken(new Uint8Array(4096), 'qcow2')).toHaveProperty('format');
  });
});

describe('costs', () => {
  it('DMG tables that would take more memory than is promised', async () => {
    const dmg = (await samples()).find(({ name }) => name === 'dmg')?.bytes ?? new Uint8Array();
    const view = new DataView(dmg.slice().buffer);
    const trailer = Array.from({ length: 512 }, (_, i) => dmg.length - 1023 + i).find((at) => {
      return at >= 0 && view.getUint32(at) === 0x6b6f6c79;
    });
    view.setBigUint64(trailer === undefined ? dmg.length - 512 + 0xe0 : trailer + 0xe0, 9_000_000n);
    expect(await broken(new Uint8Array(view.buffer))).toHaveProperty('sizes');
  });
});

describe('polyglots', () => {
  it.each(['CD001', 'BEA01'])('of qcow2 and a disc (%s)', async (name) => {
    const bytes = await image('qcow2');
    expect(await broken(changed(bytes, 32769, ...text(name)))).toHaveProperty('polyglot');
  });

  it('of qcow2 and an MBR, and of two formats', async () => {
    const qcow2 = await image('qcow2');
    const mbr = changed(changed(qcow2, 510, 0x55, 0xaa), 450, 0x83);
    expect(await broken(mbr)).toHaveProperty('polyglot');
    const vpc = await image('vpc', { subformat: 'fixed' });
    const both = new Uint8Array([...qcow2, ...vpc.subarray(vpc.length - 512)]);
    expect(await broken(both)).toHaveProperty('polyglot');
  });
});

describe('structures', () => {
  it('that lie over each other, are used twice, or are not there', async () => {
    const bytes = await image('qcow2', { cluster_size: 4096 });
    const view = new DataView(bytes.buffer);
    const l1 = Number(view.getBigUint64(40));
    const l2 = Number(view.getBigUint64(l1) & 0xffffffffffffffn);
    const twice = bytes.slice();
    twice.copyWithin(l1 + 8, l1, l1 + 8);
    expect(await broken(twice)).toHaveProperty('metadata');
    const overHeader = bytes.slice();
    new DataView(overHeader.buffer).setBigUint64(l2, (1n << 63n) | BigInt(l1));
    expect(await broken(overHeader)).not.toEqual({});
    const beyond = bytes.slice();
    new DataView(beyond.buffer).setBigUint64(l1, 1n << 40n);
    expect(await broken(beyond)).toHaveProperty('metadata');
  });

  it('marks of damage, and data behind the end', async () => {
    const qcow2 = await image('qcow2');
    expect(await broken(changed(qcow2, 79, 1))).toHaveProperty('state');
    expect(await broken(changed(qcow2, 79, 2))).toHaveProperty('state');
    const longer = new Uint8Array(qcow2.length + 2 * 65536).fill(5, qcow2.length + 65536);
    longer.set(qcow2);
    expect(await broken(longer)).toHaveProperty('trailing-data');
  });

  it('compressed clusters that all name one stream expand to no more than can be', async () => {
    await library.createImage({ filename: 'bomb', format: 'qcow2', size: '32G', options: { cluster_size: '64K' } });
    const empty = library.files.bytes('bomb');
    const bytes = new Uint8Array(empty.length + 65 * 65536);
    bytes.set(empty);
    const view = new DataView(bytes.buffer);
    const l1 = Number(view.getBigUint64(40));
    for (let table = 0; table < 64; table++) {
      const at = Math.ceil(empty.length / 65536) * 65536 + table * 65536;
      view.setBigUint64(l1 + table * 8, BigInt(at));
      for (let i = 0; i < 65536; i += 8) view.setBigUint64(at + i, (1n << 62n) | BigInt(bytes.length - 65536));
    }
    expect(await broken(bytes)).not.toEqual({});
  });
});

describe('limits', () => {
  it('on decompressed bytes', async () => {
    library.files.put('source', new Uint8Array(MiB).fill(4));
    const target = { filename: 'packed', format: 'qcow2' };
    await library.convert({ source: { filename: 'source', format: 'raw' }, target, compress: true });
    const tight = new MemoryLibrary({ untrusted: true, limits: { decompressedBytes: 65536 } }, library.files);
    const copy = tight.convert({ source: target, target: { filename: 'out', format: 'raw' } });
    await expect(copy).rejects.toMatchObject({ kind: 'limit' });
    await expect(copy).rejects.toThrow('expands to more than 65536 bytes');
    expect(tight.files.names()).not.toContain('out');
  });

  it('on unknown features that the format would have passed over', async () => {
    library.files.put('image', changed(await image('qcow2'), 80, 0x40));
    const image2 = { filename: 'image', format: 'qcow2' };
    await library.info({ image: image2 });
    const strict = new MemoryLibrary({ untrusted: true }, library.files);
    await expect(strict.info({ image: image2 })).rejects.toMatchObject({ kind: 'unsupported' });
  });

  it('on time', async () => {
    library.files.put('image', await image('qcow2'));
    const { services } = library.context;
    let seconds = 0;
    const slow = { ...services, now: () => ({ seconds: (seconds += 20), nanoseconds: 0 }) };
    const { ImageLibrary } = await import('../../../src/operations/library.ts');
    const strict = new ImageLibrary(library.context.drivers, slow, { untrusted: true });
    await expect(strict.check({ image: 'image' })).rejects.toMatchObject({ kind: 'limit' });
    expect((await strict.inspect({ image: 'image' }).catch((error: BlockError) => error)).kind).toBe('limit');
  });

  it('are in one table', () => {
    expect(UNTRUSTED_LIMITS).toMatchObject({ strict: true, extents: 1, seconds: 10 });
  });
});
