/**
 * A format and a filter that this package has never heard of: each is a folder of test/toys and one entry of a registry
 * ("Add a format", "Add a filter" in docs/ARCHITECTURE.md). Whatever else one needs is a mistake in src.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { DriverRegistry } from '../../../src/block/graph/registry.ts';
import { drivers } from '../../../src/drivers.ts';
import { ImageLibrary, MemoryFiles, memoryServices } from '../../../src/testing.ts';
import { runProgram } from '../../support/memoryProgram.ts';
import { probe } from '../../toys/format/probe.ts';
import { type Boxes, toyEntry } from '../../toys/protocol/driver.ts';

const registry = new DriverRegistry(
  [{ name: 'tiles', probe, load: async () => (await import('../../toys/format/driver.ts')).tiles }, ...drivers.formats],
  drivers.protocols,
  [...drivers.filters, { name: 'veil', load: async () => (await import('../../toys/filter/driver.ts')).veil }],
);

const CLUSTER = 4096;
const SIZE = 10 * CLUSTER + 512;
const KEY = 0x2a;

let files: MemoryFiles;
let library: ImageLibrary;

beforeEach(() => {
  files = new MemoryFiles();
  library = new ImageLibrary(registry, memoryServices(files), { implicitOpen: 'allow' });
});

/** Runs a command that has to succeed without a word on standard error; returns what it printed. */
async function run(line: string): Promise<string> {
  const { code, stdout, stderr } = await runProgram(line, registry, files);
  expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
  return stdout;
}

/** Guest bytes with data in some clusters, the last one included. */
function pattern(seed: number, clusters: readonly number[], size = SIZE): Uint8Array {
  const bytes = new Uint8Array(size);
  for (const cluster of clusters) {
    for (let at = cluster * CLUSTER; at < Math.min(size, (cluster + 1) * CLUSTER); at++)
      bytes[at] = 1 + ((at + seed) % 255);
  }
  return bytes;
}

async function writeAt(image: string, cluster: number, bytes: Uint8Array): Promise<void> {
  const node = await library.openImage(image, { writable: true });
  await node.write(cluster * CLUSTER, bytes);
  await node.close();
}

async function contentOf(image: string): Promise<Uint8Array> {
  const node = await library.openImage(image);
  const bytes = new Uint8Array(node.size());
  await node.read(0, bytes);
  await node.close();
  return bytes;
}

async function describeImage(image: string): Promise<unknown> {
  return (await library.info({ image })).images[0];
}

async function extentsOf(image: string): Promise<unknown> {
  return (await library.map({ image })).extents;
}

async function expectContent(image: string, expected: Uint8Array): Promise<void> {
  expect(Buffer.compare(await contentOf(image), expected)).toBe(0);
}

