/** Nothing but its own folder and an entry in the registry makes a protocol: every operation works with it. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { ProtocolDriver } from '../../../src/block/protocol.ts';
import {
  DriverRegistry,
  drivers,
  type ImageInfo,
  type ImageInput,
  type ProtocolEntry,
  type Services,
} from '../../../src/index.ts';
import { ImageLibrary, type RunSettings } from '../../../src/operations/library.ts';
import { MemoryFiles, memoryServices } from '../../../src/testing.ts';
import { runProgram } from '../../support/memoryProgram.ts';
import { type Boxes, toyEntry, toyProtocol } from '../../toys/protocol/driver.ts';

const SIZE = 1 << 20;
const CLUSTER = 65536;

let boxes: Boxes;
let library: ImageLibrary;

/** Files that are not there: whoever reaches for them fails. */
const noFiles = new Proxy({} as Services['files'], {
  get: (_, name) => {
    throw new Error(`somebody reached for files: ${String(name)}`);
  },
});

function registryWith(entry: ProtocolEntry): DriverRegistry {
  return new DriverRegistry(drivers.formats, [...drivers.protocols, entry], drivers.filters);
}

function libraryWith(
  entry: ProtocolEntry,
  files: Services['files'] = noFiles,
  settings: RunSettings = {},
): ImageLibrary {
  return new ImageLibrary(registryWith(entry), { ...memoryServices(), files }, { implicitOpen: 'allow', ...settings });
}

beforeEach(() => {
  boxes = new Map();
  library = libraryWith(toyEntry(boxes));
});

/** What `info` says about an image. */
async function described(image: ImageInput, by: ImageLibrary = library): Promise<ImageInfo> {
  const { images } = await by.info({ image });
  return images[0] as ImageInfo;
}

/** Writes `value` into the clusters of an image. */
async function fill(filename: string, value: number, ...clusters: readonly number[]): Promise<void> {
  const node = await library.openImage(filename, { writable: true });
  for (const cluster of clusters) await node.write(cluster * CLUSTER, new Uint8Array(CLUSTER).fill(value));
  await node.close();
}

/** First byte of each of the first clusters. */
async function firsts(filename: string, count = 4): Promise<string> {
  const node = await library.openImage(filename);
  const byte = new Uint8Array(1);
  let text = '';
  for (let cluster = 0; cluster < count; cluster++) {
    await node.read(cluster * CLUSTER, byte);
    text += String(byte[0]);
  }
  await node.close();
  return text;
}

/** A base and an overlay that knows it by a relative name, with something in both. */
async function chain(): Promise<void> {
  await library.createImage({ filename: 'toy:base@top', format: 'qcow2', size: SIZE });
  await fill('toy:base@top', 1, 0, 1);
  const backing = { filename: 'base', format: 'qcow2' };
  await library.createImage({ filename: 'toy:over@top', format: 'qcow2', backing });
  await fill('toy:over@top', 2, 1, 2);
}

describe.each(['qcow2', 'raw'])('a %s image over it', (format) => {
  const image = { filename: 'toy:disk@top', format };

  beforeEach(async () => {
    await library.createImage({ ...image, size: SIZE });
    const node = await library.openImage(image, { writable: true });
    await node.write(CLUSTER, new Uint8Array(CLUSTER).fill(7));
    await node.close();
  });

  it('is described', async () => {
    const info = await described(image);
    expect(info).toMatchObject({ filename: 'toy:disk@top', format, virtualSize: SIZE });
    expect(info.children).toMatchObject([{ name: 'file', info: { filename: 'toy:disk@top', format: 'toy' } }]);
  });

  it('is mapped, with places in the box', async () => {
    const { extents } = await library.map({ image });
    expect(extents.filter(({ data }) => data)).toMatchObject([
      { start: CLUSTER, length: CLUSTER, zero: false, filename: 'toy:disk@top' },
    ]);
  });

  it('is measured, and grows', async () => {
    const { required } = await library.measure({ image, format: 'raw' });
    expect(required).toBe(SIZE);
    await library.resize({ image, size: '+1M' });
    expect((await described(image)).virtualSize).toBe(2 * SIZE);
  });

  it('becomes a file, and a file becomes one, and they are the same', async () => {
    const files = new MemoryFiles();
    const both = libraryWith(toyEntry(boxes), files);
    await both.convert({ source: image, target: { filename: 'out.qcow2', format: 'qcow2' } });
    await both.convert({ source: 'out.qcow2', target: { filename: 'toy:back@top', format } });
    const second = { filename: 'toy:back@top', format };
    expect(await both.compare({ first: image, second, strict: true })).toMatchObject({ kind: 'identical' });
    expect(files.names()).toEqual(['out.qcow2']);
  });

  it('is copied by dd', async () => {
    await library.dd({ source: image, target: { filename: 'toy:copy@top', format: 'raw' } });
    expect(await library.compare({ first: image, second: 'toy:copy@top' })).toMatchObject({ kind: 'identical' });
  });

  it('is not overwritten by dd with itself', async () => {
    const copied = library.dd({ source: image, target: image });
    await expect(copied).rejects.toMatchObject({ kind: 'locked' });
    expect(await firsts('toy:disk@top')).toBe('0700');
  });
});

