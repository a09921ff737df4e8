import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { OutputStream } from '../../../src/cli/streams.ts';

test('text is kept back until it is much, shows progress, or is flushed', () => {
  const directory = mkdtempSync(join(tmpdir(), 'qimg-streams-'));
  const path = join(directory, 'out');
  const fd = openSync(path, 'w');
  const seen = (): string => readFileSync(path, 'utf8');
  try {
    const stream = new OutputStream(fd);
    stream.write('é one\n');
    expect(seen()).toBe('');
    stream.write('    (50.00/100%)\r');
    expect(seen()).toBe('é one\n    (50.00/100%)\r');
    stream.write('x'.repeat(70_000));
    expect(seen()).toHaveLength(70_000 + 23);
    stream.write('\udce9é\udcffend');
    stream.flush();
    expect(readFileSync(path, 'latin1').endsWith('x\xe9\xc3\xa9\xffend')).toBe(true);
  } finally {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  }
});

test('a stream that nobody reads swallows everything', () => {
  const stream = new OutputStream(1_000_000);
  stream.write('text');
  stream.flush();
  expect(stream.closed).toBe(true);
  stream.write('x'.repeat(100_000));
  expect(stream.closed).toBe(true);
});
