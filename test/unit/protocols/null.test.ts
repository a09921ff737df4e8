import { describe, expect, it } from 'vitest';
import type { ProtocolContext } from '../../../src/block/driver.ts';
import { nullAioDriver, nullCoDriver } from '../../../src/protocols/null/driver.ts';

const waits: number[] = [];
const wait = async (milliseconds: number): Promise<void> => {
  waits.push(milliseconds);
};
const context = { writable: true, services: { wait } } as unknown as ProtocolContext;

describe('null-co', () => {
  it('is 1 GiB of zeroes that forgets what is written', async () => {
    const storage = await nullCoDriver.open(context, {});
    expect([storage.size(), storage.name]).toEqual([1 << 30, 'null-co://']);
    await storage.write(5, new Uint8Array([1, 2, 3]));
    const bytes = new Uint8Array(3).fill(9);
    await storage.read(5, bytes);
    expect([...bytes]).toEqual([0, 0, 0]);
    // Not a hole: only `read-zeroes` promises that nothing else is read.
    expect(await storage.status(0, 1 << 30)).toEqual({ kind: 'data', absent: true, length: 1 << 30 });
    expect(await storage.allocatedSize()).toBe(0);
    await storage.close();
  });

  it('rounds its size up to whole sectors', async () => {
    expect((await nullCoDriver.open(context, { size: 1025 })).size()).toBe(1536);
  });

  it.each([
    [{ size: -1 }, 'Could not refresh total sector count: File too large'],
    [{ size: 2 ** 63 }, 'Could not refresh total sector count: File too large'],
    [{ 'latency-ns': -5 }, 'latency-ns is invalid'],
    [{ 'latency-ns': 2 ** 63 }, 'latency-ns is invalid'],
  ])('refuses %j', async (options, message) => {
    await expect(nullCoDriver.open(context, options)).rejects.toMatchObject({ message });
  });

  it('takes its time if it is told to', async () => {
    const storage = await nullCoDriver.open(context, { 'latency-ns': 20_000_000 });
    waits.length = 0;
    await storage.read(0, new Uint8Array(1));
    await storage.flush();
    expect(waits).toEqual([20, 20]);
  });

  it('has one name only', () => {
    expect(nullAioDriver.parseFilename('null-aio://')).toEqual({});
    expect(() => nullCoDriver.parseFilename('null-co://foo')).toThrow(
      "The only allowed filename for this driver is 'null-co://'",
    );
  });
});
