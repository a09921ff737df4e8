import { expect, test } from 'vitest';
import { Progress } from '../../../src/cli/progress.ts';
import { MemoryIo } from '../../support/memoryIo.ts';

test('a line for every percent, and a final newline', () => {
  const io = new MemoryIo();
  const progress = new Progress(io, true);
  progress.start();
  for (let done = 1; done <= 1000; done++) progress.update(done, 1000);
  progress.finish();
  const shown = io.stdout.split('\r');
  expect(shown[0]).toBe('    (0.00/100%)');
  expect(shown[1]).toBe('    (1.00/100%)');
  expect(shown.at(-2)).toBe('    (100.00/100%)');
  expect(shown.at(-1)).toBe('\n');
  expect(shown).toHaveLength(102);
});

test('nothing to do is all done', () => {
  const io = new MemoryIo();
  new Progress(io, true).update(0, 0);
  expect(io.stdout).toBe('    (100.00/100%)\r');
});

test('without -p a line comes only when asked for', () => {
  const io = new MemoryIo();
  const progress = new Progress(io, false);
  progress.start();
  progress.request();
  progress.update(1, 4);
  progress.update(2, 4);
  progress.finish();
  expect(io.stdout).toBe('');
  expect(io.stderr).toBe('    (25.00/100%)\n');
});
