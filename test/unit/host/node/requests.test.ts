/** How many requests the program lets wait at a time. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

describe('threads for requests', () => {
  const before = process.env['UV_THREADPOOL_SIZE'];
  beforeEach(() => {
    vi.resetModules();
    delete process.env['UV_THREADPOOL_SIZE'];
  });
  afterEach(() => {
    if (before !== undefined) process.env['UV_THREADPOOL_SIZE'] = before;
    else delete process.env['UV_THREADPOOL_SIZE'];
  });

  test('are as many as copies have under way, in the program', async () => {
    const { allowManyRequests, mayUseThreads } = await import('../../../../src/host/node/limits.ts');
    allowManyRequests();
    expect(process.env['UV_THREADPOOL_SIZE']).toBeUndefined();
    expect(mayUseThreads()).toBe(true);
    expect(process.env['UV_THREADPOOL_SIZE']).toBe('16');
  });

  test('are those of the process that uses the library', async () => {
    const { mayUseThreads } = await import('../../../../src/host/node/limits.ts');
    expect(mayUseThreads()).toBe(true);
    expect(process.env['UV_THREADPOOL_SIZE']).toBeUndefined();
  });
});
