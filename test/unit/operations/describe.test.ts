/** info, map, measure, resize and check on images in memory. */
import { describe, expect, it } from 'vitest';
import { permissiveGate } from '../../../src/block/graph/gate.ts';
import { BlockError } from '../../../src/base/error.ts';
import type { Checker } from '../../../src/block/capabilities.ts';
import {
  type CheckRequest,
  check,
  DriverRegistry,
  drivers,
  type FormatDriver,
  type ImageDriver,
  type MapExtent,
} from '../../../src/index.ts';
import { MemoryFiles, MemoryLibrary, memoryServices } from '../../../src/testing.ts';

const MiB = 2 ** 20;

async function overlay(): Promise<MemoryLibrary> {
  const library = new MemoryLibrary({ implicitOpen: 'same-directory' });
  library.files.put('base', 4 * MiB);
  const base = await library.openImage({ filename: 'base', format: 'raw' }, { writable: true });
  await base.write(MiB, new Uint8Array(65536).fill(1));
  await base.close();
  await library.createImage({
    filename: 'top',
    format: 'qcow2',
    size: '8M',
    backing: { filename: 'base', format: 'raw' },
  });
  return library;
}

function brief({ start, length, depth, present, zero, data }: MapExtent): string {
  const flags = `${present ? 'p' : ''}${zero ? 'z' : ''}${data ? 'd' : ''}`;
  return `${start / 65536}+${length / 65536} ${depth}${flags}`;
}

const FOUND = { corruptions: 1, leaks: 2, checkErrors: 0, corruptionsFixed: 0, leaksFixed: 0 };

/** Checks, and unless told otherwise repairs, an image of a format whose checks do what the test says. */
async function checkWith(
  checker: Partial<Checker> | undefined,
  log: string[] = [],
  how: Partial<CheckRequest> = {},
): ReturnType<typeof check> {
  const image: ImageDriver = {
    virtualSize: 512,
    ...(checker ? { checker: { deepOnly: false, repairs: true, check: async () => FOUND, ...checker } } : {}),
    map: (_, length) => ({ kind: 'unallocated', length }),
    flush: () => undefined,
    close: () => undefined,
    info: () => ({}),
  };
  const format: FormatDriver = { name: 'fake', openOptions: {}, open: async () => image };
  const files = new MemoryFiles();
  files.put('a', 512);
  return check(
    {
      drivers: new DriverRegistry([{ name: 'fake', load: async () => format }], drivers.protocols),
      services: memoryServices(files),
      gate: permissiveGate,
    },
    { image: { filename: 'a', format: 'fake' }, repair: 'all', ...how },
    {
      line: ({ severity, text }) => log.push(`${severity}: ${text}`),
      repaired: ({ leaks, corruptions }) => log.push(`repaired ${leaks} ${corruptions}`),
    },
  );
}

describe('info', () => {
  it('describes a chain from the top', async () => {
    const library = await overlay();
    const { images } = await library.info({ image: 'top', backingChain: true, limits: true });
    expect(images.map(({ filename, format }) => [filename, format])).toEqual([
      ['top', 'qcow2'],
      ['base', 'raw'],
    ]);
    const [top] = images;
    expect(top).toMatchObject({ virtualSize: 8 * MiB, clusterSize: 65536, dirty: false, protocol: false });
    expect(top?.limits).toMatchObject({ requestAlignment: 1, writeZeroesAlignment: 65536, maxIov: 1024 });
    expect(top?.children).toMatchObject([{ name: 'file', info: { format: 'file', protocol: true, filename: 'top' } }]);
  });

  it('opens nothing that only the image names, unless asked to', async () => {
    const library = await overlay();
    await library.files.remove('base');
    expect((await library.info({ image: 'top' })).images).toHaveLength(1);
    await expect(library.info({ image: 'top', backingChain: true })).rejects.toThrow(
      "Could not open 'base': Could not open 'base': No such file or directory",
    );
  });

  it('notices a loop, whatever the names are', async () => {
    const library = new MemoryLibrary({ implicitOpen: 'allow' });
    for (const [filename, below] of [
      ['one', 'two'],
      ['two', 'one'],
    ] as const) {
      await library.createImage({
        filename,
        format: 'qcow2',
        size: 512,
        backing: { filename: below, format: 'qcow2', unsafe: true },
      });
    }
    const chain = library.info({ image: 'one', backingChain: true });
    await expect(chain).rejects.toThrow("Backing file 'one' creates an infinite loop.");
  });

  it('counts the file in whole sectors, and writes to a guessed raw image in whole sectors', async () => {
    const library = new MemoryLibrary();
    library.files.put('odd', 700);
    const { images } = await library.info({ image: 'odd', limits: true });
    expect(images[0]).toMatchObject({
      virtualSize: 1024,
      limits: { requestAlignment: 512 },
      children: [{ info: { virtualSize: 1024 } }],
    });
    const named = await library.info({ image: { filename: 'odd', format: 'raw' }, limits: true });
    expect(named.images[0]?.limits?.requestAlignment).toBe(1);
  });
});

