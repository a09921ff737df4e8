import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalBytes } from '../../../../src/base/bytes.ts';
import { luks } from '../../../../src/formats/luks/driver.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import { createEncrypted, encryptingServices, openEncrypted } from '../../../support/luks.ts';

/** The smallest header that there is: 4 KiB and eight slots of 68 KiB. */
const SMALL = { 'cipher-alg': 'aes-128', 'cipher-mode': 'cbc', 'iter-time': 0 };
const PAYLOAD = 528384;
const KEY = { 'key-secret': 'a' };

async function make(size: number, options = {}, protocolOptions = {}): Promise<Storage> {
  const file = memoryStorage();
  await createEncrypted(luks, file, { ...SMALL, ...KEY, size, ...options }, protocolOptions);
  return file;
}

describe('a LUKS volume', () => {
  it('keeps what is written, also in odd pieces', async () => {
    const size = 100_352;
    const step = fc.record({
      kind: fc.constantFrom('write', 'zero', 'reopen'),
      offset: fc.nat(size - 1),
      length: fc.nat(20_000),
      value: fc.integer({ min: 1, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.constantFrom('cbc', 'xts'), async (steps, mode) => {
        const file = await make(size, { 'cipher-mode': mode });
        let node = await openEncrypted(luks, file, { options: KEY });
        const expected = new Uint8Array(size);
        await node.read(0, expected);
        for (const { kind, offset, length, value } of steps) {
          const end = Math.min(size, offset + length);
          if (kind === 'write') await node.write(offset, expected.fill(value, offset, end).subarray(offset, end));
          else if (kind === 'zero') {
            await node.writeZeroes(offset, end - offset, { unmap: true });
            expected.fill(0, offset, end);
          } else {
            await node.close();
            node = await openEncrypted(luks, file, { options: KEY });
          }
        }
        const found = new Uint8Array(size);
        await node.read(0, found);
        expect(equalBytes(found, expected)).toBe(true);
      }),
      { numRuns: 6 },
    );
  });

  it('leaves the bytes of who writes as they are', async () => {
    const node = await openEncrypted(luks, await make(65536), { options: KEY });
    const bytes = new Uint8Array(65536).fill(7);
    await node.write(0, bytes);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
  });

  it('has the size of whole sectors behind its header', async () => {
    const file = await make(1_000_001);
    expect(file.size()).toBe(PAYLOAD + 1_000_001);
    const node = await openEncrypted(luks, file, { options: KEY });
    expect(node.size()).toBe(1_000_448);
    await node.truncate(5120);
    expect([node.size(), file.size()]).toEqual([5120, PAYLOAD + 5120]);
  });

  it('needs its passphrase, but not to be described', async () => {
    const file = await make(512);
    const open = (options: object): Promise<unknown> => openEncrypted(luks, file, { options: options as never });
    await expect(open({})).rejects.toThrow("Parameter 'key-secret' is required for cipher");
    await expect(open({ 'key-secret': 'gone' })).rejects.toThrow("No secret with id 'gone'");
    await expect(open({ 'key-secret': 'b' })).rejects.toThrow('Invalid password, cannot unlock any keyslot');
    const node = await openEncrypted(luks, file, { intent: 'info', readOnly: true });
    const info = await node.info();
    expect(info).toMatchObject({ encrypted: true, dirty: false, specific: { type: 'luks' } });
    expect(info.specific?.data).toMatchObject({ 'cipher-alg': 'aes-128', 'detached-header': false });
    expect(JSON.stringify(info)).not.toContain('one');
  });

  it('takes a further passphrase, and loses one', async () => {
    const file = await make(512);
    const amend = async (key: string, options: object, force = false): Promise<void> => {
      const node = await openEncrypted(luks, file, { options: { 'key-secret': key } });
      await node.amend(options, { force });
    };
    await amend('a', { state: 'active', 'new-secret': 'b', 'iter-time': 0, keyslot: 5 });
    await amend('b', { state: 'inactive', 'old-secret': 'a' });
    await expect(amend('a', { state: 'active' })).rejects.toThrow('Invalid password');
    await expect(amend('b', {})).rejects.toThrow("Parameter 'state' is missing");
    await expect(amend('b', { state: 'on' })).rejects.toThrow("Parameter 'state' does not accept value 'on'");
    await expect(amend('b', { state: 'inactive', keyslot: 5 })).rejects.toThrow('the only active keyslot 5');
    await amend('b', { state: 'inactive', keyslot: 5 }, true);
    await expect(amend('b', { state: 'active' })).rejects.toThrow('Invalid password');
  });
});

describe('a header of its own', () => {
  it('opens another file that is encrypted from its first byte on', async () => {
    const header = await make(0, { 'detached-header': true });
    expect(header.size()).toBe(PAYLOAD);
    const file = memoryStorage(new Uint8Array(10_000));
    const node = await openEncrypted(luks, file, { options: KEY, header });
    expect(node.size()).toBe(10_240);
    await node.write(0, new Uint8Array(512).fill(3));
    expect(header.size()).toBe(PAYLOAD);
    const again = await openEncrypted(luks, file, { options: KEY, header });
    const sector = new Uint8Array(512);
    await again.read(0, sector);
    expect(sector.every((byte) => byte === 3)).toBe(true);
  });

  it('is no volume by itself, and a volume in front of nothing is none', async () => {
    const header = await make(0, { 'detached-header': true });
    await expect(openEncrypted(luks, header, { options: KEY })).rejects.toThrow('overlapping with the header');
    const file = await make(512);
    await file.truncate(PAYLOAD - 512);
    await expect(openEncrypted(luks, file, { intent: 'info' })).rejects.toThrow(
      'Could not refresh total sector count: Input/output error',
    );
  });
});

describe('creating a volume', () => {
  it.each([
    [{ preallocation: 'some' }, {}, 'invalid parameter value: some'],
    [{}, { 'cipher-alg': 'rot13' }, "Parameter 'cipher-alg' does not accept value 'rot13'"],
    [{}, { 'key-secret': undefined }, "Parameter 'key-secret' is required for cipher"],
    [{}, { 'key-secret': 'gone' }, "No secret with id 'gone'"],
    [{}, { 'iter-time': -1 }, /^PBKDF iterations \d+ too large to scale/],
    [{}, { size: 2 ** 63 }, 'The requested file size is too large'],
  ])('refuses %j %j', async (protocolOptions, options, message) => {
    await expect(make(512, options, protocolOptions)).rejects.toThrow(message);
  });

  it('measures what it will take', async () => {
    const context = { virtualSize: 1024, services: encryptingServices() } as never;
    expect(await luks.measure?.(context, { ...SMALL, ...KEY, size: 1001 })).toEqual({
      required: PAYLOAD + 1001,
      fullyAllocated: PAYLOAD + 1001,
    });
    await expect(luks.measure?.(context, { ...SMALL, size: 1001 })).rejects.toThrow("'key-secret' is required");
  });
});
