import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { CheckedStorage } from '../../../src/storage/checked.ts';
import { MemoryDriver, memoryStorage } from '../../../src/storage/memory.ts';
import type { StorageDriver } from '../../../src/storage/storage.ts';

/** A driver of 250 bytes that takes 100 at a time. */
const reading = (): StorageDriver => ({
  limits: { requestAlignment: 1, maxTransfer: 100 },
  size: () => 250,
  read: (offset, into) => {
    if (into.length > 100) throw new Error('too long');
    into.fill(offset / 100);
  },
  close: () => {},
});

describe('memory storage', () => {
  it('equals a plain byte array', async () => {
    const step = fc.record({
      kind: fc.constantFrom('write', 'zero', 'discard', 'truncate'),
      offset: fc.nat(300_000),
      length: fc.nat(200_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (list) => {
        const storage = memoryStorage();
        let model = new Uint8Array();
        const grow = (size: number): void => {
          if (size > model.length) model = Uint8Array.from({ length: size }, (_, i) => model[i] ?? 0);
        };
        for (const { kind, offset, length } of list) {
          if (kind === 'write') {
            await storage.write(offset, new Uint8Array(length).fill(3));
            if (length > 0) grow(offset + length);
            model.fill(3, offset, offset + length);
          } else if (kind === 'zero') {
            await storage.writeZeroes(offset, length);
            if (length > 0) grow(offset + length);
            model.fill(0, offset, offset + length);
          } else if (kind === 'discard') {
            await storage.discard(offset, length);
            model.fill(0, offset, offset + length);
          } else {
            await storage.truncate(offset);
            grow(offset);
            model = model.slice(0, offset);
          }
        }
        const bytes = new Uint8Array(storage.size());
        await storage.read(0, bytes);
        expect(bytes.length).toBe(model.length);
        expect(Buffer.compare(bytes, model)).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  it('is sparse and tells where its data is', async () => {
    const storage = memoryStorage(2 ** 50);
    await storage.write(2 ** 40, new Uint8Array(10));
    const first = await storage.status(0, 2 ** 50);
    expect(first).toEqual({ length: 2 ** 40, kind: 'hole' });
    expect(await storage.status(2 ** 40, 2 ** 50)).toEqual({ length: 65536, kind: 'data' });
    expect(await storage.allocatedSize()).toBe(65536);
  });
});

describe('checked storage', () => {
  it('splits transfers to what the driver takes', async () => {
    const bytes = new Uint8Array(250);
    await new CheckedStorage(reading(), { name: 'x', readOnly: true }).read(0, bytes);
    expect([bytes[99], bytes[100], bytes[249]]).toEqual([0, 1, 2]);
  });

  it('splits zeroes and discards to what the driver takes', async () => {
    const seen: string[] = [];
    const driver: StorageDriver = {
      ...reading(),
      limits: { requestAlignment: 1, maxWriteZeroes: 100, maxDiscard: 200 },
      write: () => {},
      writeZeroes: (offset, length) => void seen.push(`zero ${offset} ${length}`),
      discard: (offset, length) => void seen.push(`discard ${offset} ${length}`),
    };
    const storage = new CheckedStorage(driver, { name: 'some', readOnly: false });
    await storage.writeZeroes(10, 210);
    await storage.discard(0, 1000);
    expect(seen).toEqual(['zero 10 100', 'zero 110 100', 'zero 210 10', 'discard 0 200', 'discard 200 50']);
  });

  it('refuses ranges outside, writing, and use after closing', async () => {
    const storage = new CheckedStorage(reading(), { name: 'x', readOnly: true });
    for (const [offset, length] of [
      [-1, 1],
      [0.5, 1],
      [249, 2],
      [Number.NaN, 1],
      [2 ** 63, 1],
    ] as const) {
      expect(() => storage.read(offset, new Uint8Array(length))).toThrow(BlockError);
    }
    expect(() => storage.write(0, new Uint8Array(1))).toThrow(/read-only/);
    await storage.close();
    expect(() => storage.read(0, new Uint8Array(1))).toThrow(/closed/);
  });

  it('pads reads beyond the end with zeroes', async () => {
    const bytes = new Uint8Array(100).fill(9);
    await new CheckedStorage(reading(), { name: 'x', readOnly: true }).readPadded(200, bytes);
    expect([bytes[49], bytes[50], bytes[99]]).toEqual([2, 0, 0]);
  });

  it('writes zeroes as data where a driver has nothing better', async () => {
    const written: number[] = [];
    const driver: StorageDriver = { ...reading(), write: (_, from) => void written.push(from.length) };
    const storage = new CheckedStorage(driver, { name: 'x', readOnly: false });
    await storage.writeZeroes(0, 250);
    expect(written).toEqual([100, 100, 50]);
  });
});

it('a driver of a closed memory can be reused', () => {
  expect(new MemoryDriver(new Uint8Array([1, 2])).toBytes()).toEqual(new Uint8Array([1, 2]));
});
