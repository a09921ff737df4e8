import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { blkdebug } from '../../../src/filters/blkdebug/driver.ts';
import type { OptionTree } from '../../../src/options/tree.ts';
import { CheckedStorage } from '../../../src/storage/checked.ts';
import { MemoryDriver } from '../../../src/storage/memory.ts';
import type { Services } from '../../../src/block/services.ts';

/** The filter over 4 KiB of ones. */
async function over(options: OptionTree, file = ''): Promise<CheckedStorage> {
  const below = new CheckedStorage(new MemoryDriver(new Uint8Array(4096).fill(1)), { name: 'a', readOnly: false });
  const driver = await blkdebug.open({
    below,
    children: [{ role: 'image', node: below }],
    options,
    readOnly: false,
    services: {} as Services,
    findNode: () => undefined,
    expand: async (_, input) => input,
    spool: {},
    probe: () => undefined,
    readFile: async () => new TextEncoder().encode(file),
  });
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
    expect(await outcome(() => storage.discard(0, 512))).toBe('Input/output error');
    expect(await outcome(() => storage.writeZeroes(0, 512))).toBe('Input/output error');
    expect(await outcome(() => storage.status(0, 512))).toBe('done');
    storage.debugEvent?.('flush_asked');
    expect(await outcome(() => storage.flush())).toBe('Input/output error');
  });

  it('fail only flushes that somebody asked for, when there is something to flush', async () => {
    const storage = await over(rules({ iotype: 'flush' }));
    storage.debugEvent?.('flush_asked');
    expect(await outcome(() => storage.flush())).toBe('done');
    await storage.write(0, new Uint8Array(512));
    storage.debugEvent?.('flush_asked');
    expect(await outcome(() => storage.flush())).toBe('Input/output error');
    expect(await outcome(() => storage.flush())).toBe('done');
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

  it('that an event awakens take the place of those that counted before', async () => {
    const storage = await over(rules({ iotype: 'write' }, { event: 'l2_load', iotype: 'read', errno: '28' }));
    const write = (): Promise<string> => outcome(() => storage.write(0, new Uint8Array(512)));
    const read = (): Promise<string> => outcome(() => storage.read(0, new Uint8Array(512)));
    expect([await write(), await read()]).toEqual(['Input/output error', 'done']);
    storage.debugEvent?.('l2_load');
    expect([await write(), await read(), await read()]).toEqual([
      'done',
      'No space left on device',
      'No space left on device',
    ]);
  });

  it('count in their state only; the state changes when all rules have had their turn', async () => {
    const storage = await over({
      'set-state': [
        { event: 'l2_load', state: '1', new_state: '2' },
        { event: 'l2_load', state: '2', new_state: '3' },
      ],
      'inject-error': [
        { event: 'l2_load', state: '2', errno: '28' },
        { event: 'l2_load', state: '3', errno: '13' },
      ],
    });
    const outcomes: string[] = [];
    for (let turn = 0; turn < 3; turn++) {
      storage.debugEvent?.('l2_load');
      outcomes.push(await outcome(() => storage.read(0, new Uint8Array(512))));
    }
    expect(outcomes).toEqual(['done', 'No space left on device', 'Permission denied']);
  });

  it('are told of writes, and of their end', async () => {
    const storage = await over(rules({ event: 'pwritev_done', once: 'on' }));
    const write = (): Promise<string> => outcome(() => storage.write(0, new Uint8Array(512)));
    expect([await write(), await write(), await write()]).toEqual(['done', 'Input/output error', 'done']);
  });
});

describe('files of rules', () => {
  const withFile = (text: string): Promise<CheckedStorage> => over({ config: 'rules.conf' }, text);

  it('say the same as options', async () => {
    const storage = await withFile('# errors\n[inject-error]\n event = "none"\n\niotype = "write"\nerrno = "28"\n');
    expect(await outcome(() => storage.write(0, new Uint8Array(1)))).toBe('No space left on device');
    expect(await outcome(() => storage.read(0, new Uint8Array(1)))).toBe('done');
  });

  it.each([
    ['[inject-error]\nevent = "nothing"\n', 'invalid parameter value: nothing'],
    ['[inject-error]\nerrno = "5"\n', 'Missing event name for rule'],
    ['[some-error]\nevent = "none"\n', "There is no option group 'some-error'"],
    ['event = "none"\n', 'no group defined'],
    ['[set-state]\nevent = "none"\nnew_state = "two"\n', "Parameter 'new_state' expects a number"],
    ['[inject-error]\nevent="none"\n', 'Invalid parameter \'event="none"\''],
  ])('with mistakes: %j', async (text, message) => {
    await expect(withFile(text)).rejects.toThrow(message);
  });

  it('stand in the middle of names', () => {
    expect(blkdebug.names?.parse('blkdebug:rules.conf:a:b')).toEqual({
      options: { config: 'rules.conf' },
      children: { image: 'a:b' },
    });
    expect(blkdebug.names?.print({ config: 'r' }, { image: 'a' })).toBe('blkdebug:r:a');
    expect(blkdebug.names?.print({ align: 512 }, { image: 'a' })).toBeUndefined();
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
