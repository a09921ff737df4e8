import { describe, expect, it } from 'vitest';
import { FileEnd } from '../../../../src/block/kit/fileEnd.ts';
import { PagedTable } from '../../../../src/block/kit/pagedTable.ts';
import { TwoLevels } from '../../../../src/block/kit/twoLevels.ts';
import { Place, runOf, Units, wholeUnits } from '../../../../src/block/kit/units.ts';
import { UnitSet } from '../../../../src/block/kit/unitSet.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';

describe('runs', () => {
  it('go on as long as places follow each other, or there is none for the same reason', () => {
    const places = [4096, 8192, 12288, 4096, Place.zero, Place.zero, Place.unallocated];
    const at = (start: number): [number, number] => {
      const run = runOf(places.length - start, 4096, (i) => places[start + i] as number);
      return [run.place, run.count];
    };
    expect([at(0), at(3), at(4), at(6)]).toEqual([
      [4096, 3],
      [4096, 1],
      [Place.zero, 2],
      [Place.unallocated, 1],
    ]);
  });
});

describe('Units', () => {
  const file = memoryStorage(8192);
  const units = new Units(file, 4096);

  it('map the part of a run that was asked for', () => {
    const run = { place: 4096, count: 2 };
    expect(units.mapping(run, 12288 + 100, 20000)).toEqual({ kind: 'data', length: 8092, storage: file, offset: 4196 });
    expect(units.mapping({ place: Place.zero, count: 1 }, 50, 10)).toEqual({ kind: 'zero', length: 10 });
    expect(units.mapping({ place: Place.unallocated, count: 1 }, 50, 9000).length).toBe(4046);
    expect([units.count(4095, 1), units.count(4095, 2), units.count(0, 8192)]).toEqual([1, 2, 2]);
  });

  it('take whole units at the end, link them, and give back what is still last', async () => {
    const end = new FileEnd(file, 4096);
    const links: number[] = [];
    const first = units.append(end, 1, 4096 + 7, (place) => void links.push(place));
    const second = units.append(end, 2, 0, (place) => void links.push(place));
    expect([first.start, first.offset, first.length, first.zeroed]).toEqual([4096, 4096, 4096, false]);
    expect([second.start, second.offset, second.length, second.zeroed]).toEqual([0, 8192, 8192, true]);
    await first.abort();
    expect(end.offset).toBe(16384);
    await second.abort();
    expect(end.offset).toBe(8192);
    await second.commit();
    expect(links).toEqual([8192]);
  });

  it('fill up what is no whole unit', () => {
    const whole = new Uint8Array(8);
    expect(wholeUnits(whole, 4)).toBe(whole);
    expect([...wholeUnits(Uint8Array.of(1, 2, 3), 2)]).toEqual([1, 2, 3, 0]);
  });
});

describe('FileEnd', () => {
  it('lets nothing be taken that the format cannot have, and completes the file', async () => {
    const file = memoryStorage(100);
    const end = new FileEnd(file, 100, (_, stop) => {
      if (stop > 1024) throw new Error('full');
    });
    expect(end.reserve(10, 64)).toBe(128);
    expect(() => end.reserve(1024)).toThrow('full');
    expect([end.offset, end.grown, file.size()]).toEqual([138, true, 100]);
    await end.complete();
    expect(file.size()).toBe(138);
  });
});

describe('PagedTable', () => {
  it('reads and writes no byte behind the table', async () => {
    const file = memoryStorage(new Uint8Array(2048).fill(0xee));
    const table = new PagedTable({ file, offset: 100, entries: 130, entryBytes: 4, budget: 65536 });
    expect([table.pageSize, table.stored, table.rest(129)]).toEqual([1024, 130, 127]);
    expect((await table.page(129)).view.getUint32(520)).toBe(0);
    await table.set(128, 2, file, (page, at, i) => page.setUint32(at, i + 1));
    await table.pages.flush();
    const bytes = new Uint8Array(2048);
    await file.read(0, bytes);
    expect([...bytes.subarray(610, 622)]).toEqual([0xee, 0xee, 0, 0, 0, 1, 0, 0, 0, 2, 0xee, 0xee]);
  });

  it('has what the file lacks as zeroes', async () => {
    const table = new PagedTable({ file: memoryStorage(110), offset: 100, entries: 8, entryBytes: 4, budget: 65536 });
    expect(table.stored).toBe(3);
    const run = await table.run(0, 8, 1, (page, at) => page.getUint32(at) || Place.zero);
    expect([run.place, run.count]).toEqual([Place.zero, 8]);
  });
});

describe('TwoLevels', () => {
  it('finds units through their table, and passes over tables that are not there', async () => {
    const file = memoryStorage(4096);
    const units = new Units(file, 512);
    const placeAt = (page: DataView, at: number): number => page.getUint32(at + 4) || Place.unallocated;
    const tableAt = (page: DataView, at: number): number => page.getUint32(at + 4);
    const tables = new TwoLevels({ file, units, l1Offset: 0, l1Entries: 4, l2Entries: 64, tableAt });
    const put = (place: number) => (page: DataView, at: number, i: number) => page.setUint32(at + 4, place + i * 512);
    await tables.l1.set(2, 1, file, put(1024));
    await tables.l2.set(1, 2, file, put(2048), 1024);
    const { coverage } = tables;
    const run = async (offset: number, length: number): Promise<[number, number]> => {
      const { place, count } = await tables.run(offset, length, placeAt, () => {});
      return [place, count];
    };
    expect(await run(10, 4 * coverage)).toEqual([Place.unallocated, 128]);
    expect(await run(2 * coverage, coverage)).toEqual([Place.unallocated, 1]);
    expect(await run(2 * coverage + 600, coverage)).toEqual([2048, 2]);
    expect(await run(2 * coverage + 600, 100)).toEqual([2048, 1]);
    expect(tables.lengthIn(coverage - 10, 100)).toBe(10);
  });
});

describe('UnitSet', () => {
  it('counts its members', () => {
    const set = new UnitSet();
    expect([set.add(5), set.add(5), set.add(123456)]).toEqual([true, false, true]);
    set.delete(5);
    set.delete(5);
    expect([set.size, set.has(5), set.has(123456), set.firstGap(3)]).toEqual([1, false, true, { start: 0, count: 3 }]);
  });
});