describe('a format of its own', () => {
  it('is listed in the help', async () => {
    const [, listed = ''] = (await run('--help')).split('Supported image formats:\n');
    expect(listed.trim().split(/\s+/)).toEqual(registry.names());
    expect(listed).toMatch(/ tiles /);
    expect(listed).toMatch(/ veil /);
    expect(await run('create -f tiles -o help')).toMatch(/cluster_size=<size> +- Bytes in a cluster, a power of two/);
  });

  it('create and info', async () => {
    expect(await run('create -f tiles -o cluster_size=8k a 1M')).toBe(
      "Formatting 'a', fmt=tiles size=1048576 cluster_size=8192\n",
    );
    const text = await run('info a');
    expect(text).toContain('file format: tiles\n');
    expect(text).toContain('virtual size: 1 MiB (1048576 bytes)\n');
    expect(text).toContain('cluster_size: 8192\n');
    expect(await describeImage('a')).toMatchObject({ format: 'tiles', virtualSize: 1 << 20 });
    await expect(library.createImage({ filename: 'b', format: 'tiles', size: '1G' })).rejects.toThrow(
      'The toy is too large',
    );
    expect(files.names()).toEqual(['a']);
  });

  it('convert both ways, compare, map, check', async () => {
    const content = pattern(1, [0, 3, 4, 10]);
    files.put('raw', content);
    await run('convert -f raw -O tiles raw a');
    expect(await run('compare raw a -f raw')).toBe('Images are identical.\n');
    await run('convert -O qcow2 a b');
    await run('convert -O tiles b c');
    await run('convert -O raw c d');
    expect(Buffer.compare(files.bytes('d'), content)).toBe(0);
    expect(await extentsOf('a')).toMatchObject([
      { start: 0, length: CLUSTER, data: true, offset: 66_048 },
      { start: CLUSTER, length: 2 * CLUSTER, data: false },
      { start: 3 * CLUSTER, length: 2 * CLUSTER, data: true },
      { start: 5 * CLUSTER, length: 5 * CLUSTER, data: false },
      { start: 10 * CLUSTER, length: 512, data: true },
    ]);
    expect(await run('map a')).toContain('0x10200         a\n');
    expect(await run('check a')).toContain('No errors were found on the image.\n');
  });

  it('check finds what is wrong, in the words of the kit', async () => {
    await run('create -f tiles a 64k');
    const bytes = Uint8Array.from(files.bytes('a'));
    bytes[512] = 2;
    files.put('a', bytes);
    expect(await runProgram('check a', registry, files)).toEqual({
      code: 2,
      stdout: expect.stringContaining('1 errors were found on the image.') as string,
      stderr: 'ERROR cluster 0 at 0x10200 reaches beyond the end of the file\n',
    });
  });

  it('backing images: create, rebase, commit', async () => {
    files.put('raw', pattern(1, [0, 1, 10]));
    await run('convert -f raw -O tiles raw base');
    await run('convert -f raw -O qcow2 raw other');
    await run('create -f tiles -b base -F tiles top');
    await writeAt('top', 1, pattern(2, [0], CLUSTER).subarray(7));
    const content = await contentOf('top');
    expect(content.subarray(0, CLUSTER)).toEqual(pattern(1, [0], CLUSTER));
    expect(await describeImage('top')).toMatchObject({
      format: 'tiles',
      backingFile: 'base',
      backingFormat: 'tiles',
    });
    await writeAt('other', 5, pattern(9, [0], CLUSTER));
    await run('rebase -b other -F qcow2 top');
    await expectContent('top', content);
    expect(await describeImage('top')).toMatchObject({ backingFile: 'other', backingFormat: 'qcow2' });
    await run('rebase -b base -F tiles top');
    await expectContent('top', content);
    expect(await run('commit top')).toBe('Image committed.\n');
    await expectContent('base', content);
    expect(files.bytes('top')).toHaveLength(66_048);
  });

  it('resize, over a backing image too', async () => {
    files.put('raw', pattern(1, [0, 9]));
    await run('convert -f raw -O tiles raw base');
    await run('create -f tiles -b base -F tiles top 8k');
    expect(await run('resize top +32k')).toBe('Image resized.\n');
    const expected = pattern(1, [0], 10 * CLUSTER);
    await expectContent('top', expected);
    await run('resize --shrink base 4k');
    await run('resize base 8k');
    await expectContent('base', pattern(1, [0], 2 * CLUSTER));
    expect(await runProgram('resize base 1G', registry, files)).toMatchObject({
      code: 1,
      stderr: 'qemu-img: The toy is too large\n',
    });
  });

  it('grows its file through a node between them', async () => {
    files.put('raw', pattern(1, [0, 4]));
    await run(`create -f tiles a ${SIZE}`);
    const below = 'driver=tiles,file.driver=raw,file.file.driver=file,file.file.filename=a';
    await run(`convert -n --target-image-opts -f raw raw ${below}`);
    await expectContent('a', pattern(1, [0, 4]));
  });

  it('measure says what convert takes', async () => {
    files.put('raw', pattern(1, [2, 3, 10]));
    await run('convert -f raw -O tiles raw a');
    expect(await run('measure -O tiles a')).toBe(
      `required size: ${66_048 + 3 * CLUSTER}\nfully allocated size: ${66_048 + 11 * CLUSTER}\n`,
    );
    expect(files.bytes('a')).toHaveLength(66_048 + 3 * CLUSTER);
  });
});

