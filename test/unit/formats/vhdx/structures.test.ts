import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import { CurrentHeader, encodeHeader, type Header, parseHeader } from '../../../../src/formats/vhdx/header.ts';
import { chunkRatio, Guid, guidBytes, guidText, tableEntries } from '../../../../src/formats/vhdx/layout.ts';
import {
  encodeEntry,
  entryCapacity,
  entryChanges,
  entryIsIntact,
  parseEntryHeader,
} from '../../../../src/formats/vhdx/logEntry.ts';
import { encodeRegions, RegionMap, readRegions } from '../../../../src/formats/vhdx/regions.ts';

const logGuid = guidBytes('00112233445566778899aabbccddeeff');

function header(changes: Partial<Header> = {}): Header {
  const guid = new Uint8Array(16);
  const zero = { fileWriteGuid: guid, dataWriteGuid: guid, logGuid: guid };
  return { sequence: 1n, ...zero, logVersion: 0, logLength: 1048576, logOffset: 1048576, ...changes };
}

async function current(first: Uint8Array, second: Uint8Array): Promise<bigint> {
  const file = memoryStorage(262144);
  await file.write(65536, first);
  await file.write(131072, second);
  return (await CurrentHeader.read(file)).value.sequence;
}

describe('VHDX headers', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        (n, id) => {
          const written = header({ sequence: n, fileWriteGuid: id, dataWriteGuid: id, logGuid: id });
          expect(parseHeader(encodeHeader(written))).toEqual(written);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('count if they are valid and newer', async () => {
    const [one, two] = [encodeHeader(header()), encodeHeader(header({ sequence: 2n }))];
    const broken = two.slice();
    broken[100] = 1;
    expect(await current(one, two)).toBe(2n);
    expect(await current(two, one)).toBe(2n);
    expect(await current(one, broken)).toBe(1n);
    expect(await current(broken, one)).toBe(1n);
    expect(await current(one, one)).toBe(1n);
    const twin = encodeHeader(header({ logLength: 2097152 }));
    await expect(current(one, twin)).rejects.toThrow('No valid VHDX header found');
    await expect(current(broken, broken)).rejects.toThrow('No valid VHDX header found');
  });

  it('replace the older one', async () => {
    const file = memoryStorage(262144);
    await file.write(65536, encodeHeader(header({ sequence: 5n })));
    await file.write(131072, encodeHeader(header({ sequence: 4n })));
    const state = await CurrentHeader.read(file);
    await state.update({ logGuid });
    expect(state.hasLog).toBe(true);
    const bytes = new Uint8Array(4096);
    await file.read(131072, bytes);
    expect(parseHeader(bytes)).toMatchObject({ sequence: 6n, logGuid });
    await state.update({ logGuid: guidBytes(Guid.zero) });
    await file.read(65536, bytes);
    expect(parseHeader(bytes)).toMatchObject({ sequence: 7n });
  });
});

describe('VHDX log entries', () => {
  it('carry sectors unchanged', () => {
    const sector = fc.record({
      offset: fc.integer({ min: 0, max: 1e6 }).map((n) => n * 4096),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }).map((some) => {
        const bytes = new Uint8Array(4096);
        for (let at = 0; at < 4096; at += some.length) bytes.set(some.subarray(0, 4096 - at), at);
        return bytes;
      }),
    });
    const sectors = fc.array(sector, { minLength: 1, maxLength: 140 });
    fc.assert(
      fc.property(sectors, fc.bigInt({ min: 1n, max: 2n ** 63n }), (list, sequence) => {
        const bytes = encodeEntry({ logGuid, sequence, fileSize: 8388608 }, list);
        const parsed = parseEntryHeader(bytes, guidText(logGuid), 1048576);
        expect(parsed).toMatchObject({ length: bytes.length, sequence, descriptors: list.length });
        if (!parsed) return;
        expect(entryIsIntact(bytes)).toBe(true);
        const changes = entryChanges(bytes, parsed)?.map((change) => ({ ...change, kind: undefined }));
        expect(changes).toEqual(list.map((one) => ({ ...one, kind: undefined })));
        bytes[bytes.length - 9] = (bytes[bytes.length - 9] as number) ^ 1;
        expect(entryIsIntact(bytes)).toBe(false);
      }),
      { numRuns: 6 },
    );
  });

  it('fit into their log', () => {
    expect([0, 4096, 8192, 1048576].map((length) => entryCapacity(length, 1024))).toEqual([0, 0, 1, 254]);
    expect(entryCapacity(67108864, 1024)).toBe(1024);
  });

  it('are not believed when counts do not fit', () => {
    const bytes = encodeEntry({ logGuid, sequence: 1n, fileSize: 1 }, [{ offset: 0, bytes: new Uint8Array(4096) }]);
    const count = bytes.slice();
    new DataView(count.buffer).setUint32(24, 0x08000000, true);
    expect(parseEntryHeader(count, guidText(logGuid), 1048576)).toBeUndefined();
    expect(parseEntryHeader(bytes, guidText(logGuid), 4096)).toBeUndefined();
    expect(parseEntryHeader(bytes, Guid.zero, 1048576)).toBeUndefined();
  });
});

describe('VHDX regions', () => {
  it('are found again, and do not overlap', async () => {
    const regions = {
      bat: { offset: 2097152, length: 1048576 },
      metadata: { offset: 3145728, length: 1048576 },
    };
    const file = memoryStorage(1048576);
    await file.write(196608, encodeRegions(regions));
    const lines: string[] = [];
    const reader = { file, filename: 'f', complain: (text: string) => void lines.push(text) };
    expect(await readRegions(reader, new RegionMap())).toEqual(regions);
    const taken = new RegionMap();
    taken.add({ offset: 1048576, length: 1048577 });
    await expect(readRegions(reader, taken)).rejects.toThrow("Could not open 'f': Invalid argument");
    expect(lines).toEqual(['VHDX region 2097152-3145728 overlaps with region 1048576-2097153']);
  });

  it('leave room for sector bitmaps', () => {
    expect(chunkRatio(8388608, 512)).toBe(512);
    expect(chunkRatio(1048576, 4096)).toBe(32768);
    expect([1, 512, 513, 1025].map((blocks) => tableEntries(blocks, 512))).toEqual([1, 512, 514, 1027]);
  });
});
