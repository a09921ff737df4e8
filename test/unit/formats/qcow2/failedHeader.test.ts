/** What is left when the header, or the flush behind it, fails in the middle of a change: of an image never damage. */
import { describe, expect, it } from 'vitest';
import type { MaybePromise } from '../../../../src/base/async.ts';
import type { ImageNode } from '../../../../src/block/node/node.ts';
import { FaultDriver } from '../../../../src/storage/fault.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import type { StorageDriver } from '../../../../src/storage/storage.ts';
import { MemoryDriver, memoryStorage } from '../../../../src/storage/memory.ts';
import type { CreateOptions } from '../../../../src/formats/qcow2/options.ts';
import { raw } from '../../../../src/formats/raw/driver.ts';
import { openOn as openAny } from '../../../support/smallFormats.ts';
import { createOn, openOn, services } from './support.ts';

const clock = { ...services, now: () => ({ seconds: 1700000000, nanoseconds: 5 }) };
/** A storage of any driver. */
function over(driver: StorageDriver): CheckedStorage {
  return new CheckedStorage(driver, { name: 'test', readOnly: false });
}

const MARK = new Uint8Array(3000).fill(7);
const LATER = new Uint8Array(40000).fill(9);

/** An image with data, a snapshot and, from version 3 on, three bitmaps. */
async function sample(options: Partial<CreateOptions>): Promise<Uint8Array> {
  const memory = new MemoryDriver();
  const file = over(memory);
  await createOn(file, { size: 1048576, ...options });
  const node = await openOn(file, { services: clock });
  await node.write(0, MARK);
  await node.snapshots?.create('one');
  if (options.compat !== '0.10') for (const name of ['b0', 'b1', 'b2']) await node.bitmaps?.add(name, 65536, false);
  await node.close();
  return memory.toBytes();
}

/** What is damaged, and whether the first bytes are there. A COPIED flag that is missing costs one copy, no data. */
async function stateOf(bytes: Uint8Array): Promise<{ damage: string[]; intact: boolean }> {
  const file = memoryStorage(bytes.slice());
  const checked = await openOn(file, { intent: 'check', readOnly: true });
  const lines: string[] = [];
  await checked.check('none', ({ text }) => lines.push(text));
  const damage = lines.filter((line) => !/^Leaked|^ERROR OFLAG_COPIED .* refcount=1$/.test(line));
  const node = await openOn(file, { readOnly: true });
  const start = new Uint8Array(MARK.length);
  await node.read(0, start);
  return { damage, intact: start.every((byte) => byte === 7) };
}

type Change = (node: ImageNode) => MaybePromise<unknown>;

const amend =
  (options: Record<string, string | number | boolean>): Change =>
  (node) =>
    node.amend(options, { force: false });

const changes: readonly (readonly [string, Change, Partial<CreateOptions>])[] = [
  ['removing a bitmap', (node) => node.bitmaps?.remove('b0'), {}],
  ['adding a bitmap', (node) => node.bitmaps?.add('b3', 65536, true), {}],
  ['making a snapshot', (node) => node.snapshots?.create('two'), {}],
  ['applying a snapshot', (node) => node.snapshots?.apply('one'), {}],
  ['removing a snapshot', (node) => node.snapshots?.remove({ name: 'one' }), {}],
  ['growing', (node) => node.truncate(67108864), { cluster_size: 512 }],
  ['shrinking', (node) => node.truncate(524288), {}],
  ['naming a backing image', (node) => node.setBacking({ file: 'b', format: 'raw' }), {}],
  ['another refcount width', amend({ refcount_bits: 64 }), {}],
  ['lazy refcounts', amend({ lazy_refcounts: true }), {}],
  ['a newer version', amend({ compat: '1.1' }), { compat: '0.10' }],
  [
    'a larger refcount table',
    (node) => node.write(65536, new Uint8Array(900000).fill(3)),
    { cluster_size: 512, refcount_bits: 64 },
  ],
];

describe.each(changes)('%s', (_name, change, options) => {
  // A write of the header that fails, and each flush that may be the one behind it.
  const faults = [
    ...[0, 1].map((after) => ({ operation: 'write', offset: 0, length: 512, after, times: 1 }) as const),
    ...Array.from({ length: 12 }, (_, after) => ({ operation: 'flush', after, times: 1 }) as const),
  ];
  it('does no damage where the header or a flush fails once and the image is used on', async () => {
    const initial = await sample(options);
    for (const fault of faults) {
      const memory = new MemoryDriver(initial.slice());
      const driver = new FaultDriver(memory);
      const warnings: string[] = [];
      const node = await openOn(over(driver), { services: clock, warnings });
      driver.inject(fault);
      const quietly = async (body: () => unknown): Promise<void> => {
        try {
          await body();
        } catch {
          // Expected where the fault strikes; what is left is what counts.
        }
      };
      await quietly(() => change(node));
      await quietly(() => node.write(100000, LATER));
      await quietly(() => node.close());
      const told = { fault, corrupt: warnings.filter((line) => line.includes('corrupt')) };
      expect({ ...told, ...(await stateOf(memory.toBytes())) }).toMatchObject({
        fault,
        corrupt: [],
        damage: [],
        intact: true,
      });
    }
  });
});

