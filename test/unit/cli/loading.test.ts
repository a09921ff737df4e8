import { expect, test, vi } from 'vitest';
import type { Workplace } from '../../../src/cli/io.ts';
import { main } from '../../../src/cli/main.ts';
import { VERBS } from '../../../src/operations/verbs.ts';
import { MemoryIo } from '../../support/memoryIo.ts';

test('an operation is loaded when there is work for it', async () => {
  const loaded: string[] = [];
  for (const verb of Object.keys(VERBS)) {
    vi.doMock(`../../../src/operations/${verb}.ts`, () => {
      loaded.push(verb);
      return { [verb]: () => Promise.reject(new Error('no operation')) };
    });
  }
  const io = new MemoryIo();
  for (const line of ['--version', '--help', 'info --help', 'info x', 'convert a b', 'create -o help x', 'bench x']) {
    expect(await main(line.split(' '), io)).toBe(0);
  }
  expect(loaded).toEqual([]);
  const [job] = io.requests;
  await expect(job?.run({} as Workplace)).rejects.toThrow('no operation');
  expect(loaded).toEqual(['info']);
});
