import { mkdtempSync, readFileSync, rmSync, statfsSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockError } from '../../../../src/base/error.ts';
import { libc } from '../../../../src/host/node/ffi.ts';
import type { Libc } from '../../../../src/host/node/native.ts';
import { NodeFiles } from '../../../../src/host/node/file.ts';
import type { FileHandle, FileOpenOptions } from '../../../../src/storage/files.ts';

const MiB = 1 << 20;
let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'qimg-sparse-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function opened<T>(name: string, body: (handle: FileHandle) => Promise<T>, options?: Partial<FileOpenOptions>) {
  const handle = await new NodeFiles().open(join(dir, name), { writable: true, ...options });
  try {
    return await body(handle);
  } finally {
    await handle.close();
  }
}

async function extents(handle: FileHandle): Promise<string[]> {
  const found: string[] = [];
  for (let at = 0; at < handle.size(); ) {
    const run = (await handle.status?.(at, handle.size() - at)) ?? { kind: 'data', length: handle.size() - at };
    found.push(`${run.kind} ${at / MiB}+${run.length / MiB}`);
    at += run.length;
  }
  return found;
}

/** 1 MiB of ones at the given MiBs of a new file of `size` MiB. */
async function sparseFile(name: string, size: number, data: readonly number[]): Promise<void> {
  writeFileSync(join(dir, name), '');
  truncateSync(join(dir, name), size * MiB);
  await opened(name, async (handle) => {
    for (const at of data) await handle.write?.(at * MiB, new Uint8Array(MiB).fill(1));
  });
}

