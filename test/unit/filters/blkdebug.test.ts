import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { blkdebug } from '../../../src/filters/blkdebug/driver.ts';
import type { OptionTree } from '../../../src/options/tree.ts';
import { CheckedStorage } from '../../../src/storage/checked.ts';
import { MemoryDriver } from '../../../src/storage/memory.ts';
import type { Services } from '../../../src/block/services.ts';

/** The filter over 4 KiB of ones. */
async function over(options: OptionTree): Promise<CheckedStorage> {
  const below = new CheckedStorage(new MemoryDriver(new Uint8Array(4096).fill(1)), { name: 'a', readOnly: false });
  const driver = await blkdebug.open({ below, options, services: {} as Services });
  return new CheckedStorage(driver, { name: 'a', readOnly: false });
}

function rules(...list: readonly OptionTree[]): OptionTree {
  return { 'inject-error': list.map((rule) => ({ event: 'none', ...rule })) };
}

async function outcome(run: () => unknown): Promise<string> {
  try {
    await run();
    return 'done';
  } catch (error) {
    return error instanceof BlockError ? error.strerror : String(error);
  }
}

describe('rules', () => {
  it('fail requests of their kind only', async () => {
    const storage = await over(rules({ iotype: 'write', errno: '28' }));
    expect(await outcome(() => storage.write(0, new Uint8Array(512)))).toBe('No space left on device');
    expect(await outcome(() => storage.read(0, new Uint8Array(512)))).toBe('done');
    expect(await outcome(() => storage.flush())).toBe('done');
  });

  it('without a kind fail everything but questions for the status', async () => {
    const storage = await over(rules({}));
    expect(await outcome(() => storage.flush())).toBe('Input/output error');
    expect(await outcome(() => storage.discard(0, 512))).toBe('Input/output error');
    expect(await outcome(() => storage.writeZeroes(0, 512))).toBe('Input/output error');
    expect(await outcome(() => storage.status(0, 512))).toBe('done');
  });

  it('with a sector fail what touches it', async () => {
    const storage = await over(rules({ sector: '2' }));
    expect(await outcome(() => storage.read(0, new Uint8Array(1024)))).toBe('done');
    expect(await outcome(() => storage.read(0, new Uint8Array(1025)))).toBe('Input/output error');
    expect(await outcome(() => storage.read(1535, new Uint8Array(1)))).toBe('done');
    expect(await outcome(() => storage.flush())).toBe('done');
  });

  it('end after their first error where they say so, in their order', async () => {
    const storage = await over(rules({ once: 'on', errno: '13' }, { once: 'on', errno: '999' }));
    const read = (): Promise<string> => outcome(() => storage.read(0, new Uint8Array(512)));
    expect([await read(), await read(), await read()]).toEqual(['Permission denied', 'Unknown error 999', 'done']);
  });

  it('that wait for an event are refused rather than never obeyed', async () => {
    await expect(over(rules({ event: 'l2_load' }))).rejects.toThrow("Rules for the event 'l2_load' are not supported");
    expect(() => blkdebug.names?.parse('blkdebug:rules.conf:a')).toThrow('not supported');
  });
});

describe('limits', () => {
  it('take the place of those below', async () => {
    const storage = await over({ align: '512', 'max-transfer': '1k', 'opt-write-zero': '2k' });
    expect(storage.limits).toMatchObject({ requestAlignment: 512, maxTransfer: 1024, writeZeroesAlignment: 2048 });
  });

  it.each([
    [{ align: '100' }, 'align 100'],
    [{ align: '8k', 'opt-write-zero': '4k' }, 'opt-write-zero 4096'],
    [{ 'opt-discard': '2k', 'max-discard': '5k' }, 'max-discard 5120'],
    [{ 'max-transfer': '2G' }, 'max-transfer 2147483648'],
  ])('%j do not fit together', async (options, what) => {
    await expect(over(options)).rejects.toThrow(`Cannot meet constraints with ${what}`);
  });
});
