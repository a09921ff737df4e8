import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalBytes } from '../../../../src/base/bytes.ts';
import type { ImageNode } from '../../../../src/block/node/node.ts';
import { legacyAesCipher, sectorCipher } from '../../../../src/crypto/sectorCipher.ts';
import { amendEncryption, measureEncryption } from '../../../../src/formats/qcow2/guest/crypt.ts';
import { qcow2 } from '../../../../src/formats/qcow2/driver.ts';
import type { Qcow2Image } from '../../../../src/formats/qcow2/image.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import { createEncrypted, encryptingServices, openEncrypted } from '../../../support/luks.ts';
import { createOptions } from '../../../../src/formats/qcow2/options.ts';
import { defaultsOf } from '../../../../src/options/coerce.ts';
import { driverOf } from './support.ts';

const LUKS = {
  'encrypt.format': 'luks',
  'encrypt.cipher-alg': 'aes-128',
  'encrypt.cipher-mode': 'cbc',
  'encrypt.iter-time': 0,
  'encrypt.key-secret': 'a',
};
const AES = { 'encrypt.format': 'aes', 'encrypt.key-secret': 'a' };
const KEY = { 'encrypt.key-secret': 'a' };
const SIZE = 131072;

async function make(options: object): Promise<Storage> {
  const file = memoryStorage();
  await createEncrypted(qcow2, file, { size: SIZE, cluster_size: 4096, ...options });
  return file;
}

function stateOf(node: ImageNode): Qcow2Image['state'] {
  return driverOf(node).state;
}

describe.each([
  ['LUKS', LUKS],
  ['LUKS with subclusters', { ...LUKS, cluster_size: 16384, extended_l2: true }],
  ['LUKS, version 2', { ...LUKS, compat: '0.10' }],
  ['AES', AES],
  ['AES by its old name', { encryption: true, 'encrypt.key-secret': 'a', preallocation: 'metadata' }],
])('%s', (_name, options) => {
  it('keeps what is written, zeroed and discarded', async () => {
    const step = fc.record({
      kind: fc.constantFrom('write', 'write', 'zero', 'discard', 'reopen'),
      offset: fc.nat(SIZE - 1),
      length: fc.nat(30_000),
      value: fc.integer({ min: 1, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 10 }), async (steps) => {
        const file = await make(options);
        let node = await openEncrypted(qcow2, file, { options: KEY });
        await node.writeZeroes(0, SIZE, { unmap: true });
        const expected = new Uint8Array(SIZE);
        for (const { kind, offset, length, value } of steps) {
          const end = Math.min(SIZE, offset + length);
          if (kind === 'write') await node.write(offset, expected.fill(value, offset, end).subarray(offset, end));
          else if (kind === 'zero') {
            await node.writeZeroes(offset, end - offset);
            expected.fill(0, offset, end);
          } else if (kind === 'discard') {
            await node.discard(offset, end - offset);
            // Whole clusters read as zeroes afterwards; what they read as before is what the rest keeps.
            const found = new Uint8Array(end - offset);
            await node.read(offset, found);
            expect(found.every((byte, i) => byte === 0 || byte === expected[offset + i])).toBe(true);
            expected.set(found, offset);
          } else {
            await node.close();
            node = await openEncrypted(qcow2, file, { options: KEY });
          }
        }
        const found = new Uint8Array(SIZE);
        await node.read(0, found);
        expect(equalBytes(found, expected)).toBe(true);
        await node.flush();
        expect(await node.check('none', () => undefined)).toMatchObject({ corruptions: 0, leaks: 0 });
      }),
      { numRuns: 5 },
    );
  });

  it('needs the key, but not to be described', async () => {
    const file = await make(options);
    const open = (values: object): Promise<unknown> => openEncrypted(qcow2, file, { options: values as never });
    await expect(open({})).rejects.toThrow("Parameter 'encrypt.key-secret' is required for cipher");
    await expect(open({ 'encrypt.key-secret': 'gone' })).rejects.toThrow("No secret with id 'gone'");
    await expect(open({ ...KEY, 'encrypt.format': 'rot13' })).rejects.toThrow("but options specify 'rot13'");
    const node = await openEncrypted(qcow2, file, { intent: 'info', readOnly: true });
    expect((await node.info()).encrypted).toBe(true);
  });

  it('says nothing of places, and takes no compressed clusters', async () => {
    const node = await openEncrypted(qcow2, await make(options), { options: KEY });
    await node.write(0, new Uint8Array(65536).fill(1));
    expect(await node.map(0, 65536)).toEqual({ kind: 'special', length: 65536, compressed: false, encrypted: true });
    await expect((async () => node.storeCompressed(65536, new Uint8Array(10)))()).rejects.toThrow(
      'Compression and encryption not supported at the same time',
    );
  });
});

