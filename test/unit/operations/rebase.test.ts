import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openImage } from '../../../src/block/graph/open.ts';
import { create } from '../../../src/operations/create.ts';
import type { OperationContext } from '../../../src/operations/context.ts';
import { rebase } from '../../../src/operations/rebase.ts';
import type { RebaseRequest } from '../../../src/operations/requests.ts';
import { MemoryFiles } from '../../../src/testing.ts';
import { type Area, contentOf, contextOf, damageOf, layerOf, make } from '../../support/chain.ts';

const MIB = 1 << 20;

function onto(
  context: OperationContext,
  filename: string,
  more: Partial<RebaseRequest> = {},
): ReturnType<typeof rebase> {
  return rebase(context, {
    image: { filename: 'top', format: 'qcow2' },
    backing: { filename, format: filename === '' ? undefined : 'qcow2' },
    ...more,
  });
}

async function expectContent(context: OperationContext, expected: Uint8Array): Promise<void> {
  expect(Buffer.compare(await contentOf(context, 'top'), expected)).toBe(0);
}

async function backingOf(context: OperationContext): Promise<string | undefined> {
  const node = await openImage(context, { filename: 'top', format: 'qcow2', noBacking: true });
  await node.close();
  return node.backingReference?.file;
}

/** The areas in bytes, cut at the end of the image. */
function inside(plan: { size: number; areas: readonly Area[] }): Area[] {
  return plan.areas
    .filter(([start]) => start * 1024 < plan.size)
    .map(([start, length, value]) => [start * 1024, Math.min(length * 700, plan.size - start * 1024), value]);
}