describe('map', () => {
  it('tells layers apart', async () => {
    const library = await overlay();
    const top = await library.openImage('top', { writable: true });
    await top.write(3 * MiB, new Uint8Array(65536).fill(2));
    await top.writeZeroes(MiB, 32768);
    await top.close();
    const { extents } = await library.map({ image: 'top' });
    expect(extents.map(brief)).toEqual(['0+16 1pz', '16+1 0pd', '17+31 1pz', '48+1 0pd', '49+15 1pz', '64+64 0z']);
    const [, second] = extents;
    expect(second).toMatchObject({ filename: 'top' });
    expect(extents[0]).toMatchObject({ filename: 'base', offset: 0 });
  });

  it('keeps to its window', async () => {
    const library = await overlay();
    const { extents } = await library.map({ image: 'top', start: MiB + 512, length: 1024 });
    expect(extents).toEqual([
      {
        start: MiB + 512,
        length: 1024,
        depth: 1,
        present: true,
        zero: false,
        data: true,
        compressed: false,
        offset: MiB + 512,
        filename: 'base',
      },
    ]);
    const beyond = await library.map({ image: 'top', start: 9 * MiB });
    expect(beyond.extents).toEqual([
      { start: 9 * MiB, length: 0, depth: 0, present: false, zero: false, data: false, compressed: false },
    ]);
  });

  it('leaves the image closed when the reader stops early', async () => {
    const library = await overlay();
    for await (const extent of library.mapExtents({ image: 'top' })) {
      expect(extent.start).toBe(0);
      break;
    }
    await library.resize({ image: 'top', size: '+1M' });
  });
});

describe('measure', () => {
  it('measures sizes and images', async () => {
    const library = await overlay();
    expect(await library.measure({ size: '1G', format: 'qcow2' })).toEqual({
      required: 393216,
      fullyAllocated: 1074135040,
    });
    expect(await library.measure({ image: 'top' })).toMatchObject({ required: 8 * MiB, fullyAllocated: 8 * MiB });
    const small = await library.measure({ image: 'top', format: 'qcow2' });
    expect(small.required).toBe(5 * 65536 + 65536);
  });

  it('says which option is wrong, and for what', async () => {
    const library = new MemoryLibrary();
    const failure = library.measure({ size: 1, format: 'qcow2', options: { bogus: 1 } });
    await expect(failure).rejects.toThrow("Invalid options for file format 'qcow2'");
    await expect(failure).rejects.toMatchObject({ cause: { message: "Invalid parameter 'bogus'" } });
    await expect(library.measure({ size: 1, format: 'x' })).rejects.toThrow("Unknown file format 'x'");
    await expect(library.measure({ size: 1, image: 'a' })).rejects.toThrow('Exactly one of image and size');
  });

  it('needs a format with snapshots to measure one', async () => {
    const library = new MemoryLibrary();
    library.files.put('a', 512);
    await expect(library.measure({ image: 'a', snapshot: { either: '1' } })).rejects.toThrow(
      "Failed to load snapshot: Block format 'raw' used by device ''",
    );
  });
});

