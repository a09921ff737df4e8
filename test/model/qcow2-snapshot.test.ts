/** Random snapshots of qcow2 images with random writes in between, against plain arrays of bytes. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { equalBytes } from '../../src/base/bytes.ts';
import type { ImageNode } from '../../src/block/node/node.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import { createOn, driverOf, openOn, services } from '../unit/formats/qcow2/support.ts';

const SIZE = 200 * 1024;
const clock = { ...services, now: () => ({ seconds: 1, nanoseconds: 2 }) };

const shapes = fc.oneof(
  fc.record({ cluster_size: fc.constantFrom(512, 4096, 65536), refcount_bits: fc.constantFrom(8, 16, 64) }),
  fc.record({ cluster_size: fc.constant(16384), extended_l2: fc.constant(true) }),
  fc.record({ cluster_size: fc.constantFrom(512, 4096), compat: fc.constant('0.10') }),
);

const operations = fc.array(
  fc.record({
    kind: fc.constantFrom(
      ...(['write', 'write', 'write', 'zero', 'compress', 'create', 'create', 'apply', 'remove', 'view'] as const),
      ...(['resize', 'reopen'] as const),
    ),
    offset: fc.nat(SIZE),
    length: fc.oneof(fc.nat(700), fc.nat(60000)),
    fill: fc.integer({ min: 1, max: 255 }),
  }),
  { minLength: 5, maxLength: 30 },
);

/** An image with models of itself and its snapshots. */
class Subject {
  readonly file = memoryStorage();
  readonly saved: { name: string; bytes: Uint8Array }[] = [];
  readonly version: 2 | 3;
  bytes = new Uint8Array(SIZE);
  node: ImageNode | undefined;

  constructor(version: 2 | 3) {
    this.version = version;
  }

  async open(): Promise<ImageNode> {
    this.node ??= await openOn(this.file, { services: clock });
    return this.node;
  }

  async close(): Promise<void> {
    await this.node?.close();
    this.node = undefined;
  }

  async run(kind: string, offset: number, length: number, fill: number): Promise<void> {
    const node = await this.open();
    const store = node.snapshots as NonNullable<ImageNode['snapshots']>;
    const chosen = this.saved[offset % Math.max(1, this.saved.length)];
    const start = Math.min(offset, this.bytes.length - 1);
    const end = Math.min(start + length, this.bytes.length);
    switch (kind) {
      case 'write':
        await node.write(start, new Uint8Array(end - start).fill(fill));
        this.bytes.fill(fill, start, end);
        break;
      case 'zero':
        await node.writeZeroes(start, end - start, { unmap: true });
        this.bytes.fill(0, start, end);
        break;
      case 'compress': {
        const { compressor } = driverOf(node);
        const { unit } = compressor;
        const place = start - (start % unit);
        const piece = new Uint8Array(Math.min(unit, this.bytes.length - place)).fill(fill);
        const [coded] = await compressor.encode(place, piece);
        if (coded) await node.storeCompressed(place, coded);
        else await node.write(place, piece);
        this.bytes.set(piece, place);
        break;
      }
      case 'create': {
        const name = `s${fill}-${offset}-${this.saved.length}`;
        await store.create(name);
        this.saved.push({ name, bytes: this.bytes.slice() });
        break;
      }
      case 'apply':
        if (!chosen) break;
        await store.apply(chosen.name);
        this.bytes = chosen.bytes.slice();
        break;
      case 'remove':
        if (!chosen) break;
        await store.remove({ name: chosen.name });
        this.saved.splice(this.saved.indexOf(chosen), 1);
        break;
      case 'view':
        if (chosen && chosen.bytes.length === this.bytes.length) await this.#compareView(store, chosen);
        break;
      case 'resize': {
        if (this.version === 2) break;
        const size = Math.max(512, offset - (offset % 512));
        await node.truncate(size);
        const next = new Uint8Array(size);
        next.set(this.bytes.subarray(0, size));
        this.bytes = next;
        break;
      }
      default:
        await this.close();
    }
  }

  async #compareView(
    store: NonNullable<ImageNode['snapshots']>,
    chosen: { name: string; bytes: Uint8Array },
  ): Promise<void> {
    const view = await store.view({ name: chosen.name });
    const found = new Uint8Array(view.size());
    await view.read(0, found);
    expect(equalBytes(found, chosen.bytes)).toBe(true);
  }

  async verify(): Promise<void> {
    await this.close();
    const checked = await openOn(this.file, { intent: 'check', readOnly: true });
    const lines: string[] = [];
    const { corruptions, leaks } = await checked.check('none', ({ text }) => lines.push(text));
    expect({ corruptions, leaks, lines }).toEqual({ corruptions: 0, leaks: 0, lines: [] });
    const node = await this.open();
    const found = new Uint8Array(node.size());
    await node.read(0, found);
    expect(found.length).toBe(this.bytes.length);
    expect(equalBytes(found, this.bytes)).toBe(true);
  }
}

it('keeps every snapshot as it was', async () => {
  await fc.assert(
    fc.asyncProperty(shapes, operations, async (shape, steps) => {
      const subject = new Subject('compat' in shape ? 2 : 3);
      await createOn(subject.file, { ...shape, size: SIZE });
      for (const { kind, offset, length, fill } of steps) await subject.run(kind, offset, length, fill);
      await subject.verify();
      // Every snapshot still brings back what it was taken of.
      for (const { name, bytes } of subject.saved.slice(0, 3)) {
        const node = await subject.open();
        await node.snapshots?.apply(name);
        subject.bytes = bytes.slice();
        await subject.verify();
      }
    }),
    { numRuns: 60 },
  );
});
