/** Images that once took minutes or gigabytes: what is read of them is counted, because times differ from run to run. */
import { beforeEach, describe, expect, it } from 'vitest';
import { formatInfo } from '../../../src/report/info.ts';
import type { FileHandle, FileOpenOptions } from '../../../src/storage/files.ts';
import { MemoryFiles, MemoryLibrary } from '../../../src/testing.ts';

const MiB = 1048576;

/** Files that count how often they are opened and read. */
class CountingFiles extends MemoryFiles {
  opened = 0;
  reads = 0;

  override async open(name: string, options: FileOpenOptions): Promise<FileHandle> {
    this.opened++;
    const handle = await super.open(name, options);
    const read = handle.read.bind(handle);
    return Object.assign(handle, {
      read: (offset: number, into: Uint8Array) => {
        this.reads++;
        return read(offset, into);
      },
    });
  }
}

let files = new CountingFiles();
let library = new MemoryLibrary({ implicitOpen: 'allow' }, files);
beforeEach(() => {
  files = new CountingFiles();
  library = new MemoryLibrary({ implicitOpen: 'allow' }, files);
});

/** A new image of which `change` gets the bytes, `more` of them behind its end. */
async function put(
  format: string,
  size: string,
  options: Readonly<Record<string, string | number>>,
  change: (view: DataView, end: number) => void,
  more: number = MiB,
): Promise<void> {
  await library.createImage({ filename: 'image', format, size, options });
  const old = files.bytes('image');
  const end = Math.ceil(old.length / 65536) * 65536;
  const bytes = new Uint8Array(end + more);
  bytes.set(old);
  change(new DataView(bytes.buffer), end);
  files.put('image', bytes);
  files.reads = 0;
  files.opened = 0;
}

/** Runs that `map` finds, and how many reads that takes. */
async function mapped(format: string): Promise<{ readonly runs: number; readonly reads: number }> {
  const { extents } = await library.map({ image: { filename: 'image', format } });
  return { runs: extents.length, reads: files.reads };
}

/** Sets all entries of the L1 table of a qcow2 image. */
function fillL1(view: DataView, entry: (index: number) => number): void {
  const [entries, offset] = [view.getUint32(36), Number(view.getBigUint64(40))];
  for (let i = 0; i < entries; i++) view.setBigUint64(offset + i * 8, BigInt(entry(i)));
}

describe('map', () => {
  it('of 32,768 L1 entries that all name one empty L2 table', async () => {
    await put('qcow2', '1G', { cluster_size: 512 }, (view, end) => fillL1(view, () => end));
    const { runs, reads } = await mapped('qcow2');
    expect(runs).toBe(1);
    expect(reads).toBeLessThan(20);
  });

  it('of L1 entries that name tables far beyond the end of the file', async () => {
    await put('qcow2', '8T', { cluster_size: 65536 }, (view) => fillL1(view, (i) => 2 ** 40 + i * 65536));
    const { runs, reads } = await mapped('qcow2');
    expect(runs).toBe(1);
    expect(reads).toBeLessThan(20);
  });

  it('of compressed clusters that all name one stream, in one table', async () => {
    await put('qcow2', '64M', { cluster_size: 512 }, (view, end) => {
      for (let i = 0; i < 512; i += 8) view.setBigUint64(end + i, (1n << 62n) | BigInt(end + 4096));
      fillL1(view, () => end);
    });
    const { runs, reads } = await mapped('qcow2');
    expect(runs).toBe(1);
    expect(reads).toBeLessThan(20);
  });

  it('keeps equal tables apart that name clusters', async () => {
    await put('qcow2', '96K', { cluster_size: 512 }, (view, end) => {
      view.setBigUint64(end + 8, (1n << 63n) | BigInt(end + 4096));
      fillL1(view, () => end);
    });
    const { extents } = await library.map({ image: 'image' });
    expect(extents.filter(({ data }) => data).map(({ start, length, offset }) => [start, length, offset])).toEqual(
      [0, 1, 2].map((i) => [i * 32768 + 512, 512, extents.find(({ data }) => data)?.offset]),
    );
    expect(extents).toHaveLength(7);
  });

  it('of qcow tables that are all the same, or not there', async () => {
    for (const place of [(end: number) => end, (end: number, i: number) => end * 4096 + i * 4096]) {
      await put('qcow', '64G', {}, (view, end) => {
        for (let i = 0; i < 32768; i++) view.setBigUint64(48 + i * 8, BigInt(place(end, i)));
      });
      const { runs, reads } = await mapped('qcow');
      expect(runs).toBe(1);
      expect(reads).toBeLessThan(40);
    }
  });

  it('of qed tables that are all the same', async () => {
    await put('qed', '8G', { cluster_size: 4096, table_size: 4 }, (view, end) => {
      const l1 = Number(view.getBigUint64(40, true));
      for (let i = 0; i < 2048; i++) view.setBigUint64(l1 + i * 8, BigInt(end), true);
    });
    const { runs, reads } = await mapped('qed');
    expect(runs).toBe(1);
    expect(reads).toBeLessThan(20);
  });
});