/** The stored bytes of the guest's cluster 1, and where they are. */
async function stored(file: Storage, node: ImageNode): Promise<{ place: number; bytes: Uint8Array }> {
  const l2 = Number((await stateOf(node).l1.view()).getBigUint64(0) & 0xfffffffffffe00n);
  const entry = new Uint8Array(8);
  await file.read(l2 + 8, entry);
  const place = Number(new DataView(entry.buffer).getBigUint64(0) & 0xfffffffffffe00n);
  const bytes = new Uint8Array(4096);
  await file.read(place, bytes);
  return { place, bytes };
}

describe('sectors', () => {
  const port = encryptingServices().crypto;

  it('of LUKS count from the start of the file', async () => {
    const file = await make(LUKS);
    const node = await openEncrypted(qcow2, file, { options: KEY });
    await node.write(4096, new Uint8Array(4096).fill(5));
    await node.flush();
    const { place, bytes } = await stored(file, node);
    const { header, masterKey } = stateOf(node).luksVolume ?? {};
    if (!header || !masterKey) throw new Error('no volume');
    sectorCipher(port, header.spec, masterKey).decrypt(place / 512, bytes);
    expect(bytes.every((byte) => byte === 5)).toBe(true);
  });

  it('of AES count from the start of the disk', async () => {
    const file = await make(AES);
    const node = await openEncrypted(qcow2, file, { options: KEY });
    await node.write(4096, new Uint8Array(4096).fill(5));
    await node.flush();
    const { bytes } = await stored(file, node);
    legacyAesCipher(port, new TextEncoder().encode('one')).decrypt(8, bytes);
    expect(bytes.every((byte) => byte === 5)).toBe(true);
  });
});

describe('options', () => {
  it.each([
    [{ encryption: true, 'encrypt.format': 'aes' }, "its alias 'encryption' can't be used"],
    [{ 'encrypt.format': 'rot13' }, "Parameter 'format' does not accept value 'rot13'"],
    [{ 'encrypt.key-secret': 'a' }, "Parameter 'encrypt.format' is missing"],
    [{ ...AES, 'encrypt.iter-time': 1 }, "Parameter 'encrypt.iter-time' is unexpected"],
    [{ ...LUKS, 'encrypt.cipher-mode': 'rot13' }, "Parameter 'cipher-mode' does not accept value 'rot13'"],
    [{ 'encrypt.format': 'luks' }, "Parameter 'encrypt.key-secret' is required for cipher"],
    [{ ...AES, 'encrypt.key-secret': 'gone' }, "No secret with id 'gone'"],
    [{ ...LUKS, compat: 'new', 'encrypt.format': 'rot13' }, "Parameter 'version' does not accept value 'new'"],
    [{ ...LUKS, cluster_size: 77 }, 'Cluster size must be'],
  ])('%j', async (options, message) => {
    await expect(make(options)).rejects.toThrow(message);
  });

  it('measures the LUKS header only', async () => {
    const defaults = defaultsOf(createOptions);
    const services = encryptingServices();
    expect(await measureEncryption(services, { ...defaults, ...LUKS }, 65536)).toBe(589824);
    expect(await measureEncryption(services, { ...defaults, ...AES }, 65536)).toBe(0);
    expect(await measureEncryption(services, defaults, 65536)).toBe(0);
  });

  it('amends the key slots of LUKS', async () => {
    const file = await make(LUKS);
    const node = await openEncrypted(qcow2, file, { options: KEY });
    const active = { 'encrypt.state': 'active', 'encrypt.new-secret': 'b', 'encrypt.iter-time': 0 };
    await amendEncryption(stateOf(node), active, false);
    await amendEncryption(stateOf(node), { 'encrypt.state': 'inactive', 'encrypt.old-secret': 'a' }, false);
    await expect(openEncrypted(qcow2, file, { options: KEY })).rejects.toThrow('Invalid password');
    await openEncrypted(qcow2, file, { options: { 'encrypt.key-secret': 'b' } });
    const other = await openEncrypted(qcow2, await make(AES), { options: KEY });
    expect(() => amendEncryption(stateOf(other), active, false)).toThrow('Only LUKS encryption options');
    const plain = await openEncrypted(qcow2, await make({}));
    expect(() => amendEncryption(stateOf(plain), active, false)).toThrow('encryption not present');
  });
});

it('a LUKS header has to be where the image says', async () => {
  const file = await make(LUKS);
  const at = 112;
  const poke = async (offset: bigint, length: bigint): Promise<Promise<unknown>> => {
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setBigUint64(0, offset);
    new DataView(bytes.buffer).setBigUint64(8, length);
    // Small clusters have no names of features, and so the pointer is the first extension.
    await file.write(at + 8, bytes);
    return openEncrypted(qcow2, file, { intent: 'info', readOnly: true });
  };
  await expect(poke(256n, 4096n)).rejects.toThrow("offset '256' is not a multiple of cluster size '4096'");
  await expect(poke(0n, 4096n)).rejects.toThrow('Volume is not in LUKS format');
  await expect(poke(1n << 40n, 4096n)).rejects.toThrow('Volume is not in LUKS format');
  await expect(poke((1n << 63n) - 65536n, 4096n)).rejects.toThrow('Could not read encryption header');
  await expect(poke(4096n, 100n)).rejects.toThrow('Request for data outside of extension header');
});