describe('a filter of its own', () => {
  /** The file of a toy image with the key over each byte. */
  async function hidden(name: string, content: Uint8Array): Promise<string> {
    files.put('plain', content);
    await run(`convert -f raw -O tiles plain ${name}.toy`);
    files.put(
      name,
      files.bytes(`${name}.toy`).map((byte) => byte ^ KEY),
    );
    return `veil:${KEY}:${name}`;
  }

  it('info, map, check', async () => {
    const name = await hidden('a', pattern(1, [1, 10]));
    expect(await describeImage(name)).toMatchObject({ format: 'tiles', filename: name, virtualSize: SIZE });
    expect(await extentsOf(name)).toMatchObject([
      { start: 0, data: false },
      { start: CLUSTER, length: CLUSTER, data: true, offset: 66_048 },
      { start: 2 * CLUSTER, data: false },
      { start: 10 * CLUSTER, length: 512, data: true },
    ]);
    expect(await run(`check ${name}`)).toContain('No errors were found on the image.\n');
    const opts = `driver=tiles,file.driver=veil,file.key=${KEY},file.image.driver=file,file.image.filename=a`;
    expect(await run(`info --image-opts ${opts}`)).toContain(`image: veil:${KEY}:a\n`);
    expect((await runProgram(`info --image-opts ${opts},file.colour=red`, registry, files)).stderr).toContain(
      "Block protocol 'veil' doesn't support the option 'colour'",
    );
  });

  it('convert both ways, compare, measure', async () => {
    const content = pattern(3, [0, 2, 10]);
    const name = await hidden('a', content);
    await run(`convert -O raw ${name} b`);
    expect(Buffer.compare(files.bytes('b'), content)).toBe(0);
    expect(await run(`compare -F raw ${name} b`)).toBe('Images are identical.\n');
    expect(await run(`measure -O tiles ${name}`)).toContain(`required size: ${66_048 + 3 * CLUSTER}\n`);
    const other = await hidden('c', new Uint8Array(SIZE));
    await run(`convert -n -f raw -O tiles b ${other}`);
    await expectContent(other, content);
    expect(
      Buffer.compare(
        files.bytes('c').subarray(0, 8),
        Buffer.from('TOYIMAGE').map((byte) => byte ^ KEY),
      ),
    ).toBe(0);
    expect(await run(`check ${other}`)).toContain('No errors were found on the image.\n');
  });

  it('rebase, commit, resize', async () => {
    const base = await hidden('a', pattern(1, [0, 1]));
    await run(`create -f tiles -b ${base} -F tiles top`);
    await writeAt('top', 5, pattern(2, [0], CLUSTER));
    const content = await contentOf('top');
    files.put('zeroes', SIZE);
    await run('rebase -b zeroes -F raw top');
    await expectContent('top', content);
    await run(`rebase -b ${base} -F tiles top`);
    await run('commit top');
    await expectContent(base, content);
    await run(`resize ${base} +4k`);
    expect(await contentOf(base)).toEqual(new Uint8Array([...content, ...new Uint8Array(4096)]));
    await run(`resize -f raw veil:${KEY}:zeroes +4k`);
    expect(files.bytes('zeroes').subarray(-4096)).toEqual(new Uint8Array(4096).fill(KEY));
  });

  it('creates nothing, as the filters of the real tool', async () => {
    const { code, stderr } = await runProgram(`create -f tiles veil:${KEY}:x 1M`, registry, files);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("'veil' does not support image creation") as string,
    });
    expect(files.names()).toEqual([]);
  });
});

describe('all of them', () => {
  it('work with each other, in the program too', async () => {
    const boxes: Boxes = new Map();
    const all = new DriverRegistry(registry.formats, [...registry.protocols, toyEntry(boxes)], registry.filters);
    const ask = async (line: string): Promise<string> => {
      const { code, stdout, stderr } = await runProgram(line, all, files);
      expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
      return stdout;
    };
    files.put('raw', pattern(5, [0, 3, 10]));
    await ask('convert -f raw -O tiles raw toy:a@shelf');
    await ask('create -f tiles -b toy:a@shelf -F tiles toy:top@shelf');
    expect(await ask('info toy:top@shelf')).toContain('file format: tiles\n');
    expect(await ask('check toy:top@shelf')).toContain('No errors were found on the image.\n');
    expect(await ask('compare -f raw raw toy:top@shelf')).toBe('Images are identical.\n');
    await ask('convert -f raw -O raw toy:a@shelf copy');
    await ask('convert -n -f raw -O raw copy veil:0:toy:a@shelf');
    expect(await ask('compare -f raw raw veil:0:toy:a@shelf')).toBe('Images are identical.\n');
    expect(await ask('--help')).toMatch(/ tiles toy vdi\s+veil /);
    expect(files.names()).toEqual(['copy', 'raw']);
  });
});
