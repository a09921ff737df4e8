import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bigEndian } from '../../../../src/base/bytes.ts';
import { KiB, MiB } from '../../../../src/base/offset.ts';
import type { ImageNode } from '../../../../src/block/node/node.ts';
import { qcow } from '../../../../src/formats/qcow/driver.ts';
import { raw } from '../../../../src/formats/raw/driver.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import { changesOf, createOn, emptyImage, Mirror, openOn } from '../../../support/smallFormats.ts';
import { numbers, Recording, storageOf } from '../../../support/vpcVhdx.ts';

const SIZE = 3 * MiB + 1536;
const KEY = { 'encrypt.format': 'aes', 'encrypt.key-secret': 'key' };

async function openLayered(file: Storage, base: Storage): Promise<ImageNode> {
  return openOn(qcow, file, { backing: await openOn(raw, base, { readOnly: true }) });
}

describe('qcow images', () => {
  it.each(['plain', 'layered', 'encrypted'])('hold what was written (%s)', async (nature) => {
    await fc.assert(
      fc.asyncProperty(changesOf(SIZE, 20000), async (changes) => {
        const file = memoryStorage();
        const encryption = nature === 'encrypted' ? KEY : {};
        await createOn(qcow, file, {
          size: SIZE,
          ...encryption,
          ...(nature === 'layered' ? { backing_file: 'x' } : {}),
        });
        const base = memoryStorage(new Uint8Array(SIZE - 3000).fill(0xb5));
        const mirror = await Mirror.start(() =>
          nature === 'layered' ? openLayered(file, base) : openOn(qcow, file, { options: encryption }),
        );
        for (const change of changes) await mirror.apply(change);
        expect(await mirror.holds()).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it('are not changed by being opened', async () => {
    const bytes = await emptyImage(qcow, { size: MiB });
    const file = memoryStorage(bytes);
    await (await openOn(qcow, file)).close();
    expect(file.size()).toBe(bytes.length);
  });

  it('keep compressed clusters byte-tight, and plain ones behind them', async () => {
    const file = memoryStorage(await emptyImage(qcow, { size: MiB }));
    const node = await openOn(qcow, file);
    const { compressor } = node;
    const coded = await compressor?.encode(0, new Uint8Array(12 * KiB).fill(7));
    expect(coded?.length).toBe(3);
    for (const [index, one] of (coded ?? []).entries()) await node.storeCompressed(index * 4096, one as Uint8Array);
    await node.write(12 * KiB, new Uint8Array(4096).fill(8));
    await node.close();
    const again = await openOn(qcow, file, { readOnly: true });
    expect(await again.map(0, MiB)).toEqual({ kind: 'special', length: 12 * KiB, compressed: true, encrypted: false });
    expect(await again.map(12 * KiB, 100)).toMatchObject({ kind: 'data', offset: 16 * KiB });
    expect(file.size()).toBe(20 * KiB);
    const bytes = new Uint8Array(16 * KiB);
    await again.read(0, bytes);
    expect([bytes[0], bytes[12 * KiB - 1], bytes[12 * KiB]]).toEqual([7, 7, 8]);
  });

  it('leave random data uncompressed', async () => {
    const node = await openOn(qcow, memoryStorage(await emptyImage(qcow, { size: MiB })));
    const next = numbers(1);
    const noise = new Uint8Array(4096).map(() => next() * 256);
    expect(await node.compressor?.encode(0, noise)).toEqual([undefined]);
  });

  it('hide what they hold if they are encrypted', async () => {
    const file = memoryStorage(await emptyImage(qcow, { size: MiB, ...KEY }));
    const node = await openOn(qcow, file, { options: KEY });
    await expect((async () => node.storeCompressed(0, new Uint8Array(10)))()).rejects.toMatchObject({
      kind: 'unsupported',
    });
    await node.write(0, new Uint8Array(8192).fill(0x61));
    await node.close();
    const stored = new Uint8Array(file.size());
    await file.read(0, stored);
    expect(Buffer.from(stored).includes('aaaaaaaa')).toBe(false);
    expect((await openOn(qcow, file, { intent: 'info' })).info()).toMatchObject({ encrypted: true });
    await expect(openOn(qcow, file)).rejects.toThrow("Parameter 'encrypt.key-secret' is required for cipher");
    await expect(openOn(qcow, file, { options: { 'encrypt.format': 'luks' } })).rejects.toThrow(
      "Header reported 'aes' encryption format but options specify 'luks'",
    );
    const plain = memoryStorage(await emptyImage(qcow, { size: MiB }));
    await expect(openOn(qcow, plain, { options: KEY })).rejects.toThrow(
      "No encryption in image header, but options specified format 'aes'",
    );
  });

  it('can be emptied', async () => {
    const file = memoryStorage(await emptyImage(qcow, { size: 4 * MiB, backing_file: 'base.raw' }));
    const base = memoryStorage(new Uint8Array(4 * MiB).fill(5));
    const node = await openLayered(file, base);
    expect(node.backingReference).toEqual({ file: 'base.raw' });
    await node.write(MiB, new Uint8Array(3000).fill(1));
    await node.makeEmpty();
    expect(file.size()).toBe(72);
    const bytes = new Uint8Array(3000);
    await node.read(MiB, bytes);
    expect(bytes.every((byte) => byte === 5)).toBe(true);
    await node.write(MiB, new Uint8Array(10).fill(2));
    await node.close();
    await (await openLayered(file, base)).read(MiB, bytes);
    expect([bytes[9], bytes[10]]).toEqual([2, 5]);
  });
});

/** An image with its first cluster in use, and one 64-bit number changed. */
async function damaged(at: number, value: bigint): Promise<Storage> {
  const file = memoryStorage(await emptyImage(qcow, { size: MiB }));
  const node = await openOn(qcow, file);
  await node.write(0, new Uint8Array(4096).fill(1));
  await node.close();
  const bytes = new Uint8Array(8);
  bigEndian(bytes).setBig64(0, value);
  await file.write(at, bytes);
  return file;
}

describe('damaged qcow images', () => {
  it.each([
    ['an L2 table at an impossible place', 48, 0x8000000000002000n],
    ['a cluster between sectors', 8192, 0x1001n],
    ['an empty compressed cluster', 8192, 0x8000000000001000n],
    ['a compressed cluster behind the end', 8192, 0x80080000007f2000n],
    ['a compressed cluster of rubbish', 8192, 0x8108000000001000n],
  ])('are reported: %s', async (_name, at, value) => {
    const node = await openOn(qcow, await damaged(at, value));
    await expect((async () => node.read(0, new Uint8Array(10)))()).rejects.toMatchObject({ kind: 'io' });
    await expect((async () => node.write(0, new Uint8Array(10)))()).rejects.toMatchObject({ kind: 'io' });
  });

  it('have zeroes where the file ends early, and are not written there', async () => {
    for (const [at, value] of [
      [48, 0x7f0000n],
      [8192, 0x7f0000n],
    ] as const) {
      const file = await damaged(at, value);
      const size = file.size();
      const node = await openOn(qcow, file);
      const bytes = new Uint8Array(10).fill(1);
      await node.read(0, bytes);
      expect(bytes).toEqual(new Uint8Array(10));
      await expect((async () => node.write(0, bytes))()).rejects.toMatchObject({ kind: 'io' });
      expect(file.size()).toBeLessThanOrEqual(size + 4096);
    }
  });
});

describe('qcow images when the power goes', () => {
  it('keep what was flushed, and never show what was not written', async () => {
    const memory = new Recording(await emptyImage(qcow, { size: 8 * MiB }));
    const node = await openOn(qcow, storageOf(memory));
    await node.write(5000, new Uint8Array(20000).fill(1));
    await node.flush();
    const safe = memory.steps.length;
    await node.write(3 * MiB, new Uint8Array(9000).fill(2));
    await node.write(64 * KiB, new Uint8Array(9000).fill(3));
    await node.close();
    for (const { name, file } of memory.cuts()) {
      const again = await openOn(qcow, file, { readOnly: true });
      const bytes = new Uint8Array(8 * MiB);
      await again.read(0, bytes);
      for (const [start, value] of [
        [3 * MiB, 2],
        [64 * KiB, 3],
      ] as const) {
        const found = new Set(bytes.subarray(start, start + 9000));
        expect({ name, wrong: [...found].filter((byte) => byte !== 0 && byte !== value) }).toEqual({ name, wrong: [] });
      }
      if (Number(/\d+/.exec(name)?.[0]) <= safe) continue;
      expect(bytes.subarray(5000, 25000).every((byte) => byte === 1)).toBe(true);
    }
  });
});