it('is a protocol for every command of the program', async () => {
  const files = new MemoryFiles();
  const run = async (line: string): Promise<string> => {
    const { code, stdout, stderr } = await runProgram(line, registryWith(toyEntry(boxes)), files);
    expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
    return stdout;
  };
  expect(await run('--help')).toMatch(/\n {2}(?:.* )?toy\s/);
  expect(await run('create -f qcow2 -o help toy:x@y')).toMatch(/size=<size>/);
  await run('create -q -f raw toy:base@top 1M');
  await run('create -q -f qcow2 -b base -F raw toy:over@top');
  await fill('toy:over@top', 5, 1);
  expect(await run('info toy:over@top')).toContain('backing file: base (actual path: toy:base@top)\n');
  expect(await run('map toy:over@top')).toMatch(/^0x10000 +0x10000 +0x50000 +toy:over@top$/m);
  expect(await run('check toy:over@top')).toContain('No errors were found');
  expect(await run('measure -O qcow2 toy:over@top')).toContain('fully allocated size: ');
  await run('convert -O qcow2 -B base -F raw toy:over@top toy:copy@top');
  await run('convert -O vmdk toy:over@top out.vmdk');
  await run('dd if=toy:over@top of=toy:flat@top');
  for (const name of ['toy:copy@top', 'out.vmdk', 'toy:flat@top']) {
    expect(await run(`compare toy:over@top ${name}`)).toBe('Images are identical.\n');
  }
  await run('rebase -b flat -F raw toy:copy@top');
  await run('rebase -u -b base -F raw toy:copy@top');
  expect(await run('commit -b base toy:over@top')).toBe('Image committed.\n');
  expect(await run('resize toy:copy@top +1M')).toBe('Image resized.\n');
  await run('snapshot -c s toy:copy@top');
  expect(await firsts('toy:base@top')).toBe('0500');
  expect([...boxes.keys()].sort()).toEqual(['base@top', 'copy@top', 'flat@top', 'over@top']);
  expect(files.names()).toEqual(['out.vmdk']);
});

it('is opened by options', async () => {
  await chain();
  const options = { driver: 'qcow2', file: { driver: 'toy', place: 'over@top' } };
  expect(await described({ options })).toMatchObject({ fullBackingFile: 'toy:base@top' });
});

