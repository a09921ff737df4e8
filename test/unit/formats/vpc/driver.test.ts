import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../../src/base/error.ts';
import { bigEndian } from '../../../../src/base/bytes.ts';
import { checksum } from '../../../../src/formats/vpc/header.ts';
import { vpc } from '../../../../src/formats/vpc/driver.ts';
import { probe } from '../../../../src/formats/vpc/probe.ts';
import type { AnyOptionValues } from '../../../../src/options/table.ts';
import { MemoryDriver } from '../../../../src/storage/memory.ts';
import { createOn, numbers, openOn, readAll, Recording, storageOf } from '../../../support/vpcVhdx.ts';

const MiB = 1048576;

async function image(size: number, options: AnyOptionValues = {}): Promise<MemoryDriver> {
  const memory = new MemoryDriver();
  await createOn(vpc, storageOf(memory), { size, ...options });
  return memory;
}

/** Changes the copy of the footer at the start and makes its checksum right again. */
function patchFooter(memory: MemoryDriver, change: (fields: ReturnType<typeof bigEndian>) => void): void {
  const bytes = new Uint8Array(512);
  memory.read(0, bytes);
  const fields = bigEndian(bytes);
  change(fields);
  fields.setU32(64, checksum(bytes, 64));
  memory.write(0, bytes);
}

function patch(memory: MemoryDriver, offset: number, value: number): void {
  const fields = bigEndian(new Uint8Array(4));
  fields.setU32(0, value);
  memory.write(offset, fields.bytes);
}

describe('new VHD images', () => {
  it('are found by their footer at the start, if they are dynamic', async () => {
    expect(probe((await image(MiB)).toBytes())).toBe(100);
    expect(probe((await image(MiB, { subformat: 'fixed' })).toBytes())).toBe(0);
    expect(probe(new Uint8Array(3))).toBe(0);
  });

  it('end with a footer', async () => {
    const dynamic = (await image(10 * MiB)).toBytes();
    expect(dynamic.length).toBe(2560);
    expect(dynamic.subarray(2048)).toEqual(dynamic.subarray(0, 512));
    const fixed = await image(10 * MiB, { subformat: 'fixed', force_size: true });
    expect(fixed.size()).toBe(10 * MiB + 512);
    const node = await openOn(vpc, storageOf(fixed));
    expect(node.size()).toBe(10 * MiB);
  });

  it.each([
    [{ subformat: 'sparse' }, "Parameter 'subformat' does not accept value 'sparse'"],
    [{ size: 2041 * 1024 * MiB }, 'File too large'],
  ])('are refused with %j', async (options, message) => {
    await expect(image(MiB, options)).rejects.toThrow(message);
  });
});

describe('opening VHD images', () => {
  it('takes the size from the geometry or the size field, as the creator or an option says', async () => {
    const memory = await image(10 * MiB);
    patchFooter(memory, (fields) => fields.setU64(48, 10 * MiB));
    const size = async (options: AnyOptionValues = {}) => (await openOn(vpc, storageOf(memory), { options })).size();
    expect([await size(), await size({ force_size_calc: 'current_size' })]).toEqual([10514432, 10 * MiB]);
    patchFooter(memory, (fields) => fields.set(28, new TextEncoder().encode('win ')));
    expect([await size(), await size({ force_size_calc: 'chs' })]).toEqual([10 * MiB, 10514432]);
    await expect(size({ force_size_calc: 'x' })).rejects.toThrow("Invalid size calculation mode: 'x'");
  });

  it.each<[string, (memory: MemoryDriver) => void, string]>([
    ['a table too short', (memory) => patch(memory, 512 + 28, 5), 'Page table too small'],
    ['an endless table', (memory) => patch(memory, 512 + 28, 0xffffffff), 'Max Table Entries too large (-1)'],
    ['an odd block size', (memory) => patch(memory, 512 + 32, 3 * MiB), 'Invalid block size 3145728'],
    ['blocks of nothing', (memory) => patch(memory, 512 + 32, 0), 'Invalid block size 0'],
    ['a block beyond the end', (memory) => patch(memory, 1536, 100), 'points after the end of file'],
    ['no header', (memory) => memory.write(512, new Uint8Array(8)), 'Invalid header magic'],
    [
      'a header nowhere',
      (memory) => patchFooter(memory, (fields) => fields.setBig64(16, 2n ** 63n)),
      'Error reading dynamic VHD header',
    ],
    ['no bytes', (memory) => memory.truncate(0, 'off'), 'File too small for a VHD header'],
    ['a parent', (memory) => patchFooter(memory, (fields) => fields.setU32(60, 4)), 'Differencing VHD images'],
    [
      'a disk too large',
      (memory) =>
        patchFooter(memory, (fields) => {
          fields.set(28, new TextEncoder().encode('win '));
          fields.setU64(48, 2 ** 62);
        }),
      "Could not open 'test': File too large",
    ],
  ])('refuses %s', async (_what, damage, message) => {
    const memory = await image(10 * MiB);
    damage(memory);
    await expect(openOn(vpc, storageOf(memory, true), { readOnly: true })).rejects.toThrow(message);
  });

  it('describes differencing images without opening their data', async () => {
    const memory = await image(10 * MiB);
    patchFooter(memory, (fields) => fields.setU32(60, 4));
    const node = await openOn(vpc, storageOf(memory), { intent: 'info' });
    expect(await node.info()).toEqual({ clusterSize: 2 * MiB, dirty: false });
  });

  it('does not write to a fixed image whose footer is in the way', async () => {
    const memory = await image(MiB, { subformat: 'fixed', force_size: true });
    const bytes = memory.toBytes().subarray(4096);
    await expect(openOn(vpc, storageOf(new MemoryDriver(bytes)))).rejects.toThrow('overwrite its footer');
    expect((await openOn(vpc, storageOf(new MemoryDriver(bytes)), { readOnly: true })).size()).toBe(MiB);
  });
});

