/** Random writes, zeroes, discards and resizes of images of every writable format, against a plain array of bytes. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ImageNode } from '../../src/block/node/node.ts';
import { drivers } from '../../src/drivers.ts';
import { MapSecretStore } from '../../src/host/shared/secrets.ts';
import { ImageLibrary } from '../../src/operations/library.ts';
import { MemoryFiles, memoryServices } from '../../src/testing.ts';

interface Kind {
  readonly format: string;
  readonly options?: Readonly<Record<string, string | number | boolean>>;
  /** Opens with a key. */
  readonly encrypted?: boolean;
  /** How the guest's disk may change its size. */
  readonly resize?: 'grow' | 'any';
}

const KEY = { 'key-secret': 'key', 'iter-time': 10 };
const AES = { 'encrypt.format': 'aes', 'encrypt.key-secret': 'key' };

const KINDS: readonly Kind[] = [
  { format: 'raw', resize: 'any' },
  { format: 'qcow' },
  { format: 'qcow', options: AES, encrypted: true },
  { format: 'qed', options: { cluster_size: 4096, table_size: 2 }, resize: 'grow' },
  { format: 'qed', options: { cluster_size: 16384 }, resize: 'grow' },
  { format: 'vdi' },
  { format: 'vdi', options: { static: true } },
  { format: 'vmdk' },
  { format: 'vmdk', options: { zeroed_grain: true } },
  { format: 'vmdk', options: { subformat: 'monolithicFlat' } },
  { format: 'vmdk', options: { subformat: 'twoGbMaxExtentSparse' } },
  { format: 'vmdk', options: { subformat: 'twoGbMaxExtentFlat' } },
  { format: 'vpc' },
  { format: 'vpc', options: { subformat: 'fixed', force_size: true } },
  { format: 'vhdx', options: { block_size: 1048576 } },
  { format: 'vhdx', options: { block_size: 1048576, block_state_zero: false } },
  { format: 'vhdx', options: { subformat: 'fixed' } },
  { format: 'parallels' },
  { format: 'parallels', options: { cluster_size: 65536 } },
  { format: 'luks', options: KEY, encrypted: true, resize: 'any' },
  { format: 'luks', options: { ...KEY, 'cipher-alg': 'twofish-256' }, encrypted: true, resize: 'any' },
];

const SIZE = 3 * 1048576 + 3 * 512;
const RUNS = Math.ceil(Number(process.env['QIMG_MODEL_RUNS'] ?? 2000) / 80);

/** Most changes touch the places where blocks, clusters and tables meet. */
const offset = fc.oneof(
  fc.nat(SIZE - 1),
  fc
    .tuple(fc.integer({ min: 0, max: 48 }), fc.integer({ min: -700, max: 700 }))
    .map(([block, delta]) => Math.min(SIZE - 1, Math.max(0, block * 65536 + delta))),
);
const length = fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 1500000 }));

const STEP = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      offset,
      length,
      value: fc.integer({ min: 1, max: 255 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('zero' as const, 'discard' as const), offset, length }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('resize' as const), sectors: fc.integer({ min: 1, max: 9000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('flush' as const, 'reopen' as const) }) },
);
type Step = typeof STEP extends fc.Arbitrary<infer T> ? T : never;

function image({
  format,
  encrypted,
}: Kind): { filename: string; format: string } | { options: Record<string, string> } {
  if (!encrypted) return { filename: 'image', format };
  const secret = format === 'luks' ? 'key-secret' : 'encrypt.key-secret';
  return { options: { driver: format, 'file.filename': 'image', [secret]: 'key' } };
}

/** An image and the bytes that it should hold. */
class Model {
  readonly #kind: Kind;
  readonly #library: ImageLibrary;
  #node: ImageNode;
  #bytes: Uint8Array;

  private constructor(kind: Kind, library: ImageLibrary, node: ImageNode) {
    this.#kind = kind;
    this.#library = library;
    this.#node = node;
    this.#bytes = new Uint8Array(node.size());
  }

  static async start(kind: Kind, library: ImageLibrary): Promise<Model> {
    const model = new Model(kind, library, await library.openImage(image(kind), { writable: true }));
    // An empty encrypted disk holds whatever the zeroes of its file decrypt to.
    if (kind.format === 'luks') await model.#node.read(0, model.#bytes);
    return model;
  }

  async apply(step: Step): Promise<void> {
    switch (step.kind) {
      case 'flush':
        return this.#node.flush();
      case 'reopen':
        await this.#node.close();
        this.#node = await this.#library.openImage(image(this.#kind), { writable: true });
        return;
      case 'resize':
        return this.#resize(step.sectors * 512);
      default:
        return this.#change(step);
    }
  }

  async #resize(wanted: number): Promise<void> {
    const { resize } = this.#kind;
    if (resize === undefined) return;
    const size = resize === 'grow' ? Math.max(wanted, this.#bytes.length) : wanted;
    await this.#node.truncate(size);
    const bytes = new Uint8Array(size);
    bytes.set(this.#bytes.subarray(0, size));
    if (this.#kind.format === 'luks' && size > this.#bytes.length)
      await this.#node.read(this.#bytes.length, bytes.subarray(this.#bytes.length));
    this.#bytes = bytes;
  }

  async #change(step: Extract<Step, { offset: number }>): Promise<void> {
    const bytes = this.#bytes.subarray(step.offset, step.offset + step.length);
    if (bytes.length === 0) return;
    switch (step.kind) {
      case 'write':
        bytes.fill(step.value);
        return this.#node.write(step.offset, bytes.slice());
      case 'zero':
        bytes.fill(0);
        return this.#node.writeZeroes(step.offset, bytes.length, { unmap: true });
      case 'discard':
        await this.#node.discard(step.offset, bytes.length);
        // What discarded bytes read as is the image's choice.
        await this.#node.read(step.offset, bytes);
    }
  }

  /** The image holds what it should, also after it was closed, and is sound. */
  async end(): Promise<void> {
    for (const again of [false, true]) {
      if (again) await this.apply({ kind: 'reopen' });
      expect(this.#node.size()).toBe(this.#bytes.length);
      const found = new Uint8Array(this.#bytes.length);
      await this.#node.read(0, found);
      expect(Buffer.compare(found, this.#bytes)).toBe(0);
    }
    await this.#node.close();
    const { kind } = await this.#library.check({ image: image(this.#kind) });
    expect(['clean', 'unsupported']).toContain(kind);
  }
}

it.each(KINDS)('$format $options holds what was written', { timeout: 30_000 + RUNS * 1000 }, async (kind) => {
  const files = new MemoryFiles();
  const secrets = new MapSecretStore();
  secrets.set('key', 'secret');
  const library = new ImageLibrary(drivers, { ...memoryServices(files), secrets }, { implicitOpen: 'allow' });
  const { format, options = {}, encrypted } = kind;
  await library.createImage({ filename: 'image', format, size: SIZE, options });
  const fresh = files.names().map((name) => ({ name, bytes: files.bytes(name) }));
  const property = fc.asyncProperty(fc.array(STEP, { minLength: 1, maxLength: 14 }), async (steps) => {
    for (const { name, bytes } of fresh) files.put(name, bytes.slice());
    const model = await Model.start(kind, library);
    for (const step of steps) await model.apply(step);
    await model.end();
  });
  // Every opening of an encrypted image derives its key anew.
  await fc.assert(property, { numRuns: encrypted ? Math.ceil(RUNS / 4) : RUNS });
});
