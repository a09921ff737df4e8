import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { FaultDriver, lastFlush, replay } from '../../../src/storage/fault.ts';
import { MemoryDriver } from '../../../src/storage/memory.ts';

function disk(): FaultDriver {
  return new FaultDriver(new MemoryDriver(4096));
}

describe('faults', () => {
  it('hit the operation, the range and the number that they are for', () => {
    const driver = disk();
    driver.inject({ operation: 'write', offset: 1024, length: 512, after: 1, times: 1 });
    const one = new Uint8Array(1);
    driver.write(1024, one);
    driver.write(0, one);
    driver.read(1024, one);
    expect(() => driver.write(1535, one)).toThrow(BlockError);
    driver.write(1024, one);
    expect(() => driver.inject({ operation: 'flush', error: new BlockError('no-space', 'full') })).not.toThrow();
    expect(() => driver.flush()).toThrow('full');
    driver.heal();
    driver.flush();
  });

  it('leave no trace in the log or on the disk', () => {
    const driver = disk();
    driver.inject({ operation: 'write' });
    expect(() => driver.write(0, new Uint8Array([1]))).toThrow(BlockError);
    expect(driver.log).toEqual([]);
    const bytes = new Uint8Array(1);
    driver.read(0, bytes);
    expect(bytes[0]).toBe(0);
  });
});

describe('the disk after a crash', () => {
  function written(): FaultDriver {
    const driver = disk();
    driver.write(0, new Uint8Array(1024).fill(1));
    driver.flush();
    driver.write(512, new Uint8Array(1024).fill(2));
    driver.writeZeroes(0, 256, {});
    driver.truncate(8192, 'off');
    driver.write(4096, new Uint8Array([3]));
    return driver;
  }
  const at = (bytes: Uint8Array, ...places: number[]) => places.map((place) => bytes[place]);
  const initial = new Uint8Array(4096);

  it('holds everything up to the cut', () => {
    const { log } = written();
    expect(at(replay(initial, log, { cut: 1 }).toBytes(), 0, 600, 1200)).toEqual([1, 1, 0]);
    expect(at(replay(initial, log, { cut: 3 }).toBytes(), 0, 600, 1200)).toEqual([1, 2, 2]);
    const last = replay(initial, log, { cut: log.length }).toBytes();
    expect(last.length).toBe(8192);
    expect(at(last, 0, 300, 600, 4096)).toEqual([0, 1, 2, 3]);
  });

  it('holds only some sectors of the last write', () => {
    const { log } = written();
    const torn = replay(initial, log, { cut: 3, torn: (sector) => sector === 1 }).toBytes();
    expect(at(torn, 600, 1024, 1535)).toEqual([1, 2, 2]);
  });

  it('has lost changes only since the last flush', () => {
    const { log } = written();
    expect([lastFlush(log, 1), lastFlush(log, 2), lastFlush(log, log.length)]).toEqual([0, 2, 2]);
    const kept = replay(initial, log, { cut: 4, lost: () => true }).toBytes();
    expect(at(kept, 0, 600, 1200)).toEqual([1, 1, 0]);
    const some = replay(initial, log, { cut: 4, lost: (index) => index === 2 }).toBytes();
    expect(at(some, 0, 600, 1200)).toEqual([0, 1, 0]);
  });
});
