/** Small sound images of every format, made in memory. */
import { MemoryLibrary } from '../../src/testing.ts';
import { bochsImage } from '../fixtures/bochs.ts';
import { cloopImage } from '../fixtures/cloop.ts';
import { adcOf, ChunkType, dmgImage, zlibChunk } from '../fixtures/dmg.ts';

/** A sound image, and how to open it. */
export interface Sample {
  readonly name: string;
  readonly format: string;
  readonly bytes: Uint8Array;
  /** Further files that it needs. */
  readonly others?: Readonly<Record<string, Uint8Array>>;
}

const SIZE = 3145728;

interface Recipe {
  readonly format: string;
  readonly name?: string;
  readonly options?: Readonly<Record<string, string | number | boolean>>;
  readonly compress?: boolean;
  readonly backing?: boolean;
}

const RECIPES: readonly Recipe[] = [
  { format: 'qcow2', options: { cluster_size: 4096 } },
  { format: 'qcow2', name: 'v2', options: { compat: '0.10', cluster_size: 512 } },
  { format: 'qcow2', name: 'compressed', options: { cluster_size: 65536 }, compress: true },
  { format: 'qcow2', name: 'zstd', options: { compression_type: 'zstd', cluster_size: 16384 }, compress: true },
  { format: 'qcow2', name: 'extended', options: { extended_l2: true, cluster_size: 16384, refcount_bits: 1 } },
  { format: 'qcow2', name: 'top', options: { cluster_size: 4096 }, backing: true },
  { format: 'qcow' },
  { format: 'qcow', name: 'compressed', compress: true },
  { format: 'qed', options: { cluster_size: 4096, table_size: 2 } },
  { format: 'vdi' },
  { format: 'vmdk' },
  { format: 'vmdk', name: 'stream', options: { subformat: 'streamOptimized' } },
  { format: 'vmdk', name: 'flat', options: { subformat: 'monolithicFlat' } },
  { format: 'vpc' },
  { format: 'vpc', name: 'fixed', options: { subformat: 'fixed' } },
  { format: 'vhdx', options: { block_size: 1048576 } },
  { format: 'parallels' },
];

function content(): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  bytes.fill(1, 1000, 31000);
  for (let at = 1048576; at < 1248576; at++) bytes[at] = (at * 7) % 251;
  bytes.fill(9, SIZE - 70000);
  return bytes;
}

function nameOf({ format, name }: Recipe): string {
  return name === undefined ? format : `${format} ${name}`;
}

async function made(recipe: Recipe): Promise<Sample> {
  const library = new MemoryLibrary({ implicitOpen: 'allow' });
  library.files.put('source', content());
  const { format, options, compress, backing } = recipe;
  if (backing) {
    await library.convert({ source: { filename: 'source', format: 'raw' }, target: { filename: 'base', format } });
  }
  await library.convert({
    source: { filename: 'source', format: 'raw' },
    target: { filename: 'image', format },
    ...(options ? { options } : {}),
    ...(compress ? { compress } : {}),
    ...(backing ? { backing: { filename: 'base', format: 'qcow2' } } : {}),
  });
  const others = library.files.names().filter((name) => name !== 'source' && name !== 'image');
  return {
    name: nameOf(recipe),
    format,
    bytes: library.files.bytes('image'),
    others: Object.fromEntries(others.map((name) => [name, library.files.bytes(name)])),
  };
}

/** Formats that are only read, from builders. */
function built(): Sample[] {
  const data = content();
  const extent = { bitmap: new Uint8Array(8).fill(0xff), data: data.slice(0, 32768) };
  const bochs = { extent: 32768, size: 131072, catalog: [0, undefined, 1, undefined], extents: [extent, extent] };
  const chunks = [
    zlibChunk(0, data.subarray(0, 65536)),
    { type: ChunkType.zero, start: 128, sectors: 256 },
    { type: ChunkType.raw, start: 384, sectors: 128, stored: data.subarray(1048576, 1114112) },
    { type: ChunkType.adc, start: 512, sectors: 128, stored: adcOf(data.subarray(0, 65536)) },
    { type: ChunkType.end, start: 640, sectors: 0 },
  ];
  return [
    { name: 'bochs', format: 'bochs', bytes: bochsImage(bochs) },
    { name: 'cloop', format: 'cloop', bytes: cloopImage(data, 65536) },
    { name: 'dmg', format: 'dmg', bytes: dmgImage({ sectors: 640, tables: [{ chunks }] }) },
    { name: 'dmg fork', format: 'dmg', bytes: dmgImage({ sectors: 640, tables: [{ chunks }], fork: true }) },
  ];
}

/** A qcow2 image with a snapshot and persistent bitmaps. */
async function annotated(): Promise<Sample> {
  const library = new MemoryLibrary();
  const image = { filename: 'image', format: 'qcow2' };
  library.files.put('image', (await made({ format: 'qcow2', options: { cluster_size: 4096 } })).bytes);
  await library.snapshot({ image, action: 'create', name: 'first' });
  for (const bitmap of ['one', 'two']) await library.bitmap({ image, bitmap, actions: [{ kind: 'add' }] });
  const node = await library.openImage(image, { writable: true });
  await node.write(5000, new Uint8Array(100_000).fill(3));
  await node.close();
  return { name: ANNOTATED, format: 'qcow2', bytes: library.files.bytes('image') };
}

const BUILT = ['bochs', 'cloop', 'dmg', 'dmg fork'];
const ANNOTATED = 'qcow2 with a snapshot and bitmaps';

/** Names of all samples. */
export function sampleNames(): string[] {
  return [...RECIPES.map(nameOf), ANNOTATED, ...BUILT];
}

/** Images of all formats. */
export async function samples(): Promise<Sample[]> {
  return [...(await Promise.all(RECIPES.map(made))), await annotated(), ...built()];
}