describe('VMDK images', () => {
  const fill = (view: DataView, end: number): void => {
    const [capacity, directory] = [Number(view.getBigUint64(12, true)), Number(view.getBigUint64(56, true)) * 512];
    for (let i = 0; i < capacity / 65536; i++) view.setUint32(directory + i * 4, end / 512, true);
    // Every second grain is stored, so that runs are short.
    for (let i = 0; i < 512; i += 2) view.setUint32(end + i * 4, (end + 65536) / 512, true);
  };

  it('whose directory names one table everywhere are checked by looking at it once', async () => {
    await put('vmdk', '256G', {}, fill);
    expect(await library.check({ image: 'image' })).toMatchObject({ kind: 'clean' });
    expect(files.reads).toBeLessThan(40);
  });

  it('whose directory names one empty table are mapped by looking at it once', async () => {
    await put('vmdk', '256G', {}, (view, end) => {
      fill(view, end);
      new Uint8Array(view.buffer).fill(0, end, end + 2048);
    });
    expect(await mapped('vmdk')).toMatchObject({ runs: 1 });
    expect(files.reads).toBeLessThan(40);
  });

  it('that name one file as 500 extents open it once', async () => {
    files.put('flat', new Uint8Array(65536).fill(7));
    const head = '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="twoGbMaxExtentFlat"\n';
    const text = `${head}${'RW 128 FLAT "flat" 0\n'.repeat(500)}`;
    files.put('image', new TextEncoder().encode(text));
    const target = { filename: 'copy', format: 'raw' };
    await library.convert({ source: { filename: 'image', format: 'vmdk' }, target });
    expect(files.opened).toBeLessThan(10);
    expect(files.bytes('copy').every((byte) => byte === 7)).toBe(true);
    expect(files.bytes('copy').length).toBe(500 * 65536);
  });
});

describe('bitmaps', () => {
  const many = (count: number, entries: number) => (view: DataView, end: number) => {
    const at = 112;
    view.setUint32(at, 0x23852875);
    view.setUint32(at + 4, 24);
    view.setUint32(at + 8, count);
    view.setUint32(at + 12, 0);
    view.setBigUint64(at + 16, BigInt(count * 32));
    view.setBigUint64(at + 24, BigInt(end));
    view.setBigUint64(at + 32, 0n);
    view.setBigUint64(88, 1n);
    for (let i = 0; i < count; i++) {
      const entry = end + i * 32;
      view.setBigUint64(entry, BigInt(end + 3 * MiB));
      view.setUint32(entry + 8, entries);
      view.setUint8(entry + 16, 1);
      view.setUint8(entry + 17, 9);
      view.setUint16(entry + 18, 5);
      for (let digit = 0; digit < 5; digit++) {
        view.setUint8(entry + 28 - digit, 48 + (Math.floor(i / 10 ** digit) % 10));
      }
    }
  };

  it('of one table are read once, and info prints all of them', async () => {
    await put('qcow2', '256M', {}, many(65000, 1), 4 * MiB);
    const result = await library.info({ image: 'image' });
    expect(files.reads).toBeLessThan(20);
    expect(formatInfo(result).split('\n').length).toBeGreaterThan(195_000);
  });

  it('whose tables are too large together are not opened', async () => {
    await put('qcow2', '2G', { cluster_size: 65536 }, many(10, 8), 4 * MiB);
    const tight = new MemoryLibrary({ limits: { tableBytes: 32 } }, files);
    await expect(tight.info({ image: 'image' })).rejects.toMatchObject({ kind: 'limit' });
  });
});
