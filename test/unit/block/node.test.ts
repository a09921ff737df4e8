import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ImageNode } from '../../../src/block/node/node.ts';
import { driverBelow, nodeOf } from '../../support/drivers.ts';
import { FakeImage, type FakeOptions } from '../../support/fakeFormat.ts';

function nodeOver(options: FakeOptions, backing?: ImageNode): ImageNode {
  const driver = new FakeImage(options);
  return nodeOf({ name: 'fake', format: 'fake', driver, readOnly: false, ...(backing ? { backing } : {}) });
}

type Step =
  | { kind: 'write'; offset: number; length: number; byte: number }
  | { kind: 'zero'; offset: number; length: number };

const steps = (size: number): fc.Arbitrary<Step[]> =>
  fc.array(
    fc
      .record({
        kind: fc.constantFrom<'write' | 'zero'>('write', 'zero'),
        offset: fc.nat(size - 1),
        length: fc.integer({ min: 1, max: 6000 }),
        byte: fc.integer({ min: 1, max: 255 }),
      })
      .map((step) => ({ ...step, length: Math.min(step.length, size - step.offset) })),
    { maxLength: 20 },
  );

async function apply(node: ImageNode, model: Uint8Array, step: Step): Promise<void> {
  if (step.kind === 'zero') {
    await node.writeZeroes(step.offset, step.length);
    model.fill(0, step.offset, step.offset + step.length);
    return;
  }
  const bytes = new Uint8Array(step.length).map((_, i) => (step.byte + i) & 255);
  await node.write(step.offset, bytes);
  model.set(bytes, step.offset);
}

async function content(node: ImageNode): Promise<Uint8Array> {
  const bytes = new Uint8Array(node.size()).fill(0xee);
  await node.read(0, bytes);
  return bytes;
}

describe('image node', () => {
  it('keeps what is written, whatever the driver can do', async () => {
    const geometry = fc.record({
      cluster: fc.constantFrom(512, 2048),
      slow: fc.boolean(),
      zeroFlags: fc.boolean(),
      encrypted: fc.boolean(),
      backed: fc.boolean(),
    });
    const size = 20480 - 300;
    await fc.assert(
      fc.asyncProperty(geometry, steps(size), steps(12000), async ({ backed, ...options }, above, below) => {
        const model = new Uint8Array(size);
        let backing: ImageNode | undefined;
        if (backed) {
          backing = nodeOver({ ...options, size: 12000 });
          for (const step of below) await apply(backing, model, step);
        }
        const node = nodeOver({ ...options, size }, backing);
        for (const step of above) await apply(node, model, step);
        expect(Buffer.compare(await content(node), model)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('keeps the order of overlapping writes that are under way together', async () => {
    const node = nodeOver({ size: 8192, cluster: 2048, slow: true });
    await Promise.all([1, 2, 3, 4].map(async (byte) => node.write(byte * 100, new Uint8Array(3000).fill(byte))));
    const bytes = await content(node);
    expect([bytes[99], bytes[100], bytes[200], bytes[3399], bytes[3400]]).toEqual([0, 1, 2, 4, 0]);
  });

  it('reads at once when nothing has to be waited for', () => {
    const node = nodeOver({ size: 8192, cluster: 2048 });
    expect(node.read(100, new Uint8Array(5000))).toBeUndefined();
  });

  it('refuses what lies beyond the end', async () => {
    const node = nodeOver({ size: 1000, cluster: 512 });
    expect(() => node.read(999, new Uint8Array(2))).toThrow(/beyond the end/);
    expect(() => node.write(999, new Uint8Array(2))).toThrow(/beyond the end/);
    expect(() => node.read(-1, new Uint8Array(1))).toThrow(/beyond the end/);
  });

  it('hides the backing image in an area that was added', async () => {
    const backing = nodeOver({ size: 4096, cluster: 512 });
    await backing.write(0, new Uint8Array(4096).fill(7));
    const node = nodeOver({ size: 1024, cluster: 512, zeroFlags: true }, backing);
    await node.truncate(4096);
    const bytes = await content(node);
    expect([bytes[1023], bytes[1024], bytes[4095]]).toEqual([7, 0, 0]);
  });

  it('copies inside the storages only what both sides store plainly', async () => {
    const source = nodeOver({ size: 4096, cluster: 512 });
    await source.write(0, new Uint8Array(512).fill(1));
    const target = nodeOver({ size: 4096, cluster: 512 });
    expect(await target.copyFrom(source, 0, 0, 512)).toBe(0);
    expect((await content(target))[0]).toBe(0);
    await target.write(0, new Uint8Array(512).fill(2));
    expect((await content(target))[511]).toBe(2);
  });

  it('closes driver, file and backing image once', async () => {
    const backing = nodeOver({ size: 512, cluster: 512 });
    const node = nodeOver({ size: 512, cluster: 512 }, backing);
    await node.close();
    await node.close();
    expect((driverBelow(backing) as FakeImage).closed).toBe(1);
    expect((driverBelow(node) as FakeImage).closed).toBe(1);
  });
});