describe('rebase', () => {
  it('copies what differs, and nothing else', async () => {
    const context = contextOf(new MemoryFiles());
    await make(context, 'old', { size: MIB, areas: [[0, 524288, 1]] });
    await make(context, 'new', {
      size: MIB,
      areas: [
        [0, 262144, 1],
        [786432, 512, 9],
      ],
    });
    await make(context, 'top', { backing: ['old', 'qcow2'], areas: [[131072, 65536, 2]] });
    const before = await contentOf(context, 'top');
    await onto(context, 'new');
    await expectContent(context, before);
    expect(await backingOf(context)).toBe('new');
    expect(await layerOf(context, 'top')).toBe('..d.dddd....d...');
  });

  it('refuses images whose clusters the real program does not know, behind raw layers too', async () => {
    const context = contextOf(new MemoryFiles());
    await create(context, { filename: 'p', format: 'parallels', size: MIB });
    const file = { driver: 'file', filename: 'p' };
    const parallels = { driver: 'parallels', file };
    for (const options of [parallels, { driver: 'raw', file: parallels }, { driver: 'null-co', size: MIB }]) {
      await expect(onto(context, '', { image: { options } })).rejects.toThrow('could not get block driver info');
    }
    const plain = onto(context, '', { image: { options: { driver: 'raw', file } } });
    await expect(plain).rejects.toThrow("Could not change the backing file to '': Operation not supported");
  });

  it('reads no image that both chains have in common', async () => {
    const files = new MemoryFiles();
    const context = contextOf(files);
    await make(context, 'bottom', { size: MIB, areas: [[0, MIB, 1]] });
    await make(context, 'old', { backing: ['bottom', 'qcow2'], areas: [[65536, 65536, 2]] });
    await make(context, 'new', { backing: ['bottom', 'qcow2'], areas: [[131072, 65536, 3]] });
    await make(context, 'top', { backing: ['old', 'qcow2'] });
    const before = await contentOf(context, 'top');
    // Guest data of the two units that differ lies before this.
    files.inject('bottom', { operation: 'read', offset: 5 * 65536 + 196608 });
    await onto(context, 'new');
    files.heal('bottom');
    await expectContent(context, before);
    expect(await layerOf(context, 'top')).toBe('.dd.............');
    await onto(context, 'bottom');
    await expectContent(context, before);
    expect(await layerOf(context, 'top')).toBe('.dd.............');
  });

  it('makes an image stand alone, compressed on request', async () => {
    const context = contextOf(new MemoryFiles());
    await make(context, 'old', { size: MIB, areas: [[0, 524288, 1]] });
    await make(context, 'top', { backing: ['old', 'qcow2'] });
    const before = await contentOf(context, 'top');
    await onto(context, '', { compress: true });
    expect(await backingOf(context)).toBeUndefined();
    await expectContent(context, before);
    expect(await layerOf(context, 'top')).toBe('cccccccc........');
  });

  it('hides what a new backing image has where there was nothing', async () => {
    for (const options of [{}, { compat: '0.10' }, { extended_l2: 'on' }]) {
      const context = contextOf(new MemoryFiles());
      await make(context, 'new', { size: 2 * MIB, areas: [[0, 2 * MIB, 7]] });
      await make(context, 'top', { size: MIB, options });
      await onto(context, 'new');
      expect((await contentOf(context, 'top')).every((byte) => byte === 0)).toBe(true);
      expect(await layerOf(context, 'top')).toBe(('compat' in options ? 'd' : '0').repeat(16));
    }
  });

  it('completes units that the image has in part', async () => {
    const context = contextOf(new MemoryFiles());
    await make(context, 'old', { size: MIB, areas: [[0, MIB, 1]] });
    await make(context, 'new', { size: MIB, areas: [[0, MIB, 2]] });
    await make(context, 'top', {
      backing: ['old', 'qcow2'],
      options: { extended_l2: 'on' },
      areas: [[2048, 2048, 5]],
    });
    const before = await contentOf(context, 'top');
    await onto(context, 'new', { compress: true });
    await expectContent(context, before);
    expect(await damageOf(context, 'top')).toBe(0);
  });

  it('only changes the name when that is asked for', async () => {
    const context = contextOf(new MemoryFiles());
    await make(context, 'old', { size: MIB, areas: [[0, MIB, 1]] });
    await make(context, 'top', { backing: ['old', 'qcow2'] });
    await onto(context, 'nowhere', { unsafe: true });
    expect(await backingOf(context)).toBe('nowhere');
    await onto(context, '', { unsafe: true });
    expect((await contentOf(context, 'top'))[0]).toBe(0);
  });

  it('says what the real tool says, and leaves the image as it was', async () => {
    const files = new MemoryFiles();
    const context = contextOf(files);
    await make(context, 'old', { size: MIB, areas: [[0, MIB, 1]] });
    await make(context, 'new', { size: MIB });
    await make(context, 'top', { backing: ['old', 'qcow2'] });
    await make(context, 'raw', { format: 'raw', size: MIB });
    await make(context, 'qed', { format: 'qed', size: MIB });
    const image = files.bytes('top');
    const fails = (file: string, message: string, more: Partial<RebaseRequest> = {}): Promise<void> =>
      expect(onto(context, file, more)).rejects.toThrow(message);
    await fails('new', "Invalid format name: 'nonsense'", {
      backing: { filename: 'new', format: 'nonsense' },
    });
    await fails('none', "Could not open new backing file 'none': Could not open 'none': No such file or directory");
    await fails('new', "Could not open new backing file 'new': Image not in QED format", {
      backing: { filename: 'new', format: 'qed' },
    });
    await expect(rebase(context, { image: 'top', backing: { filename: 'new' } })).rejects.toThrow(
      "Could not change the backing file to 'new': backing format must be specified",
    );
    await fails('new', "Could not change the backing file to 'new': Operation not supported", {
      image: { filename: 'raw', format: 'raw' },
    });
    await fails('', 'Compression not supported for this file format', {
      image: { filename: 'qed', format: 'qed' },
      compress: true,
    });
    await fails('top', 'Could not open new backing file \'top\': Failed to get shared "write" lock');
    await fails('x'.repeat(1024), 'Invalid argument', { unsafe: true });
    files.inject('old', { operation: 'read', offset: 6 * 65536 });
    await fails('new', 'error while reading from old backing file');
    files.heal('old');
    files.inject('top', { operation: 'write' });
    await fails('new', 'Error while writing to COW image: Input/output error');
    files.heal('top');
    expect(Buffer.compare(files.bytes('top').subarray(0, image.length), image)).toBe(0);
  });

  it('keeps the content of any image', async () => {
    const areas = fc.array(
      fc.tuple(fc.nat(250), fc.integer({ min: 1, max: 60 }), fc.constantFrom<number | 'zero'>(0, 1, 2, 'zero')),
      { maxLength: 5 },
    );
    const image = fc.record({ size: fc.constantFrom(65536, 100352, 262144), areas });
    const options = fc.constantFrom<Record<string, string>>(
      { cluster_size: '512' },
      { cluster_size: '4096' },
      { cluster_size: '16384', extended_l2: 'on' },
      { cluster_size: '4096', compat: '0.10' },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.option(image),
        fc.option(image),
        image,
        options,
        fc.boolean(),
        async (old, fresh, top, how, compress) => {
          const context = contextOf(new MemoryFiles());
          const small = { cluster_size: '4096' };
          if (old) await make(context, 'old', { size: old.size, areas: inside(old), options: small });
          if (fresh) await make(context, 'new', { size: fresh.size, areas: inside(fresh), options: small });
          await make(context, 'top', {
            size: top.size,
            areas: inside(top),
            options: how,
            ...(old ? { backing: ['old', 'qcow2'] as const } : {}),
          });
          const before = await contentOf(context, 'top');
          await onto(context, fresh ? 'new' : '', { compress });
          await expectContent(context, before);
          expect(await damageOf(context, 'top')).toBe(0);
        },
      ),
      { numRuns: 30 },
    );
  });
});