describe('a header that could not be written', () => {
  it('leaves the bitmaps as they were when one of three is removed', async () => {
    const memory = new MemoryDriver(await sample({}));
    const driver = new FaultDriver(memory);
    const node = await openOn(over(driver));
    driver.inject({ operation: 'write', offset: 0, length: 512, times: 1 });
    await expect(node.bitmaps?.remove('b0')).rejects.toThrow('Input/output error');
    await node.close();
    const again = await openOn(memoryStorage(memory.toBytes()), { readOnly: true });
    const left = (await again.bitmaps?.list()) ?? [];
    expect(left.map(({ inUse }) => inUse)).toEqual([false, false, false]);
    expect(new Set(left.map(({ name }) => name))).toEqual(new Set(['b0', 'b1', 'b2']));
  });

  it.each(['write', 'flush'] as const)(
    'is marked as dirty by the next change when the %s failed',
    async (operation) => {
      const memory = new MemoryDriver(await sample({ lazy_refcounts: true }));
      const driver = new FaultDriver(memory);
      const node = await openOn(over(driver));
      driver.inject({ operation, ...(operation === 'write' ? { offset: 0, length: 512 } : {}), times: 1 });
      await expect(node.write(200000, LATER)).rejects.toThrow('Input/output error');
      const logged = driver.log.length;
      await node.write(200000, LATER);
      const [first, second] = driver.log.slice(logged);
      expect(first).toMatchObject({ operation: 'write', offset: 0 });
      expect(first?.operation === 'write' && (first.bytes[79] ?? 0) & 1).toBe(1);
      expect(second).toEqual({ operation: 'flush' });
      await node.close();
      expect((memory.toBytes()[79] ?? 0) & 1).toBe(0);
    },
  );

  it.each(['write', 'flush'] as const)(
    'bitmaps are marked by the next change when the %s failed',
    async (operation) => {
      const memory = new MemoryDriver(await sample({}));
      const before = await openOn(over(memory));
      await before.bitmaps?.setEnabled('b0', true);
      await before.close();
      const driver = new FaultDriver(memory);
      const node = await openOn(over(driver));
      const inUse = async (): Promise<boolean | undefined> => {
        const other = await openOn(memoryStorage(memory.toBytes()), { readOnly: true });
        return (await other.bitmaps?.list())?.find(({ name }) => name === 'b0')?.inUse;
      };
      driver.inject({ operation, times: 1 });
      await expect(node.write(200000, LATER)).rejects.toThrow('Input/output error');
      const logged = driver.log.length;
      await node.write(200000, LATER);
      expect(await inUse()).toBe(true);
      expect(driver.log.slice(logged, logged + 2).map((entry) => entry.operation)).toEqual(['write', 'flush']);
      await node.close();
      expect(await inUse()).toBe(false);
    },
  );

  it('with a mark that may be on the disk is clean again when the image is closed', async () => {
    const memory = new MemoryDriver(await sample({ lazy_refcounts: true }));
    const driver = new FaultDriver(memory);
    const node = await openOn(over(driver));
    driver.inject({ operation: 'flush', times: 1 });
    await expect(node.write(200000, LATER)).rejects.toThrow('Input/output error');
    expect((memory.toBytes()[79] ?? 0) & 1).toBe(1);
    await node.close();
    expect((memory.toBytes()[79] ?? 0) & 1).toBe(0);
  });
});

describe('a growth over a longer backing image', () => {
  const SMALL = 300032;

  async function overlay(): Promise<MemoryDriver> {
    const memory = new MemoryDriver();
    const file = over(memory);
    await createOn(file, { size: SMALL, backing_file: 'b', backing_fmt: 'raw' });
    return memory;
  }

  const grow = {
    resize: (node: ImageNode) => node.truncate(1048576),
    amend: (node: ImageNode) => node.amend({ size: 1048576 }, { force: false }),
  };

  it.each(['resize', 'amend'] as const)('keeps the old size where its zeroes cannot be stored (%s)', async (how) => {
    const initial = (await overlay()).toBytes();
    const backing = await openAny(raw, memoryStorage(new Uint8Array(1048576).fill(0xb5)), { readOnly: true });
    let failures = 0;
    for (let after = 0; after < 10; after++) {
      const memory = new MemoryDriver(initial.slice());
      const driver = new FaultDriver(memory);
      const node = await openOn(over(driver), { backing });
      // Everything but the header.
      driver.inject({ operation: 'write', offset: 65536, after });
      const failed = await grow[how](node).then(
        () => false,
        () => true,
      );
      await node.close().catch(() => undefined);
      const again = await openOn(memoryStorage(memory.toBytes()), { backing, readOnly: true });
      if (failed) failures++;
      expect([after, again.size()]).toEqual([after, failed ? SMALL : 1048576]);
      const tail = new Uint8Array(again.size() - SMALL);
      await again.read(SMALL, tail);
      expect(tail.every((byte) => byte === 0)).toBe(true);
    }
    expect(failures).toBeGreaterThan(2);
  });
});
