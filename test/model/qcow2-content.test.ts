/** Random operations on qcow2 images of random geometry, against a plain array of bytes. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalBytes } from '../../src/base/bytes.ts';
import { ImageNode } from '../../src/block/node.ts';
import { raw } from '../../src/formats/raw/driver.ts';
import type { OpenContext } from '../../src/block/driver.ts';
import { CheckedStorage } from '../../src/storage/checked.ts';
import { MemoryDriver, memoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { createOn, driverOf, openOn } from '../unit/formats/qcow2/support.ts';

/** One geometry. */
interface Shape {
  readonly cluster_size: number;
  readonly refcount_bits: number;
  readonly extended_l2: boolean;
  readonly lazy_refcounts: boolean;
  readonly compat: string;
  readonly dataFile: boolean;
  readonly backing: boolean;
}

const shapes: fc.Arbitrary<Shape> = fc.oneof(
  fc.record({
    cluster_size: fc.constantFrom(512, 1024, 4096, 65536),
    refcount_bits: fc.constantFrom(1, 2, 4, 8, 16, 32, 64),
    extended_l2: fc.constant(false),
    lazy_refcounts: fc.boolean(),
    compat: fc.constant('1.1'),
    dataFile: fc.boolean(),
    backing: fc.boolean(),
  }),
  fc.record({
    cluster_size: fc.constantFrom(16384, 65536),
    refcount_bits: fc.constant(16),
    extended_l2: fc.constant(true),
    lazy_refcounts: fc.boolean(),
    compat: fc.constant('1.1'),
    dataFile: fc.boolean(),
    backing: fc.boolean(),
  }),
  fc.record({
    cluster_size: fc.constantFrom(512, 4096),
    refcount_bits: fc.constant(16),
    extended_l2: fc.constant(false),
    lazy_refcounts: fc.constant(false),
    compat: fc.constant('0.10'),
    dataFile: fc.constant(false),
    backing: fc.boolean(),
  }),
);

const SIZE = 400 * 1024;

const operations = fc.array(
  fc.record({
    kind: fc.constantFrom(
      'write',
      'write',
      'write',
      'zero',
      'unmap',
      'discard',
      'compress',
      'flush',
      'reopen',
      'resize',
    ),
    offset: fc.nat(SIZE),
    length: fc.oneof(fc.nat(700), fc.nat(20000), fc.nat(200000)),
    fill: fc.integer({ min: 1, max: 255 }),
  }),
  { minLength: 5, maxLength: 25 },
);

type Operation = { kind: string; offset: number; length: number; fill: number };

function openData(data: Storage | undefined): { data?: Storage } {
  return data ? { data } : {};
}

/** An image with its model. */
class Subject {
  readonly file = memoryStorage();
  readonly #data: MemoryDriver | undefined;
  readonly backingBytes: Uint8Array | undefined;
  readonly shape: Shape;
  model = new Uint8Array(SIZE);
  node: ImageNode | undefined;

  constructor(shape: Shape) {
    this.shape = shape;
    if (shape.dataFile) this.#data = new MemoryDriver(SIZE);
    if (shape.backing) {
      this.backingBytes = Uint8Array.from({ length: 300000 }, (_, i) => (i * 31) % 253);
      this.model.set(this.backingBytes);
    }
  }

  /** The external data file, opened anew. */
  get data(): Storage | undefined {
    return this.#data && new CheckedStorage(this.#data, { name: 'data', readOnly: false });
  }

  async create(): Promise<void> {
    const { dataFile, backing, ...options } = this.shape;
    await createOn(
      this.file,
      {
        ...options,
        size: SIZE,
        ...(dataFile ? { data_file: 'd' } : {}),
        ...(backing ? { backing_file: 'b', backing_fmt: 'raw' } : {}),
      },
      () => this.data ?? memoryStorage(),
    );
  }

  async open(): Promise<ImageNode> {
    let backing: ImageNode | undefined;
    if (this.backingBytes) {
      const file = memoryStorage(this.backingBytes);
      const driver = await raw.open({
        file,
        options: {},
        filename: 'b',
        readOnly: true,
        intent: 'io',
      } as unknown as OpenContext);
      backing = new ImageNode({ name: 'b', format: 'raw', driver, readOnly: true });
    }
    this.node = await openOn(this.file, {
      ...openData(this.data),
      ...(backing ? { backing } : {}),
    });
    return this.node;
  }

  async run(operation: Operation): Promise<void> {
    let node = this.node ?? (await this.open());
    const size = this.model.length;
    const offset = Math.min(operation.offset, size - 1);
    const length = Math.min(operation.length, size - offset);
    const unit = node.image.allocationUnit ?? 1;
    switch (operation.kind) {
      case 'write':
        await node.write(offset, new Uint8Array(length).fill(operation.fill));
        this.model.fill(operation.fill, offset, offset + length);
        break;
      case 'zero':
      case 'unmap':
        await node.writeZeroes(offset, length, { unmap: operation.kind === 'unmap' });
        this.model.fill(0, offset, offset + length);
        break;
      case 'discard': {
        const start = Math.ceil(offset / unit) * unit;
        const end = offset + length === size ? size : offset + length - ((offset + length) % unit);
        await node.discard(offset, length);
        const offered = this.shape.compat !== '0.10' || !this.shape.backing;
        if (offered && end > start) this.model.fill(0, start, end);
        break;
      }
      case 'compress': {
        if (this.shape.dataFile) break;
        const start = offset - (offset % unit);
        const bytes = Uint8Array.from(
          { length: Math.min(unit, size - start) },
          (_, i) => (i % 40) + operation.fill / 2,
        );
        const [coded] = await driverOf(node).compressor.encode(start, bytes);
        if (coded) await node.storeCompressed(start, coded);
        else await node.write(start, bytes);
        this.model.set(bytes, start);
        break;
      }
      case 'resize': {
        const target = Math.max(512, (operation.offset + operation.length) % SIZE);
        const aligned = target - (target % 512);
        await node.truncate(aligned);
        const next = new Uint8Array(aligned);
        next.set(this.model.subarray(0, aligned));
        this.model = next;
        break;
      }
      case 'flush':
        await node.flush();
        break;
      default:
        await node.close();
        node = await this.open();
    }
  }

  async verify(): Promise<void> {
    const node = this.node ?? (await this.open());
    const content = new Uint8Array(node.size());
    await node.read(0, content);
    expect(content.length).toBe(this.model.length);
    expect(equalBytes(content, this.model)).toBe(true);
  }

  async check(): Promise<void> {
    const node = await openOn(this.file, {
      intent: 'check',
      readOnly: true,
      ...openData(this.data),
    });
    const lines: string[] = [];
    const result = await driverOf(node).checker.check('none', (line) => lines.push(line));
    expect(lines).toEqual([]);
    expect(result).toMatchObject({ corruptions: 0, leaks: 0, checkErrors: 0 });
  }
}

describe('qcow2 content', () => {
  it('is what was written, through any sequence of operations, and leaves a sound image', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, operations, async (shape, sequence) => {
        const subject = new Subject(shape);
        await subject.create();
        for (const operation of sequence) await subject.run(operation);
        await subject.verify();
        await subject.node?.close();
        await subject.open();
        await subject.verify();
        await subject.node?.close();
        await subject.check();
      }),
      { numRuns: 60 },
    );
  });
});