describe('a chain with relative names', () => {
  beforeEach(chain);

  it('is followed', async () => {
    expect(await firsts('toy:over@top')).toBe('1220');
    const { images } = await library.info({ image: 'toy:over@top', backingChain: true });
    expect(images).toMatchObject([
      { backingFile: 'base', fullBackingFile: 'toy:base@top' },
      { filename: 'toy:base@top' },
    ]);
    expect(await library.check({ image: 'toy:over@top' })).toMatchObject({ kind: 'clean' });
  });

  it('is not followed to another shelf', async () => {
    const backing = { filename: 'base', format: 'qcow2' };
    const created = library.createImage({ filename: 'toy:over@floor', format: 'qcow2', backing });
    await expect(created).rejects.toThrow("Could not open 'toy:base@floor': No such file or directory");
    expect([...boxes.keys()]).toEqual(['base@top', 'over@top']);
  });

  it('is committed, the base by its relative name', async () => {
    await library.commit({ image: 'toy:over@top', base: 'base' });
    expect(await firsts('toy:base@top')).toBe('1220');
    await expect(library.commit({ image: 'toy:over@top', base: 'other' })).rejects.toThrow("Did not find 'other'");
  });

  it('is rebased', async () => {
    await library.createImage({ filename: 'toy:new@top', format: 'qcow2', size: SIZE });
    await fill('toy:new@top', 3, 0, 3);
    await library.rebase({ image: 'toy:over@top', backing: { filename: 'new', format: 'qcow2' } });
    expect(await firsts('toy:over@top')).toBe('1220');
    expect((await described('toy:over@top')).fullBackingFile).toBe('toy:new@top');
  });

  it('is where a copy with a backing image counts from, though it is made elsewhere', async () => {
    const backing = { filename: 'base', format: 'qcow2' };
    await library.convert({ source: 'toy:over@top', target: { filename: 'toy:copy@top', format: 'qcow2' }, backing });
    expect(await firsts('toy:copy@top')).toBe('1220');
    expect([...boxes.keys()].sort()).toEqual(['base@top', 'copy@top', 'over@top']);
  });
});

describe('a target', () => {
  beforeEach(chain);

  /** A copy that stops half way, and the boxes that there were meanwhile. */
  async function stopped(atomic: boolean, entry = toyEntry(boxes)): Promise<readonly string[]> {
    const stop = new AbortController();
    let seen: readonly string[] = [];
    const onProgress = (): void => {
      seen = [...boxes.keys()];
      stop.abort();
    };
    const stoppable = libraryWith(entry, noFiles, { signal: stop.signal, onProgress });
    const target = { filename: 'toy:copy@top', format: 'qcow2' };
    await expect(stoppable.convert({ source: 'toy:base@top', target, atomic })).rejects.toMatchObject({
      kind: 'aborted',
    });
    return seen;
  }

  it('has its name when it is complete, and is gone after a failure', async () => {
    const before = [...boxes.keys()];
    expect(await stopped(false)).toEqual([...before, 'copy of top@workbench']);
    expect([...boxes.keys()]).toEqual(before);
  });

  it('keeps its content when it could not be replaced', async () => {
    await library.createImage({ filename: 'toy:copy@top', format: 'raw', size: CLUSTER });
    await stopped(true);
    expect(await described('toy:copy@top')).toMatchObject({ format: 'raw', virtualSize: CLUSTER });
  });

  it('is replaced as a whole', async () => {
    await library.createImage({ filename: 'toy:copy@top', format: 'raw', size: CLUSTER });
    const target = { filename: 'toy:copy@top', format: 'qcow2' };
    await library.convert({ source: 'toy:over@top', target, atomic: true });
    expect(await firsts('toy:copy@top')).toBe('1220');
    expect(boxes.size).toBe(3);
  });

  describe('where names can only be opened', () => {
    const bare = (): ProtocolEntry => ({ ...toyEntry(boxes), load: () => Promise.resolve(withoutNames()) });

    function withoutNames(): ProtocolDriver {
      const driver: { -readonly [member in keyof ProtocolDriver]: ProtocolDriver[member] } = toyProtocol(boxes);
      delete driver.names;
      delete driver.resolve;
      return driver;
    }

    it('is written in place, and stays after a failure', async () => {
      expect(await stopped(false, bare())).toContain('copy@top');
      expect([...boxes.keys()]).toEqual(['base@top', 'over@top', 'copy@top']);
    });

    it('cannot be replaced as a whole', async () => {
      const target = { filename: 'toy:copy@top', format: 'qcow2' };
      const replaced = libraryWith(bare()).convert({ source: 'toy:base@top', target, atomic: true });
      await expect(replaced).rejects.toThrow('it is not a regular file');
    });

    it('has relative names as directories have them', async () => {
      const image = { filename: 'toy:over@top', format: 'qcow2' };
      expect((await described(image, libraryWith(bare()))).fullBackingFile).toBe('toy:base');
    });
  });
});
