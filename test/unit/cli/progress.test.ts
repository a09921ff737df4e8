import { expect, test } from 'vitest';
import { Progress } from '../../../src/cli/progress.ts';
import { MemoryIo } from '../../support/memoryIo.ts';

/** What is shown, without the frame. */
function shown(io: MemoryIo): string[] {
  return [...io.stdout.matchAll(/\(([0-9.]+)\/100%\)\r/g)].map(([, percent]) => percent ?? '');
}

test('a line when more than a percent was done, and a final newline', () => {
  const io = new MemoryIo();
  const progress = new Progress(io, true);
  progress.start();
  for (let done = 1; done <= 1000; done++) progress.update(done, 1000);
  progress.finish();
  expect(shown(io).slice(0, 3)).toEqual(['0.00', '1.10', '2.20']);
  expect(shown(io).at(-1)).toBe('100.00');
  expect(io.stdout.startsWith('    (0.00/100%)\r')).toBe(true);
  expect(io.stdout.endsWith('\r\n')).toBe(true);
});

test('0 and 100 are shown whenever they come, and what goes back', () => {
  const io = new MemoryIo();
  const progress = new Progress(io, true);
  for (const done of [0, 0, 50, 20, 100, 100]) progress.update(done, 100);
  expect(shown(io)).toEqual(['0.00', '0.00', '50.00', '20.00', '100.00', '100.00']);
});

test('what lies between two hundredths becomes even, as in C', () => {
  const io = new MemoryIo();
  const progress = new Progress(io, true);
  for (const done of [1, 3, 5, 7]) progress.update(done * 3.125, 100);
  for (const done of [31.125, 32.375, 33.875]) progress.update(done, 100);
  expect(shown(io)).toEqual(['3.12', '9.38', '15.62', '21.88', '31.12', '32.38', '33.88']);
});

test('shares are added up as C floats', () => {
  const io = new MemoryIo();
  const progress = new Progress(io, true, 2);
  progress.start();
  for (let step = 0; step < 700; step++) progress.add(100 / 700);
  // 14 of them are 2 %, and a little more only because of the rounding.
  expect(shown(io).slice(0, 4)).toEqual(['0.00', '2.00', '4.14', '6.29']);
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
