import { describe, expect, it } from 'vitest';
import type { FilterDriver } from '../../../src/block/filter.ts';
import { permissiveGate } from '../../../src/block/graph/gate.ts';
import { openImage } from '../../../src/block/graph/open.ts';
import { walkChain } from '../../../src/block/node/chain.ts';
import type { ImageNode } from '../../../src/block/node/node.ts';
import { DriverRegistry, drivers } from '../../../src/index.ts';
import { MemoryFiles, memoryServices } from '../../../src/testing.ts';

const SIZE = 4 * 65536;

/** A sparse file with one page of ones in it, behind a filter that passes everything on. */
async function filtered(opaque: boolean | undefined, format: string): Promise<{ files: MemoryFiles; node: ImageNode }> {
  const passing: FilterDriver = {
    name: 'passing',
    roles: [{ role: 'file' }],
    ...(opaque === undefined ? {} : { opaque }),
    open: async ({ below }) => ({
      limits: below.limits,
      size: () => below.size(),
      read: (offset, into) => below.read(offset, into),
      write: (offset, from) => below.write(offset, from),
      status: (offset, length) => below.status(offset, length),
      close: () => {},
    }),
  };
  const files = new MemoryFiles();
  files.put('a', SIZE);
  const file = await files.open('a', { writable: true });
  await file.write?.(65536, new Uint8Array(65536).fill(1));
  await file.close();
  const filters = [{ name: 'passing', load: () => Promise.resolve(passing) }];
  const context = {
    drivers: new DriverRegistry(drivers.formats, drivers.protocols, filters),
    services: memoryServices(files),
    gate: permissiveGate,
  };
  const own = { driver: 'passing', file: { driver: 'file', filename: 'a' } };
  const tree = format === 'passing' ? own : { driver: format, file: own };
  return { files, node: await openImage(context, { filename: 'a', tree, writable: true }) };
}

async function walked(node: ImageNode): Promise<string[]> {
  const runs: string[] = [];
  for await (const { length, data, zero, special, storage } of walkChain(node)) {
    const place = storage && !special ? storage.name : '-';
    runs.push(`${length / 65536} ${zero ? 'zero' : data ? 'data' : 'none'} ${place}`);
  }
  return runs;
}

describe.each(['passing', 'raw'])('mapping of %s', (format) => {
  it.each([undefined, false])('looks through a filter', async (opaque) => {
    const { node } = await filtered(opaque, format);
    expect(await walked(node)).toEqual(['1 zero a', '1 data a', '2 zero a']);
    await node.close();
  });

  it('ends at a filter that says so; reading and writing do not', async () => {
    const { node, files } = await filtered(true, format);
    expect(await walked(node)).toEqual(['1 zero -', '1 data -', '2 zero -']);
    await node.write(0, new Uint8Array(3).fill(2));
    const bytes = new Uint8Array(SIZE);
    await node.read(0, bytes);
    expect([bytes[0], bytes[3], bytes[65536]]).toEqual([2, 0, 1]);
    await node.close();
    expect(files.bytes('a')).toEqual(bytes);
  });
});
