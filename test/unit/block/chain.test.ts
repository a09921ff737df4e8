import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blockStatus, ChainCursor, walkChain } from '../../../src/block/node/chain.ts';
import type { ImageDriver } from '../../../src/block/capabilities.ts';
import type { ImageNode } from '../../../src/block/node/node.ts';
import { driverBelow, nodeOf } from '../../support/drivers.ts';
import { passThrough } from '../../../src/block/graph/passThrough.ts';
import { memoryStorage } from '../../../src/storage/memory.ts';
import { FakeImage } from '../../support/fakeFormat.ts';

const CLUSTER = 16;

function fakeNode(driver: ImageDriver, backing?: ImageNode): ImageNode {
  const file = memoryStorage(0);
  return nodeOf({
    name: 'fake',
    format: 'fake',
    driver,
    readOnly: false,
    file,
    ...(backing ? { backing } : {}),
  });
}

/** A chain from the bottom up; each layer is a string of `.` (nothing), `d` (data), `0` (zeroes) per cluster. */
async function chainOf(layers: readonly string[], slow = false): Promise<ImageNode> {
  let node: ImageNode | undefined;
  for (const layer of layers) {
    const kinds = layer.split('');
    const image = new FakeImage({ size: layer.length * CLUSTER, cluster: CLUSTER, zeroFlags: true, slow });
    node = fakeNode(image, node);
    for (const [index, kind] of kinds.entries()) {
      if (kind === 'd') await node.write(index * CLUSTER, new Uint8Array(CLUSTER).fill(index + 1));
      if (kind === '0') await node.writeZeroes(index * CLUSTER, CLUSTER);
    }
  }
  return node as ImageNode;
}

/** The same per cluster, from the definition: kind and depth. */
function expected(layers: readonly string[]): string[] {
  const top = layers.toReversed();
  return (top[0] ?? '').split('').map((_, index) => {
    let depth = 0;
    while (top[depth]?.[index] === '.' && top[depth + 1]?.[index] !== undefined) depth++;
    return `${top[depth]?.[index]}${depth}`;
  });
}

async function walked(node: ImageNode): Promise<string[]> {
  const found: string[] = [];
  for await (const status of walkChain(node)) {
    const kind = status.zero ? (status.present ? '0' : '.') : 'd';
    expect(status.start).toBe(found.length * CLUSTER);
    for (let at = 0; at < status.length; at += CLUSTER) found.push(`${kind}${status.depth}`);
  }
  return found;
}

const layer = fc.string({ unit: fc.constantFrom('.', 'd', '0'), minLength: 1, maxLength: 12 });

describe('block status of a chain', () => {
  it('finds the deciding layer of every cluster', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(layer, { minLength: 1, maxLength: 4 }), fc.boolean(), async (layers, slow) => {
        expect(await walked(await chainOf(layers, slow))).toEqual(expected(layers));
      }),
      { numRuns: 60 },
    );
  });

  it('stays synchronous, merges what lies together, and says where it is', async () => {
    const node = await chainOf(['ddd.', '.0..']);
    expect(blockStatus(node, 2 * CLUSTER, 100)).toMatchObject({ length: CLUSTER, depth: 1, data: true, zero: false });
    expect(blockStatus(node, 3 * CLUSTER, 100)).toMatchObject({
      length: CLUSTER,
      depth: 1,
      present: false,
      zero: true,
    });
    const base = node.backing as ImageNode;
    const status = blockStatus(base, 0, 1000);
    expect(status).toMatchObject({ length: 3 * CLUSTER, offset: 0, storage: (driverBelow(base) as FakeImage).storage });
    expect(blockStatus(base, 20, 10)).toMatchObject({ length: 10, offset: 20 });
  });

  it('asks each layer once for each of its runs', async () => {
    const node = await chainOf(['d0d0d0d0', '........']);
    let calls = 0;
    const image: ImageDriver = {
      virtualSize: 8 * CLUSTER,
      map: (_offset, length) => {
        calls++;
        return { kind: 'unallocated', length };
      },
      flush: () => {},
      close: () => {},
      info: () => ({}),
    };
    const top = fakeNode(image, node);
    expect(await walked(top)).toHaveLength(8);
    expect(calls).toBe(1);
  });

  it('looks no further down than it is told', async () => {
    const node = await chainOf(['dd', '..']);
    expect(new ChainCursor(node, 1).at(0, 32)).toMatchObject({ present: false, zero: true, depth: 0, length: CLUSTER });
  });

  it('finds holes of a storage; only formats with tables of their own still call them data', async () => {
    const storage = memoryStorage(65536 * 3);
    await storage.write(65536, Uint8Array.of(1));
    const raw = passThrough(storage, 'file');
    expect(blockStatus(raw, 0, 1e6)).toMatchObject({
      length: 65536,
      present: true,
      zero: true,
      data: false,
      offset: 0,
    });
    const driver: ImageDriver = {
      virtualSize: 65536 * 2,
      map: (offset, length) => ({ kind: 'data', length, storage, offset: offset + 65536, sparse: true }),
      flush: () => {},
      close: () => {},
      info: () => ({}),
    };
    const node = fakeNode(driver);
    expect(blockStatus(node, 0, 1e6)).toMatchObject({ length: 65536, zero: false, data: true });
    expect(blockStatus(node, 65536, 1e6)).toMatchObject({ length: 65536, zero: true, data: true, offset: 131072 });
  });

  it('refuses what is outside the image', async () => {
    const node = await chainOf(['d']);
    expect(() => blockStatus(node, CLUSTER, 1)).toThrow('no image data at offset 16');
  });
});