describe('holes', () => {
  it('are found and merged', async () => {
    await sparseFile('holes', 8, [1, 2, 5]);
    await opened('holes', async (handle) => {
      expect(await extents(handle)).toEqual(['hole 0+1', 'data 1+2', 'hole 3+2', 'data 5+1', 'hole 6+2']);
      expect(await handle.status?.(1.5 * MiB, 1000)).toEqual({ kind: 'data', length: 1000 });
      expect(await handle.status?.(7 * MiB, 1000)).toEqual({ kind: 'hole', length: 1000 });
    });
  });

  it('are made by discarding and by zeroes that may unmap', async () => {
    await sparseFile('punched', 4, [0, 1, 2, 3]);
    await opened('punched', async (handle) => {
      expect(await extents(handle)).toEqual(['data 0+4']);
      await handle.discard?.(MiB, MiB);
      await handle.writeZeroes?.(3 * MiB, 2 * MiB, { unmap: true });
      expect(handle.size()).toBe(5 * MiB);
      expect(await extents(handle)).toEqual(['data 0+1', 'hole 1+1', 'data 2+1', 'hole 3+2']);
      expect(await handle.allocatedSize?.()).toBe(2 * MiB);
    });
  });

  it('are not made when discarding is to be ignored', async () => {
    await sparseFile('kept', 2, [0, 1]);
    await opened(
      'kept',
      async (handle) => {
        await handle.discard?.(0, MiB);
        await handle.writeZeroes?.(MiB, MiB, { unmap: true });
        expect(await handle.allocatedSize?.()).toBe(2 * MiB);
      },
      { discard: 'ignore' },
    );
    expect(
      readFileSync(join(dir, 'kept'))
        .subarray(MiB)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  it('are data for a host without the C library, which zeroes nothing itself', async () => {
    await sparseFile('plain', 2, [1]);
    const handle = await new NodeFiles({ libc: false }).open(join(dir, 'plain'), { writable: true });
    expect(handle.status?.(0, 100)).toEqual({ kind: 'data', length: 100 });
    expect(() => handle.writeZeroes?.(0, 100, {})).toThrow(BlockError);
    expect(handle.discard?.(0, 100)).toBeUndefined();
    await handle.truncate?.(3 * MiB, 'falloc');
    expect(statSync(join(dir, 'plain')).size).toBe(3 * MiB);
    await handle.close();
  });
});

describe('preallocation', () => {
  it.each(['falloc', 'full'] as const)('%s reserves the space of new and of grown files', async (preallocation) => {
    const name = join(dir, `pre-${preallocation}`);
    await new NodeFiles().create(name, { size: MiB, preallocation });
    expect(statSync(name)).toMatchObject({ size: MiB, blocks: MiB / 512 });
    await opened(`pre-${preallocation}`, async (handle) => {
      await handle.write?.(0, new Uint8Array([1]));
      await handle.truncate?.(3 * MiB, preallocation);
      expect(handle.size()).toBe(3 * MiB);
    });
    expect(statSync(name)).toMatchObject({ size: 3 * MiB, blocks: (3 * MiB) / 512 });
    expect(
      readFileSync(name)
        .subarray(1)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  it('gives an empty file its first block when it gets a size', async () => {
    const name = join(dir, 'first-block');
    for (const size of [MiB, 1000]) {
      await new NodeFiles().create(name, { size, preallocation: 'off' });
      expect(statSync(name)).toMatchObject({ size, blocks: 8 });
    }
    expect(readFileSync(name)).toEqual(Buffer.alloc(1000));
    await opened('first-block', async (handle) => handle.truncate?.(MiB, 'off'));
    expect(statSync(name)).toMatchObject({ size: MiB, blocks: 8 });
  });

  it('leaves the size as it was when there is no room', async () => {
    await sparseFile('full-disk', 1, [0]);
    const real = libc();
    if (!real) return;
    // A disk that is full for everybody else is too high a price for a test.
    const full: Libc = { ...real, fallocateSync: () => -constants.errno.ENOSPC };
    const handle = await new NodeFiles({ libc: full }).open(join(dir, 'full-disk'), { writable: true });
    await expect(handle.truncate?.(2 * MiB, 'falloc')).rejects.toMatchObject({
      kind: 'no-space',
      message: 'Could not preallocate new data: No space left on device',
    });
    expect(handle.size()).toBe(MiB);
    await handle.close();
    expect(statSync(join(dir, 'full-disk')).size).toBe(MiB);
  });

  it('writes zeroes where the file system reserves nothing', async () => {
    await sparseFile('unreserved', 1, [0]);
    const real = libc();
    if (!real) return;
    const poor: Libc = { ...real, fallocateSync: () => -constants.errno.EOPNOTSUPP };
    const handle = await new NodeFiles({ libc: poor }).open(join(dir, 'unreserved'), { writable: true });
    await handle.truncate?.(2 * MiB, 'falloc');
    expect(await handle.allocatedSize?.()).toBe(2 * MiB);
    expect(() => handle.writeZeroes?.(0, 512, {})).toThrow('Operation not supported');
    await handle.discard?.(0, 512);
    await handle.close();
  });

  it('is refused for metadata and for shrinking', async () => {
    await sparseFile('refused', 1, []);
    await opened('refused', async (handle) => {
      expect(() => handle.truncate?.(2 * MiB, 'metadata')).toThrow('Unsupported preallocation mode: metadata');
      expect(() => handle.truncate?.(512, 'full')).toThrow('Preallocation can only be used for growing images');
      await handle.truncate?.(512, 'off');
      expect(handle.size()).toBe(512);
    });
  });

  it('says that a file cannot be that large', async () => {
    writeFileSync(join(dir, 'large'), '');
    await opened('large', async (handle) => {
      const grow = async () => handle.truncate?.(2 ** 62, 'full');
      await expect(grow()).rejects.toMatchObject({
        kind: 'too-large',
        message: 'Could not resize file: File too large',
      });
    });
  });
});

describe('copying inside the kernel', () => {
  it('copies ranges, grows the target and stops at the end of the source', async () => {
    await sparseFile('source', 3, [1]);
    await sparseFile('target', 1, []);
    await opened('source', (source) =>
      opened('target', async (target) => {
        const odd = 5;
        for (let done = 0; done < 2 * MiB; ) {
          const count = await target.copyFrom?.(source, done, odd + done, 2 * MiB - done, 'copy');
          if (!count) return; // No kernel copy on this system: nothing to see.
          done += count;
        }
        expect(target.size()).toBe(2 * MiB + odd);
        expect(await target.copyFrom?.(source, 3 * MiB, 0, 10, 'copy')).toBe(0);
      }),
    );
    const bytes = readFileSync(join(dir, 'target'));
    const copied = readFileSync(join(dir, 'source')).subarray(0, 2 * MiB);
    expect(Buffer.compare(bytes.subarray(5), copied)).toBe(0);
  });

  it('leaves the file as long as it is when nothing could be shared', async () => {
    await sparseFile('odd', 3, [1]);
    await sparseFile('short', 1, []);
    await opened('odd', (source) =>
      opened('short', async (target) => {
        // No block begins there.
        expect((await target.copyFrom?.(source, 512, 0, 3 * MiB - 512, 'share')) ?? 0).toBe(0);
        await target.truncate?.(MiB + 512, 'off');
        expect(target.size()).toBe(MiB + 512);
      }),
    );
    expect(statSync(join(dir, 'short')).size).toBe(MiB + 512);
  });

  it('does nothing for what is no file here', async () => {
    await sparseFile('target2', 1, []);
    await opened('target2', async (target) => {
      const source = await new NodeFiles().open('/dev/zero', { writable: false });
      expect(await target.copyFrom?.(source, 0, 0, 512, 'copy')).toBe(0);
      await source.close();
    });
  });
});

describe('long writes', () => {
  /** Calls of fallocate(2) for such writes, `[offset, length]` each, when it answers like that. */
  async function calls(
    writes: readonly (readonly [number, number])[],
    answer: (real: Libc, ...call: Parameters<Libc['fallocateSync']>) => number,
  ): Promise<number[][]> {
    const real = libc();
    if (!real) return [];
    const found: number[][] = [];
    const fallocateSync: Libc['fallocateSync'] = (fd, mode, offset, length) => {
      found.push([mode, offset, length]);
      return answer(real, fd, mode, offset, length);
    };
    const name = join(dir, 'long');
    writeFileSync(name, '');
    const handle = await new NodeFiles({ libc: { ...real, fallocateSync } }).open(name, { writable: true });
    for (const [offset, length] of writes) await handle.write?.(offset, new Uint8Array(length).fill(7));
    await handle.close();
    const stored = readFileSync(name);
    for (const [offset, length] of writes)
      expect(stored.subarray(offset, offset + length).every((b) => b === 7)).toBe(true);
    expect(statSync(name).blocks).toBe(writes.reduce((sum, [, length]) => sum + length, 0) / 512);
    return found;
  }

  it('have their blocks first on ext4 only', async () => {
    const ext4 = libc() !== undefined && statfsSync(dir).type === 0xef53;
    const one = [[1, 2 * MiB, MiB]];
    expect(await calls([[2 * MiB, MiB]], (real, ...call) => real.fallocateSync(...call))).toEqual(ext4 ? one : []);
    // The write itself tells whether there is room.
    expect(await calls([[2 * MiB, MiB]], () => -constants.errno.ENOSPC)).toEqual(ext4 ? one : []);
    const refused = await calls(
      [
        [2 * MiB, MiB],
        [0, MiB],
      ],
      () => -constants.errno.EOPNOTSUPP,
    );
    expect(refused).toEqual(ext4 ? one : []);
    expect(await calls([[0, 4096]], (real, ...call) => real.fallocateSync(...call))).toEqual([]);
  });
});
