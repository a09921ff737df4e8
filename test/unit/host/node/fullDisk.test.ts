import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

/** Bytes that the disk still has room for. */
let room = Number.POSITIVE_INFINITY;

/** `node:fs` with a disk that becomes full. */
function fullDisk(): object {
  /** Bytes of a write that are stored. */
  const stored = (length: number): number => {
    if (room === 0) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    const count = Math.min(length, room);
    room -= count;
    return count;
  };
  return {
    ...fs,
    writeSync: (fd: number, from: Uint8Array, at: number, length: number, position: number) =>
      fs.writeSync(fd, from, at, stored(length), position),
    write(
      fd: number,
      from: Uint8Array,
      at: number,
      length: number,
      position: number,
      done: (error: unknown, count: number) => void,
    ) {
      try {
        fs.write(fd, from, at, stored(length), position, done);
      } catch (error) {
        done(error, 0);
      }
    },
  };
}

const dir = fs.mkdtempSync(join(tmpdir(), 'qimg-full-'));
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));
afterEach(() => {
  room = Number.POSITIVE_INFINITY;
});

// Other tests may have loaded the module with the real disk.
beforeAll(() => {
  vi.resetModules();
  vi.doMock('node:fs', fullDisk);
});
afterAll(() => {
  vi.doUnmock('node:fs');
  vi.resetModules();
});

describe('a write that fails in the middle', () => {
  // Formats take what is behind the end for zeroes, and put the next cluster there.
  it.each([65536, 4 * 1048576])('leaves a file of %i bytes that knows how far it reaches', async (length) => {
    const name = join(dir, `part-${length}`);
    fs.closeSync(fs.openSync(name, 'w'));
    const { NodeFiles } = await import('../../../../src/host/node/file.ts');
    const handle = await new NodeFiles().open(name, { writable: true });
    room = 5000;
    await expect((async () => handle.write?.(0, new Uint8Array(length).fill(1)))()).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    expect(handle.size()).toBe(5000);
    await handle.close();
  });
});
