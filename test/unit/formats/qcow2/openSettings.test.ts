import { describe, expect, it } from 'vitest';
import { behaviourOf } from '../../../../src/formats/qcow2/openSettings.ts';
import type { OpenOptions } from '../../../../src/formats/qcow2/options.ts';
import type { Header } from '../../../../src/formats/qcow2/structure/header.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import { createOn, driverOf, openOn, services } from './support.ts';

const CLUSTER = 512;
const clock = { ...services, now: () => ({ seconds: 1700000000, nanoseconds: 5 }) };

describe('the caches of a qcow2 image', () => {
  const MIB = 1048576;
  const header = { clusterBits: 16, version: 3 } as Header;
  it.each<[OpenOptions, number, number]>([
    [{}, 32 * MIB, 8 * MIB],
    [{ 'l2-cache-size': MIB }, MIB, 8 * MIB],
    [{ 'refcount-cache-size': MIB }, 32 * MIB, MIB],
    [{ 'l2-cache-size': 0, 'refcount-cache-size': 1 }, MIB / 4, MIB / 4],
    [{ 'cache-size': 3 * MIB }, 3 * MIB - MIB / 4, MIB / 4],
    [{ 'cache-size': 3 * MIB, 'l2-cache-size': MIB }, MIB, 2 * MIB],
    [{ 'cache-size': 3 * MIB, 'refcount-cache-size': 2 * MIB }, MIB, 2 * MIB],
    [{ 'cache-size': 2 ** 46 }, 256 * MIB, MIB / 4],
  ])('take what %j says', (options, l2Budget, refcountBudget) => {
    expect(behaviourOf(options, header)).toMatchObject({ l2Budget, refcountBudget });
  });

  it('hold the image together however small they are', async () => {
    const file = memoryStorage();
    await createOn(file, { cluster_size: CLUSTER, size: 1048576 });
    const node = await openOn(file, { options: { 'cache-size': 0 } });
    for (let at = 0; at < 1048576; at += 40000) await node.write(at, new Uint8Array(3000).fill(at / 40000 + 1));
    await node.close();
    const again = await openOn(file, { options: { 'l2-cache-size': 0 }, intent: 'check', readOnly: true });
    expect(await again.check('none', () => undefined)).toMatchObject({ corruptions: 0, leaks: 0 });
    const bytes = new Uint8Array(1);
    for (let at = 0; at < 1048576; at += 40000) {
      await again.read(at + 2999, bytes);
      expect(bytes[0]).toBe(at / 40000 + 1);
    }
  });
});

/** An image with everything that can be written over, and where each of it is. */
async function fullImage(): Promise<{ file: Storage; places: Record<string, number>; refblock: number }> {
  const file = memoryStorage();
  await createOn(file, { cluster_size: CLUSTER, size: 65536 });
  const node = await openOn(file, { services: clock });
  await node.write(0, new Uint8Array(CLUSTER).fill(1));
  await driverOf(node).snapshots?.create('s');
  await node.write(0, new Uint8Array(CLUSTER).fill(2));
  await driverOf(node).bitmaps?.add('b', 65536, true);
  const { state } = driverOf(node);
  await node.close();
  const { header } = state;
  const at = async (offset: number): Promise<number> => {
    const bytes = new Uint8Array(8);
    await file.read(offset, bytes);
    return Number(new DataView(bytes.buffer).getBigUint64(0) & 0x00fffffffffffe00n);
  };
  const inactive = await at(header.snapshotsOffset);
  const refblock = await at(header.reftableOffset);
  const places = {
    'active-l1': header.l1Offset,
    'active-l2': await at(header.l1Offset),
    'refcount-table': header.reftableOffset,
    'refcount-block': refblock,
    'snapshot-table': header.snapshotsOffset,
    'inactive-l1': inactive,
    'inactive-l2': await at(inactive),
    'bitmap-directory': header.bitmaps?.offset ?? 0,
  };
  return { file, places, refblock };
}

const NAMES: Record<string, string> = {
  'active-l1': 'active L1 table',
  'active-l2': 'active L2 table',
  'refcount-table': 'refcount table',
  'refcount-block': 'refcount block',
  'snapshot-table': 'snapshot table',
  'inactive-l1': 'inactive L1 table',
  'inactive-l2': 'inactive L2 table',
  'bitmap-directory': 'bitmap directory',
};
const CONSTANT = ['active-l1', 'refcount-table', 'snapshot-table', 'bitmap-directory'];
const CACHED = [...CONSTANT, 'active-l2', 'refcount-block', 'inactive-l1'];

describe('overlap-check', () => {
  /** What damaged refcounts, which call the place of some metadata free, make a write say. */
  async function overlap(kind: string, options: OpenOptions): Promise<string | undefined> {
    const { file, places, refblock } = await fullImage();
    await file.write(refblock + ((places[kind] ?? 0) / CLUSTER) * 2, new Uint8Array(2));
    const warnings: string[] = [];
    const node = await openOn(file, { options, warnings });
    try {
      await node.write(4096, new Uint8Array(CLUSTER).fill(3));
      await node.close();
    } catch {
      // The line says why.
    }
    return /overlaps with (.*?)\)/.exec(warnings.join('\n'))?.[1];
  }

  it.each<[OpenOptions, readonly string[]]>([
    [{ 'overlap-check': 'none' }, []],
    [{ 'overlap-check': 'constant' }, CONSTANT],
    [{}, CACHED],
    [{ 'overlap-check.template': 'cached' }, CACHED],
    [{ 'overlap-check': 'all' }, [...CACHED, 'inactive-l2']],
    [{ 'overlap-check.template': 'none', 'overlap-check.active-l2': true }, ['active-l2']],
    [{ 'overlap-check.inactive-l1': false }, CACHED.filter((kind) => kind !== 'inactive-l1')],
  ])('%j keeps writes off what it says', async (options, kinds) => {
    const found: Record<string, string | undefined> = {};
    const wanted: Record<string, string | undefined> = {};
    for (const kind of Object.keys(NAMES)) {
      found[kind] = await overlap(kind, options);
      wanted[kind] = kinds.includes(kind) ? NAMES[kind] : undefined;
    }
    expect(found).toEqual(wanted);
  });

  it('keeps writes off the header, whatever it says', async () => {
    const { file, refblock } = await fullImage();
    await file.write(refblock, new Uint8Array(2));
    const node = await openOn(file, { options: { 'overlap-check': 'none' } });
    await expect(node.write(4096, new Uint8Array(CLUSTER).fill(3))).rejects.toThrow('Input/output error');
    const head = new Uint8Array(4);
    await file.read(0, head);
    expect([...head]).toEqual([0x51, 0x46, 0x49, 0xfb]);
  });

  it('does not take two different words', () => {
    expect(() =>
      behaviourOf({ 'overlap-check': 'all', 'overlap-check.template': 'none' }, {
        clusterBits: 16,
        version: 3,
      } as Header),
    ).toThrow("Conflicting values for qcow2 options 'overlap-check' ('all') and 'overlap-check.template' ('none')");
  });
});
