import { expect, it } from 'vitest';
import { MemoryDriver } from '../../../src/storage/memory.ts';
import { describeEvent, TraceDriver } from '../../../src/storage/trace.ts';

it('reports operations and passes them on', () => {
  const seen: string[] = [];
  const traced = new TraceDriver(new MemoryDriver(1024), (event) => seen.push(describeEvent(event)));
  traced.write?.(10, new Uint8Array([1, 2]));
  const bytes = new Uint8Array(2);
  traced.read(10, bytes);
  traced.truncate?.(2048, 'off');
  traced.writeZeroes?.(0, 5, {});
  traced.discard?.(5, 5);
  traced.status?.(0, 7);
  traced.flush();
  traced.close();
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
