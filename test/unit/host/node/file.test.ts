import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { constants as system, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockError } from '../../../../src/base/error.ts';
import { bytesOf } from '../../../../src/base/text.ts';
import { NodeFiles } from '../../../../src/host/node/file.ts';
import { libc } from '../../../../src/host/node/ffi.ts';
import type { Libc } from '../../../../src/host/node/native.ts';
import { AlignedBufferPool, isMemoryAligned, pageArray } from '../../../../src/host/node/fileBuffers.ts';
import type { CacheMode, FileHandle } from '../../../../src/storage/files.ts';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'qimg-file-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function failure(body: () => unknown): Promise<BlockError> {
  try {
    await body();
  } catch (error) {
    if (error instanceof BlockError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

async function withFile<T>(
  files: NodeFiles,
  name: string,
  body: (handle: FileHandle) => Promise<T>,
  cache?: CacheMode,
): Promise<T> {
  const handle = await files.open(name, { writable: true, ...(cache ? { cache } : {}) });
  try {
    return await body(handle);
  } finally {
    await handle.close();
  }
}

type Step =
  | { readonly do: 'write'; readonly at: number; readonly length: number; readonly byte: number }
  | { readonly do: 'zero'; readonly at: number; readonly length: number; readonly unmap: boolean }
  | { readonly do: 'truncate'; readonly at: number };

const steps = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('write' as const),
      at: fc.nat(200_000),
      length: fc.integer({ min: 1, max: 150_000 }),
      byte: fc.integer({ min: 1, max: 255 }),
    }),
    fc.record({
      do: fc.constant('zero' as const),
      at: fc.nat(200_000),
      length: fc.integer({ min: 1, max: 150_000 }),
      unmap: fc.boolean(),
    }),
    fc.record({ do: fc.constant('truncate' as const), at: fc.nat(300_000) }),
  ),
  { maxLength: 8 },
);

function applyToModel(model: Uint8Array, size: number, step: Step): number {
  if (step.do === 'truncate') {
    model.fill(0, step.at);
    return step.at;
  }
  model.fill(step.do === 'write' ? step.byte : 0, step.at, step.at + step.length);
  return Math.max(size, step.at + step.length);
}

async function applyToFile(handle: FileHandle, step: Step): Promise<void> {
  if (step.do === 'truncate') return handle.truncate?.(step.at, 'off');
  if (step.do === 'write') return handle.write?.(step.at, new Uint8Array(step.length).fill(step.byte));
  return handle.writeZeroes?.(step.at, step.length, { unmap: step.unmap });
}

describe.each(['writeback', 'none', 'directsync', 'unsafe'] as const)('content with cache mode %s', (cache) => {
  it('is that of a plain byte array', async () => {
    const name = join(dir, `model-${cache}`);
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(250_000), fc.integer({ min: 1, max: 100_000 }), async (todo, from, length) => {
        writeFileSync(name, '');
        const model = new Uint8Array(400_000);
        let size = 0;
        await withFile(
          new NodeFiles(),
          name,
          async (handle) => {
            for (const step of todo) {
              await applyToFile(handle, step);
              size = applyToModel(model, size, step);
            }
            expect(handle.size()).toBe(size);
            const end = Math.min(size, from + length);
            const bytes = new Uint8Array(Math.max(0, end - from));
            if (bytes.length > 0) await handle.read(from, bytes);
            expect(Buffer.compare(bytes, model.subarray(from, from + bytes.length))).toBe(0);
            await handle.flush?.();
          },
          cache,
        );
        expect(Buffer.compare(readFileSync(name), model.subarray(0, size))).toBe(0);
      }),
      { numRuns: 15 },
    );
  });
});