describe('resize', () => {
  it('sets, adds and takes away', async () => {
    const library = new MemoryLibrary();
    library.files.put('a', 4096);
    const image = { filename: 'a', format: 'raw' };
    expect(await library.resize({ image, size: 8192 })).toMatchObject({ oldSize: 4096, size: 8192 });
    expect(await library.resize({ image, size: '+1k' })).toMatchObject({ size: 9216 });
    expect(await library.resize({ image, size: '-2k', shrink: true })).toMatchObject({ size: 7168 });
    expect(library.files.bytes('a')).toHaveLength(7168);
  });

  it.each([
    [{ size: 512 }, 'Shrinking has to be asked for'],
    [{ size: 512, shrink: true, preallocation: 'full' }, 'Preallocation can only be used for growing images'],
    [{ size: '-4k', shrink: true }, 'New image size must be positive'],
    [{ size: 0, shrink: true }, 'New image size must be positive'],
    [{ size: '1X' }, "Invalid size '1X'"],
  ] as const)('refuses %o', async (input, message) => {
    const library = new MemoryLibrary();
    library.files.put('a', 4096);
    await expect(library.resize({ image: { filename: 'a', format: 'raw' }, ...input })).rejects.toThrow(message);
    expect(library.files.bytes('a')).toHaveLength(4096);
  });
});

describe('check', () => {
  it('finds nothing wrong with a new image', async () => {
    const library = new MemoryLibrary();
    await library.createImage({ filename: 'a', format: 'qcow2', size: '1M' });
    expect(await library.check({ image: 'a' })).toMatchObject({ kind: 'clean', format: 'qcow2', filename: 'a' });
    library.files.put('r', 512);
    expect(await library.check({ image: 'r' })).toMatchObject({ kind: 'unsupported' });
  });

  it('checks again after repairs, and keeps their number', async () => {
    const log: string[] = [];
    const repairing: Checker['check'] = async (repair, report) => {
      report({ severity: 'finding', text: `checked with ${repair}` });
      return repair === 'none' ? { ...FOUND, leaks: 0, corruptions: 0 } : { ...FOUND, leaksFixed: 2, leaks: 0 };
    };
    const result = await checkWith({ check: repairing }, log);
    expect(log).toEqual(['finding: checked with all', 'repaired 2 0', 'finding: checked with none']);
    expect(result).toMatchObject({ kind: 'clean', findings: { leaksFixed: 2, corruptions: 0 } });
  });

  it('sorts results by their worst side', async () => {
    const kinds = [
      { ...FOUND, checkErrors: 1 },
      FOUND,
      { ...FOUND, corruptions: 0 },
      { ...FOUND, corruptions: 0, leaks: 0 },
    ].map(async (result) => (await checkWith({ check: async () => result })).kind);
    expect(await Promise.all(kinds)).toEqual(['incomplete', 'corrupt', 'leaks', 'clean']);
  });

  it('says that it broke off', async () => {
    const broken = checkWith({ check: async () => Promise.reject(new BlockError('io', 'disk is gone')) });
    await expect(broken).rejects.toThrow('Check failed: Input/output error');
    const unable = checkWith({ check: async () => Promise.reject(new BlockError('unsupported', 'no')) });
    expect((await unable).kind).toBe('unsupported');
  });

  it('looks deep only where that is wanted', async () => {
    const checks = { deepOnly: true, repairs: false };
    const none = { repair: 'none' } as const;
    expect((await checkWith(checks, [], none)).kind).toBe('unsupported');
    expect(await checkWith(checks, [], { ...none, deep: true })).toMatchObject({ kind: 'corrupt', findings: FOUND });
    await expect(checkWith(checks, [], { deep: true })).rejects.toThrow("format 'fake' cannot repair anything");
    expect((await checkWith(undefined, [], { ...none, deep: true })).kind).toBe('unsupported');
  });
});
