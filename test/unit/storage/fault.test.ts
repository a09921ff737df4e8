import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { FaultDriver, lastFlush, replay } from '../../../src/storage/fault.ts';
import { MemoryDriver } from '../../../src/storage/memory.ts';

function disk(): FaultDriver {
  return new FaultDriver(new MemoryDriver(4096));
}

describe('faults', () => {
  it('hit the operation, the range and the number that they are for', async () => {
    const driver = disk();
    driver.inject({ operation: 'write', offset: 1024, length: 512, after: 1, times: 1 });
    const one = new Uint8Array(1);
    await driver.write(1024, one);
    await driver.write(0, one);
    await driver.read(1024, one);
    expect(() => driver.write(1535, one)).toThrow(BlockError);
    await driver.write(1024, one);
    expect(() => driver.inject({ operation: 'flush', error: new BlockError('no-space', 'full') })).not.toThrow();
    expect(() => driver.flush()).toThrow('full');
    driver.heal();
    await driver.flush();
  });

  it('leave no trace in the log or on the disk', async () => {
    const driver = disk();
    driver.inject({ operation: 'write' });
    expect(() => driver.write(0, new Uint8Array([1]))).toThrow(BlockError);
    expect(driver.log).toEqual([]);
    const bytes = new Uint8Array(1);
    await driver.read(0, bytes);
    expect(bytes[0]).toBe(0);
  });
});

/** A disk with two writes, a flush between them, and three more changes. */
async function written(): Promise<FaultDriver> {
  const driver = disk();
  await driver.write(0, new Uint8Array(1024).fill(1));
  await driver.flush();
  await driver.write(512, new Uint8Array(1024).fill(2));
  await driver.writeZeroes(0, 256, {});
  await driver.truncate(8192, 'off');
  await driver.write(4096, new Uint8Array([3]));
  return driver;
}

function at(bytes: Uint8Array, ...places: number[]): (number | undefined)[] {
  return places.map((place) => bytes[place]);
}

describe('the disk after a crash', () => {
  const initial = new Uint8Array(4096);

  it('holds everything up to the cut', async () => {
    const { log } = await written();
    expect(at(replay(initial, log, { cut: 1 }).toBytes(), 0, 600, 1200)).toEqual([1, 1, 0]);
    expect(at(replay(initial, log, { cut: 3 }).toBytes(), 0, 600, 1200)).toEqual([1, 2, 2]);
    const last = replay(initial, log, { cut: log.length }).toBytes();
    expect(last.length).toBe(8192);
    expect(at(last, 0, 300, 600, 4096)).toEqual([0, 1, 2, 3]);
  });

  it('holds only some sectors of the last write', async () => {
    const { log } = await written();
    const torn = replay(initial, log, { cut: 3, torn: (sector) => sector === 1 }).toBytes();
    expect(at(torn, 600, 1024, 1535)).toEqual([1, 2, 2]);
  });

  it('has lost changes only since the last flush', async () => {
    const { log } = await written();
    expect([lastFlush(log, 1), lastFlush(log, 2), lastFlush(log, log.length)]).toEqual([0, 2, 2]);
    const kept = replay(initial, log, { cut: 4, lost: () => true }).toBytes();
    expect(at(kept, 0, 600, 1200)).toEqual([1, 1, 0]);
    const some = replay(initial, log, { cut: 4, lost: (index) => index === 2 }).toBytes();
    expect(at(some, 0, 600, 1200)).toEqual([0, 1, 0]);
  });
});