describe('reading and writing', () => {
  const files = new NodeFiles();

  it('is synchronous for small pieces and not for large ones', async () => {
    const name = join(dir, 'sync');
    writeFileSync(name, new Uint8Array(2_000_000));
    await withFile(files, name, async (handle) => {
      expect(handle.read(0, new Uint8Array(65536))).toBeUndefined();
      expect(handle.write?.(0, new Uint8Array(512))).toBeUndefined();
      // Waited for: it must not meet a handle that is closed.
      const large = handle.read(0, new Uint8Array(1_048_577));
      expect(large).toBeInstanceOf(Promise);
      await large;
    });
  });

  describe('up to 256 KiB', () => {
    const content = new Uint8Array(200_000).map((_, i) => i % 251);
    /** Reads all of it with a C library that answers like that. */
    async function readWith(readCached: Libc['readCached'], times = 1): Promise<boolean> {
      const real = libc();
      if (!real) throw new Error('no C library');
      const name = join(dir, 'cached');
      writeFileSync(name, content);
      let waited = false;
      await withFile(new NodeFiles({ libc: { ...real, readCached } }), name, async (handle) => {
        for (let i = 0; i < times; i++) {
          const into = pageArray(content.length);
          const done = handle.read(0, into);
          waited = done instanceof Promise;
          await done;
          expect(Buffer.compare(into, content)).toBe(0);
        }
      });
      return waited;
    }

    it.runIf(libc())('are read at once when they are in memory', async () => {
      expect(await readWith((fd, into, offset) => libc()?.readCached(fd, into, offset) ?? 0)).toBe(false);
    });

    it.runIf(libc())('are waited for when they are not', async () => {
      expect(await readWith(() => -system.errno.EAGAIN)).toBe(true);
    });

    it.runIf(libc())('are waited for in part when a part of them is', async () => {
      const half = (fd: number, into: Uint8Array, offset: number): number =>
        libc()?.readCached(fd, into.subarray(0, 100_000), offset) ?? 0;
      expect(await readWith(half)).toBe(true);
    });

    it.runIf(libc())('are not asked for again where the system cannot tell', async () => {
      for (const answer of ['EOPNOTSUPP', 'missing'] as const) {
        let asked = 0;
        const refuse = (): number => {
          asked++;
          if (answer === 'missing') throw new Error('no such function');
          return -system.errno.EOPNOTSUPP;
        };
        expect(await readWith(refuse, 3)).toBe(true);
        expect(asked).toBe(1);
      }
    });
  });

  it.each(['zeroes that are left out', 'growth'])('%s keep what a write under way has put behind', async (what) => {
    const name = join(dir, 'under way');
    writeFileSync(name, new Uint8Array(4096));
    await withFile(files, name, async (handle) => {
      const behind = new Uint8Array(3 * 1048576).fill(7);
      const written = handle.write?.(8 * 1048576, behind);
      // The kernel has it; the answer waits for its turn.
      for (const stop = Date.now() + 10_000; statSync(name).size <= 8 * 1048576 && Date.now() < stop; );
      if (what === 'growth') await handle.truncate?.(1048576, 'off');
      else await handle.writeZeroes?.(4096, 1048576, { unmap: true });
      await written;
      expect(handle.size()).toBe(11 * 1048576);
      const found = new Uint8Array(behind.length);
      await handle.read(8 * 1048576, found);
      expect(Buffer.compare(found, behind)).toBe(0);
    });
  });

  it('fills with zeroes what another program has cut off meanwhile', async () => {
    const name = join(dir, 'cut');
    writeFileSync(name, new Uint8Array(200_000).fill(7));
    await withFile(files, name, async (handle) => {
      truncateSync(name, 1000);
      const bytes = new Uint8Array(2000).fill(9);
      await handle.read(0, bytes);
      expect([bytes[999], bytes[1000], bytes[1999]]).toEqual([7, 0, 0]);
      const large = new Uint8Array(150_000).fill(9);
      await handle.read(0, large);
      expect([large[999], large[1000], large[149_999]]).toEqual([7, 0, 0]);
    });
  });

  it('uses direct I/O with aligned buffers, and has the alignment in its limits', async () => {
    const name = join(dir, 'direct');
    writeFileSync(name, new Uint8Array(1 << 20).fill(3));
    const pool = new AlignedBufferPool();
    const buffer = pool.acquire();
    await withFile(
      files,
      name,
      async (handle) => {
        expect([512, 4096, 1]).toContain(handle.limits.requestAlignment);
        await handle.read(0, buffer);
        expect(buffer[777]).toBe(3);
        buffer.fill(4);
        await handle.write?.(0, buffer);
        // Not aligned in any way, so through the page cache, which must see the direct write and be seen by a direct read.
        const few = new Uint8Array(3);
        await handle.read(1001, few);
        expect([...few]).toEqual([4, 4, 4]);
        await handle.write?.(5000, new Uint8Array([1, 2, 3]));
        await handle.read(0, buffer);
        expect([...buffer.subarray(4999, 5004)]).toEqual([4, 1, 2, 3, 4]);
      },
      'none',
    );
    pool.release(buffer);
  });

  it('does not offer writing on a file that is opened for reading', async () => {
    const name = join(dir, 'ro');
    writeFileSync(name, 'x');
    const handle = await files.open(name, { writable: false });
    expect('write' in handle).toBe(false);
    await handle.close();
  });

  it('reaches offsets beyond 2^53 without touching the start of the file', async () => {
    const folder = mkdtempSync('/dev/shm/qimg-far-');
    try {
      const name = join(folder, 'far');
      writeFileSync(name, 'start');
      await withFile(files, name, async (handle) => {
        const far = 2 ** 60;
        await handle.write?.(far, new Uint8Array([1, 2, 3]));
        expect(handle.size()).toBe(far);
        const bytes = new Uint8Array(3);
        await handle.read(far, bytes);
        expect([...bytes]).toEqual([1, 2, 3]);
        await handle.read(0, bytes);
        expect(Buffer.from(bytes).toString()).toBe('sta');
        await handle.truncate?.(2 ** 59, 'off');
        expect(statSync(name, { bigint: true }).size).toBe(2n ** 59n);
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('reports what the operating system says', async () => {
    const handle = await files.open('/dev/full', { writable: true });
    const error = await failure(() => handle.write?.(0, new Uint8Array(512)));
    expect(error).toMatchObject({ kind: 'no-space', message: 'No space left on device', code: 'ENOSPC' });
    expect(error.context).toMatchObject({ filename: '/dev/full', offset: 0, length: 512, access: 'write' });
    await handle.close();
  });
});

describe('opening', () => {
  const files = new NodeFiles();
  const open = (name: string, writable = false) => failure(() => files.open(name, { writable }));

  it('fails with the words of the C library', async () => {
    const missing = join(dir, 'missing');
    expect(await open(missing)).toMatchObject({
      kind: 'not-found',
      message: `Could not open '${missing}': No such file or directory`,
    });
    const loop = join(dir, 'loop');
    symlinkSync('loop', loop);
    expect((await open(loop)).message).toBe(`Could not open '${loop}': Too many levels of symbolic links`);
    const plain = join(dir, 'plain');
    writeFileSync(plain, '');
    expect((await open(`${plain}/x`)).strerror).toBe('Not a directory');
    expect((await open('x'.repeat(300))).strerror).toBe('File name too long');
    expect(await open(dir, true)).toMatchObject({ kind: 'is-directory', strerror: 'Is a directory' });
    expect((await open('a\0b')).kind).toBe('not-found');
  });

  it('tells what it has opened, and does not wait for the other end of a pipe', async () => {
    const fifo = join(dir, 'fifo');
    execFileSync('mkfifo', [fifo]);
    for (const [name, kind] of [
      [dir, 'directory'],
      [fifo, 'fifo'],
      ['/dev/null', 'character-device'],
    ] as const) {
      const access = { used: 1, shared: 15 };
      const handle = await files.open(name, { writable: false, access });
      expect([handle.kind, handle.size()]).toEqual([kind, 0]);
      expect((await files.status(name)).kind).toBe(kind);
      await handle.close();
    }
  });

  it('gives one identity to all names of a file', async () => {
    const name = join(dir, 'named');
    writeFileSync(name, '');
    symlinkSync('named', join(dir, 'alias'));
    const a = await files.status(name);
    expect((await files.status(join(dir, 'alias'))).identity).toBe(a.identity);
    const handle = await files.open(join(dir, 'alias'), { writable: false });
    expect(handle.identity).toBe(a.identity);
    await handle.close();
  });
});

describe('names', () => {
  const files = new NodeFiles();

  it('are created, listed, renamed over others and removed', async () => {
    const folder = join(dir, 'names');
    mkdirSync(folder);
    const [a, b] = [join(folder, 'a'), join(folder, 'b')];
    await files.create(b, { size: 10, preallocation: 'off' });
    await files.create(a, { size: 4096, preallocation: 'off', exclusive: true });
    expect(await files.list(folder)).toEqual(['a', 'b']);
    const again = await failure(() => files.create(a, { size: 1, preallocation: 'off', exclusive: true }));
    expect(again).toMatchObject({ kind: 'exists', message: `Could not create '${a}': File exists` });
    await files.rename(a, b);
    expect((await files.status(b)).size).toBe(4096);
    await files.remove(b);
    expect(await files.list(folder)).toEqual([]);
    expect((await failure(() => files.remove(b))).kind).toBe('not-found');
    expect((await failure(() => files.rename(a, b))).kind).toBe('not-found');
    expect((await failure(() => files.list(a))).kind).toBe('not-found');
  });

  it('are emptied when they are created again', async () => {
    const name = join(dir, 'again');
    writeFileSync(name, 'old content');
    await files.create(name, { size: 20, preallocation: 'off' });
    expect(readFileSync(name)).toEqual(Buffer.alloc(20));
  });

  it('are refused for what is no file', async () => {
    const pipe = join(dir, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const [name, message] of [
      [dir, `Could not create '${dir}': Is a directory`],
      ['/dev/null', 'Cannot grow device files'],
      [pipe, 'Could not resize file: Invalid argument'],
    ] as const) {
      const error = await failure(() => files.create(name, { size: 512, preallocation: 'off' }));
      expect(error.message).toBe(message);
    }
  });
});

it('hands out buffers that start at a page, again and again', () => {
  const pool = new AlignedBufferPool(65536);
  const buffers = Array.from({ length: 20 }, () => pool.acquire());
  expect(buffers.every((buffer) => buffer.length === 65536 && isMemoryAligned(buffer, 4096))).toBe(true);
  expect(new Set(buffers.map((buffer) => `${buffer.byteOffset}`)).size).toBeLessThanOrEqual(20);
  buffers.forEach((buffer, index) => {
    buffer.fill(index);
  });
  expect(buffers.every((buffer, index) => buffer[0] === index && buffer[65535] === index)).toBe(true);
  for (const buffer of buffers) pool.release(buffer);
  expect(buffers).toContain(pool.acquire());
  expect(isMemoryAligned(new Uint8Array(4096), 4096)).toBe(false);
});

it('names that are no UTF-8 are the files with those bytes', async () => {
  const files = new NodeFiles();
  const folder = join(dir, 'f\udce9');
  mkdirSync(Buffer.from(bytesOf(folder)));
  const [one, two] = [join(folder, 'disk\udce9'), join(folder, 'disk\udce8')];
  await files.create(one, { size: 1, preallocation: 'off' });
  await files.create(two, { size: 2, preallocation: 'off' });
  expect(await files.list(folder)).toEqual(['disk\udce8', 'disk\udce9']);
  expect([(await files.status(one)).size, (await files.status(two)).size]).toEqual([1, 2]);
  const handle = await files.open(two, { writable: true, access: { used: 2, shared: 0 } });
  expect(handle.size()).toBe(2);
  await handle.close();
  await files.rename(two, one);
  await files.rename(one, join(folder, 'x\udcff'));
  const bytes = readdirSync(Buffer.from(bytesOf(folder)), { encoding: 'buffer' });
  expect(bytes.map((name) => name.toString('latin1'))).toEqual(['x\xff']);
  await files.remove(join(folder, 'x\udcff'));
  expect(await files.list(folder)).toEqual([]);
  expect((await failure(() => files.status(one))).message).toBe(`Could not open '${one}': No such file or directory`);
});