describe('content of VHD images', () => {
  it('is that of a plain array, whatever is done', async () => {
    const size = 5 * MiB;
    const operation = fc.record({
      kind: fc.constantFrom('write', 'zero', 'reopen'),
      offset: fc.integer({ min: 0, max: size - 1 }),
      length: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 3 * MiB })),
      byte: fc.integer({ min: 1, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('dynamic', 'fixed'),
        fc.array(operation, { maxLength: 6 }),
        async (subformat, operations) => {
          const file = storageOf(await image(size, { subformat, force_size: true }));
          const model = new Uint8Array(size);
          let node = await openOn(vpc, file);
          for (const { kind, offset, length: wanted, byte } of operations) {
            const length = Math.min(wanted, size - offset);
            if (kind === 'reopen') {
              await node.close();
              node = await openOn(vpc, file);
            } else if (kind === 'write') {
              await node.write(offset, new Uint8Array(length).fill(byte));
              model.fill(byte, offset, offset + length);
            } else {
              await node.writeZeroes(offset, length);
              model.fill(0, offset, offset + length);
            }
          }
          await node.close();
          const again = await openOn(vpc, file, { readOnly: true });
          expect(Buffer.compare(await readAll(again), model)).toBe(0);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('allocates nothing for zeroes, and moves the footer when it grows', async () => {
    const memory = await image(6 * MiB, { force_size: true });
    const node = await openOn(vpc, storageOf(memory));
    await node.writeZeroes(0, 6 * MiB);
    expect(memory.size()).toBe(2560);
    await node.write(3 * MiB, new Uint8Array(1024).fill(1));
    await node.close();
    expect(memory.size()).toBe(2048 + 512 + 2 * MiB + 512);
    const bytes = memory.toBytes();
    expect(bytes.subarray(bytes.length - 512)).toEqual(bytes.subarray(0, 512));
    expect(bytes.subarray(2048, 2560).every((byte) => byte === 0xff)).toBe(true);
    expect([...bytes.subarray(1536, 1548)]).toEqual([255, 255, 255, 255, 0, 0, 0, 4, 255, 255, 255, 255]);
  });

  it('survives a power cut at any moment', async () => {
    const file = await image(5 * MiB, { force_size: true });
    const before = await openOn(vpc, storageOf(file));
    await before.write(0, new Uint8Array(512).fill(1));
    await before.close();
    const recording = new Recording(file.toBytes());
    const node = await openOn(vpc, storageOf(recording));
    await node.write(2 * MiB + 512, new Uint8Array(512).fill(2));
    await node.flush();
    await node.write(4 * MiB, new Uint8Array(512).fill(3));
    await node.close();
    const seen = new Set<string>();
    const wrong: string[] = [];
    for (const { name, file: cut } of recording.cuts()) {
      const left = await openOn(vpc, cut);
      const at = async (offset: number) => (await readAll(left, offset, 1))[0];
      const content = [await at(0), await at(2 * MiB), await at(2 * MiB + 512), await at(4 * MiB)].join(' ');
      if (!['1 0 0 0', '1 0 2 0', '1 0 2 3'].includes(content)) wrong.push(`${name}: ${content}`);
      seen.add(content);
    }
    expect(wrong).toEqual([]);
    expect([...seen]).toContain('1 0 2 3');
  });

  it('is right or refused when structures are damaged, and damage is never written to', async () => {
    const good = await image(5 * MiB, { force_size: true });
    const node = await openOn(vpc, storageOf(good));
    await node.write(0, new Uint8Array(512).fill(7));
    await node.close();
    const bases = [good.toBytes(), (await image(5 * MiB)).toBytes()] as const;
    const random = numbers(7);
    const strange: unknown[] = [];
    for (let round = 0; round < 300; round++) {
      const bytes = bases[round % 8 === 0 ? 0 : 1];
      const damaged = bytes.slice(0, random() < 0.2 ? Math.floor(random() * bytes.length) : bytes.length);
      for (let i = 0; i < 1 + random() * 4; i++) damaged[Math.floor(random() * 2048)] = Math.floor(random() * 256);
      const memory = new MemoryDriver(damaged);
      if (random() < 0.7 && damaged.length > 512) patchFooter(memory, () => undefined);
      try {
        const opened = await openOn(vpc, storageOf(memory, true), { readOnly: true });
        const size = opened.size();
        for (let at = 0; at < size && at < 64 * MiB; at += 8 * MiB) await readAll(opened, at, Math.min(512, size - at));
        await opened.close();
      } catch (error) {
        if (!(error instanceof BlockError) || error.kind === 'internal') strange.push(error);
      }
    }
    expect(strange).toEqual([]);
  });
});

describe('a dynamic VHD image with one footer', () => {
  async function written(): Promise<MemoryDriver> {
    const memory = await image(4 * MiB, { force_size: true });
    const node = await openOn(vpc, storageOf(memory));
    await node.write(MiB, new Uint8Array(512).fill(7));
    await node.close();
    return memory;
  }

  it.each<[string, (memory: MemoryDriver) => void]>([
    ['zeroes', (memory) => memory.write(0, new Uint8Array(512))],
    ['something else', (memory) => memory.write(0, new Uint8Array(512).fill(0x55))],
    ['one wrong bit', (memory) => memory.write(80, Uint8Array.of(0xff))],
  ])('at its end is read, with a warning: %s at its start', async (_, damage) => {
    const memory = await written();
    damage(memory);
    const lines: string[] = [];
    const node = await openOn(vpc, storageOf(memory, true), { readOnly: true, lines });
    const bytes = await readAll(node);
    expect([bytes.length, bytes[MiB], bytes[MiB + 511], bytes[MiB + 512]]).toEqual([4 * MiB, 7, 7, 0]);
    expect(lines).toEqual(["The first sector of 'test' is damaged; the footer at its end is used"]);
    const found = await node.check('none', () => {}, true);
    expect(found?.corruptions).toBeGreaterThan(0);
    // It can be written, and ends with a footer then too.
    const writing = await openOn(vpc, storageOf(memory));
    await writing.write(3 * MiB, new Uint8Array(512).fill(8));
    await writing.close();
    const again = await readAll(await openOn(vpc, storageOf(memory, true), { readOnly: true }));
    expect([again[MiB], again[3 * MiB]]).toEqual([7, 8]);
  });

  it.each<[string, (memory: MemoryDriver) => void]>([
    ['cut off', (memory) => memory.truncate(memory.size() - 512, 'off')],
    ['zeroed', (memory) => memory.write(memory.size() - 512, new Uint8Array(512))],
    ['with one wrong bit', (memory) => memory.write(memory.size() - 400, Uint8Array.of(0xff))],
  ])('at its start is read, with a warning: the other is %s', async (_, damage) => {
    const memory = await written();
    damage(memory);
    const lines: string[] = [];
    const node = await openOn(vpc, storageOf(memory, true), { readOnly: true, lines });
    expect((await readAll(node))[MiB]).toBe(7);
    expect(lines).toEqual(["'test' has no intact footer at its end; the copy at its start is used"]);
  });

  it('less is refused as before', async () => {
    for (const [at, message] of [
      [0, 'invalid VPC image'],
      [80, 'Incorrect header checksum'],
    ] as const) {
      const memory = await written();
      memory.write(at, Uint8Array.of(0xff));
      memory.write(memory.size() - 400, Uint8Array.of(0xff));
      await expect(openOn(vpc, storageOf(memory, true), { readOnly: true })).rejects.toThrow(message);
    }
    const sound = await written();
    const lines: string[] = [];
    await openOn(vpc, storageOf(sound, true), { readOnly: true, lines });
    expect(lines).toEqual([]);
  });
});
