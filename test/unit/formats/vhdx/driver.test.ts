import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { littleEndian, utf8Bytes } from '../../../../src/base/bytes.ts';
import { BlockError } from '../../../../src/base/error.ts';
import type { ImageNode } from '../../../../src/block/node/node.ts';
import { vhdx } from '../../../../src/formats/vhdx/driver.ts';
import { CurrentHeader, structureChecksum } from '../../../../src/formats/vhdx/header.ts';
import { guidBytes } from '../../../../src/formats/vhdx/layout.ts';
import { encodeEntry } from '../../../../src/formats/vhdx/logEntry.ts';
import { findLog } from '../../../../src/formats/vhdx/replay.ts';
import type { AnyOptionValues } from '../../../../src/options/table.ts';
import { MemoryDriver } from '../../../../src/storage/memory.ts';
import { createOn, numbers, openOn, readAll, Recording, storageOf } from '../../../support/vpcVhdx.ts';

const MiB = 1048576;
const BAT = 2 * MiB;
const METADATA = 3 * MiB;
const logGuid = guidBytes('00112233445566778899aabbccddeeff');

async function image(size: number, options: AnyOptionValues = {}): Promise<MemoryDriver> {
  const memory = new MemoryDriver();
  await createOn(vhdx, storageOf(memory), { size, ...options });
  return memory;
}

function bytesOf(memory: MemoryDriver, offset: number, length: number): ReturnType<typeof littleEndian> {
  const bytes = new Uint8Array(length);
  memory.read(offset, bytes);
  return littleEndian(bytes);
}

function put32(memory: MemoryDriver, offset: number, value: number): void {
  const fields = littleEndian(new Uint8Array(4));
  fields.setU32(0, value);
  memory.write(offset, fields.bytes);
}

function put64(memory: MemoryDriver, offset: number, value: bigint): void {
  const fields = littleEndian(new Uint8Array(8));
  fields.setBig64(0, value);
  memory.write(offset, fields.bytes);
}

/** Changes a structure and makes its checksum right again. */
function patch(memory: MemoryDriver, offset: number, length: number, change: (at: Uint8Array) => void): void {
  const { bytes } = bytesOf(memory, offset, length);
  change(bytes);
  littleEndian(bytes).setU32(4, structureChecksum(bytes));
  memory.write(offset, bytes);
}

/** Puts an entry into the log and marks the log as valid. */
async function withLog(memory: MemoryDriver, entry: Uint8Array): Promise<void> {
  memory.write(MiB, entry);
  await (await CurrentHeader.read(storageOf(memory))).update({ logGuid });
}

function open(memory: MemoryDriver): Promise<ImageNode> {
  return openOn(vhdx, storageOf(memory));
}

/** The first entries of the table of a new image of 20 MiB. */
async function firstEntries(options: AnyOptionValues): Promise<number[]> {
  const fields = bytesOf(await image(20 * MiB, options), BAT, 32);
  return [0, 8, 16, 24].map((at) => fields.u64(at));
}

describe('new VHDX images', () => {
  it.each([
    [{}, 8 * MiB, 8 * MiB],
    [{ block_size: 1 }, 8 * MiB, MiB],
    [{ block_size: 1536 * 1024 }, 8 * MiB, 2 * MiB],
    [{ block_size: 512 * MiB }, 8 * MiB, 256 * MiB],
    [{ log_size: 1536 * 1024 }, 9 * MiB, 8 * MiB],
    [{ subformat: 'fixed', log_size: 3 * MiB, block_size: 2 * MiB }, 15 * MiB, 2 * MiB],
  ])('with %j have %i bytes', async (options, length, clusterSize) => {
    const memory = await image(5 * MiB, options);
    expect(memory.size()).toBe(length);
    const node = await open(memory);
    expect(node.size()).toBe(5 * MiB);
    expect(await node.info()).toEqual({ clusterSize, dirty: false });
  });

  it('record blocks as zeroes or as present', async () => {
    expect(await firstEntries({})).toEqual([2, 2, 2, 0]);
    expect(await firstEntries({ block_state_zero: false })).toEqual([0, 0, 0, 0]);
    expect(await firstEntries({ subformat: 'fixed' })).toEqual([2, 2, 2, 0]);
    const present = [8, 16, 24].map((place) => place * MiB + 6);
    expect(await firstEntries({ subformat: 'fixed', block_state_zero: false })).toEqual([...present, 0]);
  });

  it('leave entries for sector bitmaps free', async () => {
    // 256 MiB blocks: a bitmap after each 16 of them.
    const fields = bytesOf(await image(17 * 256 * MiB, { block_size: 256 * MiB }), BAT, 160);
    expect([15, 16, 17, 18].map((index) => fields.u64(index * 8))).toEqual([2, 0, 2, 0]);
  });

  it.each([
    [{ subformat: 'x' }, "Parameter 'subformat' does not accept value 'x'"],
    [{ block_size: 3 * MiB }, 'Block size must be a power of two'],
    [{ log_size: 0 }, 'Log size must be a multiple of 1 MB'],
    [{ log_size: 4096 * MiB }, 'Log size must be smaller than 4 GB'],
    [{ size: 65 * 1024 * 1024 * MiB }, 'Image size too large; max of 64TB'],
  ])('are refused with %j', async (options, message) => {
    await expect(image(MiB, options)).rejects.toThrow(message);
  });
});

