import { expect, it } from 'vitest';
import { MemoryDriver } from '../../../src/storage/memory.ts';
import { describeEvent, TraceDriver } from '../../../src/storage/trace.ts';

it('reports operations and passes them on', async () => {
  const seen: string[] = [];
  const traced = new TraceDriver(new MemoryDriver(1024), (event) => seen.push(describeEvent(event)));
  await traced.write?.(10, new Uint8Array([1, 2]));
  const bytes = new Uint8Array(2);
  await traced.read(10, bytes);
  await traced.truncate?.(2048, 'off');
  await traced.writeZeroes?.(0, 5, {});
  await traced.discard?.(5, 5);
  await traced.status?.(0, 7);
  await traced.flush();
  await traced.close();
  expect([...bytes]).toEqual([1, 2]);
  expect([traced.size(), traced.copyFrom]).toEqual([2048, undefined]);
  expect(seen).toEqual([
    'write 10+2',
    'read 10+2',
    'truncate 2048',
    'write-zeroes 0+5',
    'discard 5+5',
    'status 0+7',
    'flush',
    'close',
  ]);
});
