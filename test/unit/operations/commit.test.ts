import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commit } from '../../../src/operations/commit.ts';
import type { OperationContext } from '../../../src/operations/context.ts';
import type { CommitRequest } from '../../../src/operations/requests.ts';
import { MemoryFiles } from '../../../src/testing.ts';
import { type Area, contentOf, contextOf, damageOf, layerOf, make } from '../../support/chain.ts';

const MIB = 1 << 20;

function down(context: OperationContext, more: Partial<CommitRequest> = {}): ReturnType<typeof commit> {
  return commit(context, { image: { filename: 'top', format: 'qcow2' }, ...more });
}

/** Comparing large arrays with `toEqual` takes too long. */
async function expectContent(
  context: OperationContext,
  filename: string,
  expected: Uint8Array,
  format?: string,
): Promise<void> {
  expect(Buffer.compare(await contentOf(context, filename, format), expected)).toBe(0);
}

describe('commit', () => {
  it('moves content into the base and empties the overlay', async () => {
    const context = contextOf(new MemoryFiles());
    await make(context, 'base', { size: MIB, areas: [[0, 524288, 1]] });
    await make(context, 'top', {
      backing: ['base', 'qcow2'],
      areas: [
        [262144, 131072, 2],
        [0, 65536, 'zero'],
      ],
    });
    const before = await contentOf(context, 'top');
    await expect(down(context)).resolves.toEqual({ size: MIB, grown: false, emptied: true });
    await expectContent(context, 'base', before);
    await expectContent(context, 'top', before);
    expect(await layerOf(context, 'top')).toBe('.'.repeat(16));
    expect(await layerOf(context, 'base')).toBe('0ddddddd........');
  });

  it('leaves the overlay as it is on request, and where the format cannot be emptied', async () => {
    const context = contextOf(new MemoryFiles());
    await make(context, 'base', { format: 'raw', size: MIB });
    await make(context, 'top', { backing: ['base', 'raw'], areas: [[65536, 65536, 5]] });
    await expect(down(context, { drop: true })).resolves.toMatchObject({ emptied: false });
    expect(await layerOf(context, 'top')).toBe('.d..............');
    await make(context, 'qed', { format: 'qed', backing: ['base', 'raw'], areas: [[0, 65536, 6]] });
    await expect(down(context, { image: { filename: 'qed', format: 'qed' } })).resolves.toMatchObject({
      emptied: false,
    });
    const expected = Buffer.alloc(MIB);
    expected.fill(6, 0, 65536).fill(5, 65536, 131072);
    await expectContent(context, 'base', expected, 'raw');
  });

  it('goes through several layers, and hides what a short layer between them hides', async () => {
    const context = contextOf(new MemoryFiles());
    await make(context, 'a', { size: MIB, areas: [[0, MIB, 9]] });
    await make(context, 'b', { size: 524288, backing: ['a', 'qcow2'], areas: [[65536, 65536, 2]] });
    await make(context, 'top', { size: MIB, backing: ['b', 'qcow2'], areas: [[131072, 65536, 3]] });
    const before = await contentOf(context, 'top');
    expect(before[600000]).toBe(0);
    await down(context, { base: 'a', drop: true });
    await expectContent(context, 'a', before);
    await expectContent(context, 'top', before);
  });

  it('grows the base, and says so', async () => {
    const context = contextOf(new MemoryFiles());
    await make(context, 'bottom', { size: 2 * MIB, areas: [[0, 2 * MIB, 9]] });
    await make(context, 'base', { size: MIB, backing: ['bottom', 'qcow2'] });
    await make(context, 'top', { size: 3 * MIB, backing: ['base', 'qcow2'], areas: [[2 * MIB, 512, 4]] });
    const before = await contentOf(context, 'top');
    await expect(down(context)).resolves.toMatchObject({ grown: true });
    await expectContent(context, 'base', before);
  });

  it('copies whole units of the base', async () => {
    const context = contextOf(new MemoryFiles());
    await make(context, 'base', { size: MIB });
    await make(context, 'top', {
      backing: ['base', 'qcow2'],
      options: { cluster_size: '4096' },
      areas: [
        [4096, 4096, 1],
        [131072, 4096, 'zero'],
      ],
    });
    await down(context);
    expect(await layerOf(context, 'base')).toBe('d.d.............');
  });

  it('says what the real tool says', async () => {
    const files = new MemoryFiles();
    const context = contextOf(files);
    await make(context, 'base', { size: MIB });
    await make(context, 'top', { backing: ['base', 'qcow2'] });
    await expect(down(context, { image: { filename: 'base', format: 'qcow2' } })).rejects.toThrow(
      'Image does not have a backing file',
    );
    for (const base of ['nope', '', 'top', 'json:{}', 'file:base']) {
      await expect(down(context, { base })).rejects.toThrow(`Did not find '${base}' in the backing chain of 'top'`);
    }
    await make(context, 'flat.vdi', { format: 'vdi', size: MIB });
    await make(context, 'top', { backing: ['flat.vdi', 'vdi'], size: 2 * MIB });
    await expect(down(context)).rejects.toThrow('Block job failed: Operation not supported');
    await make(context, 'top', { backing: ['base', 'qcow2'], areas: [[0, 512, 1]] });
    files.inject('base', { operation: 'write' });
    await expect(down(context)).rejects.toThrow('Block job failed: Input/output error');
    files.heal('base');
    expect((await contentOf(context, 'top'))[0]).toBe(1);
  });

  it('writes nothing where another program has the base open', async () => {
    const files = new MemoryFiles();
    const context = contextOf(files);
    await make(context, 'base', { size: MIB });
    await make(context, 'top', { backing: ['base', 'qcow2'], areas: [[0, 512, 1]] });
    const other = await files.open('base', { writable: false, access: { used: 1, shared: 5 } });
    await expect(down(context)).rejects.toMatchObject({
      kind: 'locked',
      message: 'Failed to get "write" lock',
      hint: 'Is another process using the image [base]?',
    });
    await other.close();
    expect((await contentOf(context, 'base'))[0]).toBe(0);
  });

  it('gives up when it is told to', async () => {
    const stop = new AbortController();
    const context = contextOf(new MemoryFiles(), { signal: stop.signal });
    await make(context, 'base', { size: MIB });
    await make(context, 'top', { backing: ['base', 'qcow2'], areas: [[0, MIB, 1]] });
    stop.abort();
    await expect(down(context)).rejects.toMatchObject({ kind: 'aborted' });
    expect((await contentOf(context, 'top'))[0]).toBe(1);
  });

  it('keeps the content of any overlay', async () => {
    const sizes = fc.constantFrom(65536, 100352, 262144);
    const areas = fc.array(
      fc.tuple(
        fc.nat(200),
        fc.integer({ min: 1, max: 60 }),
        fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constant('zero' as const)),
      ),
      { maxLength: 4 },
    );
    const plans = fc.array(fc.record({ size: sizes, areas, cluster: fc.constantFrom('512', '4096', '65536') }), {
      minLength: 2,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(plans, fc.constantFrom('qcow2', 'raw', 'vmdk', 'qed'), async (layers, format) => {
        const context = contextOf(new MemoryFiles());
        let below: string | undefined;
        const names = layers.map((_, index) => (index === layers.length - 1 ? 'top' : `layer${index}`));
        for (const [index, { size, cluster, ...plan }] of layers.entries()) {
          const own = index === 0 ? format : 'qcow2';
          const inside: Area[] = [];
          for (const [start, length, value] of plan.areas) {
            const offset = start * 1024;
            if (offset < size) inside.push([offset, Math.min(length * 700, size - offset), value]);
          }
          await make(context, names[index] as string, {
            format: own,
            size,
            areas: inside,
            ...(own === 'qcow2' ? { options: { cluster_size: cluster } } : {}),
            ...(below === undefined ? {} : { backing: [below, index === 1 ? format : 'qcow2'] as const }),
          });
          below = names[index];
        }
        const before = await contentOf(context, 'top');
        const grows = layers.some(({ size }) => size < before.length);
        if (grows && format === 'vmdk') return;
        await down(context, { base: 'layer0', drop: false });
        await expectContent(context, 'top', before);
        const base = await contentOf(context, 'layer0', format);
        expect(Buffer.compare(base.subarray(0, before.length), before)).toBe(0);
        if (format === 'qcow2') expect(await damageOf(context, 'layer0')).toBe(0);
      }),
      { numRuns: 25 },
    );
  });
});