describe('opening VHDX images', () => {
  const invalid = "Could not open 'test': Invalid argument";
  const unsupported = "Could not open 'test': Operation not supported";
  it.each<[string, (memory: MemoryDriver) => void, string]>([
    ['no signature', (memory) => memory.write(0, utf8Bytes('x')), invalid],
    ['no header', (memory) => memory.writeZeroes(65536, 131072, {}), 'No valid VHDX header found'],
    ['no region table', (memory) => memory.write(196608, utf8Bytes('x')), invalid],
    ['no metadata', (memory) => memory.write(METADATA, utf8Bytes('x')), invalid],
    ['odd blocks', (memory) => put32(memory, METADATA + 65536, 3 * MiB), invalid],
    ['small blocks', (memory) => put32(memory, METADATA + 65536, MiB / 2), invalid],
    ['large blocks', (memory) => put32(memory, METADATA + 65536, 512 * MiB), invalid],
    ['a parent', (memory) => put32(memory, METADATA + 65540, 2), invalid],
    ['odd sectors', (memory) => put32(memory, METADATA + 65568, 1024), unsupported],
    ['an unknown item', (memory) => memory.write(METADATA + 32, utf8Bytes('x')), unsupported],
    ['a disk too large', (memory) => put64(memory, METADATA + 65544, 2n ** 47n), invalid],
    ['a count that wraps', (memory) => put64(memory, METADATA + 65544, (2n ** 32n + 25n) * 1048576n), invalid],
    ['a table too short', (memory) => put64(memory, METADATA + 65544, 2n ** 43n), invalid],
    ['a block beyond the end', (memory) => put64(memory, BAT, 6n + 2n ** 40n), invalid],
    ['a block over the table', (memory) => put64(memory, BAT, 6n), invalid],
  ])('refuses %s', async (_what, damage, message) => {
    const memory = await image(10 * MiB);
    damage(memory);
    const opening = openOn(vhdx, storageOf(memory, true), { readOnly: true });
    await expect(opening).rejects.toThrow(message);
  });

  it('says which block is wrong, and checks all of them', async () => {
    const memory = await image(20 * MiB);
    put64(memory, BAT, 6n + 2n ** 63n);
    put64(memory, BAT + 16, 6n);
    const lines: string[] = [];
    await expect(openOn(vhdx, storageOf(memory), { lines })).rejects.toThrow('Invalid argument');
    expect(lines).toEqual(['VHDX BAT entry 0 offset overflow.']);
    const node = await openOn(vhdx, storageOf(memory, true), { readOnly: true, intent: 'check' });
    const report: string[] = [];
    const result = await node.check('none', ({ text }) => report.push(text));
    expect(result).toMatchObject({ corruptions: 3, corruptionsFixed: 0 });
    expect(report[2]).toBe('VHDX region 0-8388608 overlaps with region 3145728-4194304');
  });

  it('fails only for blocks of unknown states', async () => {
    const memory = await image(20 * MiB);
    put64(memory, BAT, 7n);
    put64(memory, BAT + 8, 3n);
    const node = await open(memory);
    expect((await readAll(node, 8 * MiB, 10))[0]).toBe(0);
    await expect(readAll(node, 0, 10)).rejects.toMatchObject({ kind: 'io' });
    await expect(Promise.resolve(node.write(0, new Uint8Array(1)))).rejects.toMatchObject({ kind: 'io' });
  });

  it('reads disks with sectors of 4,096 bytes', async () => {
    const memory = await image(64 * MiB, { block_size: 2 * MiB });
    put32(memory, METADATA + 65568, 4096);
    const node = await open(memory);
    await node.write(5 * MiB + 100, utf8Bytes('hello'));
    await node.close();
    expect(new TextDecoder().decode(await readAll(await open(memory), 5 * MiB + 100, 5))).toBe('hello');
  });
});

