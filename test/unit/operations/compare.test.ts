import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { permissiveGate } from '../../../src/block/graph/gate.ts';
import { openImage } from '../../../src/block/graph/open.ts';
import { drivers } from '../../../src/index.ts';
import { type CompareResult, compare } from '../../../src/operations/compare.ts';
import type { OperationContext } from '../../../src/operations/context.ts';
import { create } from '../../../src/operations/create.ts';
import { compareExitCode, compareFailureCode, formatCompare } from '../../../src/report/compare.ts';
import { MemoryFiles, memoryServices } from '../../../src/testing.ts';

const MB = 1 << 20;

function sourceOf(filename: string): { filename: string; format: string } {
  return { filename, format: filename.endsWith('raw') ? 'raw' : 'qcow2' };
}

/** An object with some of its methods replaced. */
function withParts<T extends object>(target: T, parts: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      const own: unknown = Reflect.get(name in parts ? parts : target, name);
      return typeof own === 'function' ? (own.bind(target) as unknown) : own;
    },
  });
}

describe('compare', () => {
  let files: MemoryFiles;
  let context: OperationContext;

  beforeEach(() => {
    files = new MemoryFiles();
    context = { drivers, services: memoryServices(files), gate: permissiveGate };
  });

  async function qcow2(filename: string, size: number, areas: readonly (readonly [number, number, number])[]) {
    await create(context, { filename, format: 'qcow2', size, options: [] });
    const node = await openImage(context, { filename, writable: true });
    for (const [offset, length, value] of areas) await node.write(offset, new Uint8Array(length).fill(value));
    await node.close();
  }

  function ask(first: string, second: string, strict = false): Promise<CompareResult> {
    return compare(context, { first: sourceOf(first), second: sourceOf(second), strict });
  }

  it('finds the first sector that differs, wherever it is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3 * MB - 1), { maxLength: 3 }),
        fc.integer({ min: 2 * MB, max: 3 * MB }),
        async (places, size) => {
          const one = new Uint8Array(3 * MB).fill(1, 70_000, 80_000).fill(2, 2_000_000, 2_000_100);
          const other = one.slice(0, size);
          for (const place of places) if (place < size) other[place] = (other[place] ?? 0) ^ 0x80;
          files.put('a.raw', one);
          files.put('b.raw', other);
          const padded = new Uint8Array(3 * MB);
          padded.set(other);
          const differing = places.filter((place) => one[place] !== padded[place]);
          const result = await ask('a.raw', 'b.raw');
          const first = differing.length === 0 ? undefined : Math.floor(Math.min(...differing) / 512) * 512;
          expect(result.kind === 'different' ? result.offset : undefined).toBe(first);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('knows zeroes from any format, and data beyond the end of the other image', async () => {
    files.put('zero.raw', MB);
    await qcow2('long', 2 * MB, [[65536, 4096, 0]]);
    expect(await ask('zero.raw', 'long')).toEqual({ kind: 'identical', sizesDiffer: true });
    await qcow2('data', 2 * MB, [[MB + 1000, 1, 1]]);
    const result = await ask('data', 'zero.raw');
    expect(result).toEqual({ kind: 'different', what: 'content', offset: MB + 512, sizesDiffer: true });
    expect(formatCompare(result)).toBe('Content mismatch at offset 1049088!\n');
    expect(await ask('data', 'zero.raw', true)).toMatchObject({ what: 'size' });
  });

  it('sees in strict mode how content is stored', async () => {
    await qcow2('empty', MB, []);
    await qcow2('zeroes', MB, [[65536, 65536, 0]]);
    expect(await ask('empty', 'zeroes')).toEqual({ kind: 'identical', sizesDiffer: false });
    const result = await ask('empty', 'zeroes', true);
    // The first run already differs: one of the two is the last of its image.
    expect(formatCompare(result)).toBe('Strict mode: Offset 0 block status mismatch!\n');
    expect(compareExitCode(result)).toBe(1);
    expect(await ask('zeroes', 'zeroes', true)).toMatchObject({ kind: 'identical' });
  });

  it('tells failures apart', async () => {
    files.put('a.raw', new Uint8Array(MB).fill(1));
    await qcow2('bad', MB, [[0, MB, 1]]);
    const failure = await ask('missing.raw', 'a.raw').catch((error: unknown) => error);
    expect(compareFailureCode(failure as never)).toBe(2);
    files.inject('a.raw', { operation: 'read', offset: 0, length: 1 });
    const unreadable = await ask('bad', 'a.raw').catch((error: unknown) => error);
    expect(unreadable).toMatchObject({ message: 'Error while reading offset 0 of a.raw: Input/output error' });
    expect(compareFailureCode(unreadable as never)).toBe(4);
    const damaged = files.bytes('bad').slice();
    // The second entry of the first L2 table.
    new DataView(damaged.buffer).setBigUint64(4 * 65536 + 8, 0x8000_0000_0005_0200n);
    files.put('bad', damaged);
    files.put('a.raw', new Uint8Array(MB).fill(1));
    const unmapped = await ask('bad', 'a.raw').catch((error: unknown) => error);
    expect(unmapped).toMatchObject({ message: 'Sector allocation test failed for bad' });
    expect(compareFailureCode(unmapped as never)).toBe(3);
  });

  it('closes no image under a read, wherever the difference is', async () => {
    const late: number[] = [];
    const open = async (...args: Parameters<MemoryFiles['open']>): ReturnType<MemoryFiles['open']> => {
      const handle = await files.open(...args);
      let closed = false;
      const read = async (offset: number, into: Uint8Array): Promise<void> => {
        // The first area is ready while the others are still being read.
        if (into.length > 4096) await new Promise((resolve) => setTimeout(resolve, offset === 0 ? 1 : 30));
        if (closed) late.push(offset);
        await handle.read(offset, into);
      };
      const close = (): void => {
        closed = true;
      };
      return withParts(handle, { read, close });
    };
    context = { ...context, services: { ...context.services, files: withParts(files, { open }) } };
    for (const name of ['a.raw', 'b.raw']) files.put(name, new Uint8Array(16 * MB).fill(name === 'a.raw' ? 1 : 2));
    expect(await ask('a.raw', 'b.raw')).toMatchObject({ what: 'content', offset: 0 });
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(late).toEqual([]);
  });

  it('counts a failure before a difference behind it', async () => {
    for (const name of ['a.raw', 'b.raw']) files.put(name, new Uint8Array(4 * MB).fill(1));
    const other = new Uint8Array(4 * MB).fill(1);
    other[2 * MB] = 2;
    files.put('b.raw', other);
    files.inject('a.raw', { operation: 'read', offset: 0, length: 1 });
    const failure = await ask('a.raw', 'b.raw').catch((error: unknown) => error);
    expect(failure).toMatchObject({ message: 'Error while reading offset 0 of a.raw: Input/output error' });
  });

  it('reads nothing of what both images have at the same place of one file', async () => {
    const reads: string[] = [];
    const open = async (...args: Parameters<MemoryFiles['open']>): ReturnType<MemoryFiles['open']> => {
      const handle = await files.open(...args);
      const read = (offset: number, into: Uint8Array): ReturnType<typeof handle.read> => {
        if (args[0] === 'base.raw' && into.length >= 65536) reads.push(`${offset}+${into.length}`);
        return handle.read(offset, into);
      };
      return withParts(handle, { read });
    };
    files.put('base.raw', new Uint8Array(4 * MB).fill(1));
    for (const [name, value] of [
      ['one', 2],
      ['other', 3],
    ] as const) {
      const options = { backing_file: 'base.raw', backing_fmt: 'raw' };
      await create(context, { filename: name, format: 'qcow2', size: 4 * MB, options });
      const node = await openImage(context, { filename: name, writable: true });
      await node.write(3 * MB, new Uint8Array(65536).fill(value));
      await node.close();
    }
    context = { ...context, services: { ...context.services, files: withParts(files, { open }) } };
    expect(await ask('one', 'other')).toMatchObject({ kind: 'different', what: 'content', offset: 3 * MB });
    expect(reads).toEqual([]);
  });
});