describe('the log of VHDX images', () => {
  const sector = littleEndian(new Uint8Array(4096));
  sector.setU64(0, 8 * MiB + 6);
  const change = [{ offset: BAT, bytes: sector.bytes }];

  it('is replayed before anything is written, and never for readers', async () => {
    const memory = await image(10 * MiB);
    memory.truncate(16 * MiB, 'off');
    memory.write(8 * MiB, utf8Bytes('hello'));
    await withLog(memory, encodeEntry({ logGuid, sequence: 9n, fileSize: 16 * MiB }, change));
    await expect(openOn(vhdx, storageOf(memory, true), { readOnly: true })).rejects.toMatchObject({
      message: "VHDX image file 'test' opened read-only, but contains a log that needs to be replayed",
      hints: [{ about: 'replay-log', filename: 'test' }],
    });
    const node = await openOn(vhdx, storageOf(memory), { intent: 'check' });
    const counts = async () => (await node.check('all', () => undefined))?.corruptionsFixed;
    expect([await counts(), await counts()]).toEqual([1, 0]);
    await node.close();
    const again = await openOn(vhdx, storageOf(memory, true), { readOnly: true });
    expect(new TextDecoder().decode(await readAll(again, 0, 5))).toBe('hello');
  });

  it('does not matter if it has no valid entry', async () => {
    const memory = await image(10 * MiB);
    const entry = encodeEntry({ logGuid, sequence: 9n, fileSize: 8 * MiB }, change);
    entry[5000] = 1;
    await withLog(memory, entry);
    const node = await open(memory);
    await node.write(0, new Uint8Array(10).fill(1));
    await node.close();
    expect((await readAll(await open(memory), 0, 10))[0]).toBe(1);
  });

  it.each<[string, number, number, string]>([
    ['outside the file', 2 ** 50, 8 * MiB, 'File too large'],
    ['for a larger file', BAT, 2 ** 60, 'Invalid argument'],
    ['for a file that was cut', BAT, 16 * MiB, 'Invalid argument'],
  ])('is refused %s', async (_what, offset, fileSize, message) => {
    const memory = await image(10 * MiB);
    await withLog(memory, encodeEntry({ logGuid, sequence: 9n, fileSize }, [{ offset, bytes: sector.bytes }]));
    await expect(open(memory)).rejects.toThrow(message);
    expect(memory.size()).toBe(8 * MiB);
  });

  it('is not followed where a zero descriptor leaves the file', async () => {
    const memory = await image(10 * MiB);
    const entry = encodeEntry({ logGuid, sequence: 9n, fileSize: 8 * MiB }, change);
    const fields = littleEndian(entry.slice(0, 4096));
    fields.setU32(8, 4096);
    fields.set(64, utf8Bytes('zero'));
    fields.setU64(72, 2 ** 62);
    fields.setU32(4, structureChecksum(fields.bytes));
    await withLog(memory, fields.bytes);
    await expect(open(memory)).rejects.toThrow('File too large');
  });
});

describe('content of VHDX images', () => {
  it('is that of a plain array, whatever is done', async () => {
    const size = 5 * MiB;
    const operation = fc.record({
      kind: fc.constantFrom('write', 'zero', 'reopen', 'flush'),
      offset: fc.integer({ min: 0, max: size - 1 }),
      length: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 3 * MiB })),
      byte: fc.integer({ min: 1, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.record({ subformat: fc.constantFrom('dynamic', 'fixed'), block_state_zero: fc.boolean() }),
        fc.array(operation, { maxLength: 6 }),
        async (options, operations) => {
          const file = storageOf(await image(size, { ...options, block_size: MiB }));
          const model = new Uint8Array(size);
          let node = await openOn(vhdx, file);
          for (const { kind, offset, length: wanted, byte } of operations) {
            const length = Math.min(wanted, size - offset);
            if (kind === 'flush') await node.flush();
            else if (kind === 'reopen') {
              await node.close();
              node = await openOn(vhdx, file);
            } else if (kind === 'write') {
              await node.write(offset, new Uint8Array(length).fill(byte));
              model.fill(byte, offset, offset + length);
            } else {
              await node.writeZeroes(offset, length);
              model.fill(0, offset, offset + length);
            }
          }
          await node.close();
          const again = await openOn(vhdx, file, { readOnly: true });
          expect(Buffer.compare(await readAll(again), model)).toBe(0);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('changes the identifiers of the file with the first write only', async () => {
    const memory = await image(10 * MiB);
    const state = async () => (await CurrentHeader.read(storageOf(memory))).value;
    const before = await state();
    const node = await open(memory);
    await node.write(0, new Uint8Array(512).fill(1));
    const first = await state();
    expect(first.fileWriteGuid).not.toEqual(before.fileWriteGuid);
    await node.write(9 * MiB, new Uint8Array(512).fill(1));
    await node.close();
    expect((await state()).fileWriteGuid).toEqual(first.fileWriteGuid);
  });

  it('survives a power cut at any moment', async () => {
    const start = await image(700 * MiB, { block_size: MiB });
    const before = await open(start);
    await before.write(0, new Uint8Array(512).fill(1));
    await before.close();
    const recording = new Recording(start.toBytes());
    const node = await openOn(vhdx, storageOf(recording));
    // Entries of these two are in different sectors of the table.
    const [near, far] = [MiB + 512, 600 * MiB];
    await node.write(near, new Uint8Array(512).fill(2));
    await node.write(far, new Uint8Array(512).fill(3));
    await node.flush();
    const flushed = recording.steps.length;
    await node.write(2 * MiB, new Uint8Array(512).fill(4));
    await node.close();
    const seen = new Set<string>();
    const wrong: string[] = [];
    for (const { name, file: cut } of recording.cuts()) {
      const header = await CurrentHeader.read(cut);
      if (header.hasLog && !(await findLog(cut, header, 'test'))) wrong.push(`${name}: the header names an empty log`);
      const left = await openOn(vhdx, cut);
      const at = async (offset: number) => (await readAll(left, offset, 1))[0];
      const kept = [await at(0), await at(near - 1)].join(' ');
      const content = [await at(near), await at(far), await at(2 * MiB)].join(' ');
      const allowed = Number(/\d+/.exec(name)) > flushed ? ['2 3 0', '2 3 4'] : ['0 0 0', '2 3 0'];
      if (kept !== '1 0' || !allowed.includes(content)) wrong.push(`${name}: ${kept}, ${content}`);
      seen.add(content);
    }
    expect(wrong).toEqual([]);
    expect(seen.size).toBe(3);
  });

  it('is right or refused when structures are damaged, and damage is never written to', async () => {
    const good = await image(5 * MiB, { block_size: MiB });
    const node = await open(good);
    await node.write(0, new Uint8Array(512).fill(7));
    await node.close();
    const random = numbers(11);
    const places = [65536, 131072, 196608, MiB, BAT, METADATA, METADATA + 65536];
    const strange: unknown[] = [];
    for (let round = 0; round < 150; round++) {
      const memory = new MemoryDriver(good.size());
      for (const [at, length] of [
        [0, 327680],
        [MiB, 12288],
        [BAT, 4096],
        [METADATA, 69632],
      ] as const) {
        memory.write(at, bytesOf(good, at, length).bytes);
      }
      for (let i = 0; i < 1 + random() * 3; i++) {
        const place = places[Math.floor(random() * places.length)] as number;
        memory.write(place + Math.floor(random() * 200), new Uint8Array([Math.floor(random() * 256)]));
      }
      if (random() < 0.8) {
        for (const header of [65536, 131072]) patch(memory, header, 4096, () => undefined);
        patch(memory, 196608, 65536, () => undefined);
      }
      if (random() < 0.1) memory.truncate(Math.floor(random() * good.size()), 'off');
      try {
        const opened = await openOn(vhdx, storageOf(memory, true), { readOnly: true });
        for (let at = 0; at < opened.size() && at < 64 * MiB; at += 4 * MiB) await readAll(opened, at, 512);
        await opened.close();
      } catch (error) {
        if (!(error instanceof BlockError) || error.kind === 'internal') strange.push(error);
      }
    }
    expect(strange).toEqual([]);
  });

  it('leaves no failed read behind that nobody waits for, where a run ends with a page of the table', async () => {
    const memory = await image(16384 * MiB, { block_size: MiB });
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    const secondPage = BAT + 65536;
    const file = storageOf(memory, true);
    const read = file.readPadded.bind(file);
    file.readPadded = async (offset, into) => {
      await Promise.resolve();
      if (offset === secondPage) throw new BlockError('io', 'the disk is gone');
      await read(offset, into);
    };
    process.on('unhandledRejection', note);
    try {
      const node = await openOn(vhdx, file, { readOnly: true, intent: 'check' });
      // The entry of a sector bitmap is before that of block 4096: block 8191 is the first one of the second page.
      await node.status(0, MiB);
      expect(await node.status(8189 * MiB, 4 * MiB)).toMatchObject({ length: 2 * MiB });
      await new Promise((resolve) => setTimeout(resolve, 0));
      await expect(node.status(8191 * MiB, MiB)).rejects.toThrow('the disk is gone');
    } finally {
      process.off('unhandledRejection', note);
    }
    expect(unhandled).toEqual([]);
  });
});
