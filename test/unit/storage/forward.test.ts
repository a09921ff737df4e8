import { describe, expect, it } from 'vitest';
import type { ByteStream } from '../../../src/base/byteStream.ts';
import { BlockError } from '../../../src/base/error.ts';
import { MiB } from '../../../src/base/offset.ts';
import { type ForwardSource, ForwardStorage, type SpoolStorage } from '../../../src/storage/forward.ts';
import { MemoryDriver } from '../../../src/storage/memory.ts';

const SIZE = 20 * MiB;

/** Byte at an offset: zero in every other MiB. */
function byteAt(offset: number): number {
  return Math.floor(offset / MiB) % 2 === 0 ? (offset * 7 + Math.floor(offset / 977)) & 255 : 0;
}

const CONTENT = Buffer.alloc(SIZE + 1);
for (let at = 0; at < CONTENT.length; at++) CONTENT[at] = byteAt(at);

/** A stream of `[start, end)`, in pieces of odd lengths. */
function stream(start: number, end: number): ByteStream {
  let at = start;
  return {
    read(into) {
      const count = Math.min(into.length, end - at, 70_001);
      into.set(CONTENT.subarray(at, at + count));
      at += count;
      return count;
    },
    close: () => undefined,
  };
}

interface Counted {
  readonly storage: ForwardStorage;
  readonly opened: number[];
  readonly spooled: number[];
}

function forward(how: Partial<ForwardSource> & { readonly size?: number; readonly real?: number } = {}): Counted {
  const opened: number[] = [];
  const spooled: number[] = [];
  const { size = SIZE, real = size, starts = [0] } = how;
  const storage = new ForwardStorage(
    {
      starts,
      ...(how.once ? { once: true } : {}),
      open: async (index) => {
        opened.push(index);
        return stream(starts[index] as number, real);
      },
    },
    {
      size,
      wrongSize: (end) => new BlockError('io', end === undefined ? 'too long' : `too short: ${end}`),
      async spool() {
        const memory = new MemoryDriver();
        const made: SpoolStorage = {
          limits: memory.limits,
          size: () => memory.size(),
          read: async (offset, into) => {
            into.fill(0);
            const there = Math.max(0, Math.min(into.length, memory.size() - offset));
            memory.read(offset, into.subarray(0, there));
          },
          write: async (offset, from) => {
            spooled.push(from.length);
            memory.write(offset, from);
          },
          close: () => memory.close(),
        };
        return made;
      },
    },
  );
  return { storage, opened, spooled };
}

async function expectAt(storage: ForwardStorage, offset: number, length: number): Promise<void> {
  const bytes = new Uint8Array(length);
  await storage.read(offset, bytes);
  expect(CONTENT.subarray(offset, offset + length).equals(bytes)).toBe(true);
}

describe('a storage over bytes in order', () => {
  it('is read in one go, also by requests side by side that are a little out of order', async () => {
    const { storage, opened } = forward();
    const order = [2, 0, 1, 3, 5, 4, 7, 6, 8, 9];
    await Promise.all(order.map((piece) => expectAt(storage, piece * 2 * MiB, 2 * MiB)));
    await storage.verify();
    expect(opened).toEqual([0]);
    await storage.close();
  });

  it('begins again for what is long gone, and gives requests that are longer than what it keeps', async () => {
    const { storage, opened } = forward();
    await expectAt(storage, SIZE - 1000, 1000);
    await expectAt(storage, 5, 12 * MiB);
    expect(opened).toEqual([0, 0]);
  });

  it('begins at the last place before what is asked for', async () => {
    const { storage, opened } = forward({ starts: [0, 3 * MiB, 9 * MiB + 5, 15 * MiB] });
    await expectAt(storage, 16 * MiB, 100);
    await expectAt(storage, 10 * MiB, 100);
    await expectAt(storage, 3 * MiB, 100);
    expect(opened).toEqual([3, 2, 1]);
  });

  it('keeps everything in a spool when it would begin again too often, and leaves zeroes out of that', async () => {
    const { storage, opened, spooled } = forward();
    for (let i = 0; i < 40; i++) {
      await expectAt(storage, SIZE - 100 - i, 100);
      await expectAt(storage, i * 10, 100);
    }
    expect(opened.length).toBeLessThan(30);
    expect(spooled.reduce((sum, length) => sum + length, 0)).toBeLessThan(SIZE / 2 + MiB);
    await expectAt(storage, 0, SIZE);
  });

  it('tells where the end is too early, or too late', async () => {
    await expect(expectAt(forward({ real: MiB }).storage, MiB - 10, 20)).rejects.toMatchObject({
      message: `too short: ${MiB}`,
      strerror: `too short: ${MiB}`,
    });
    const { storage } = forward({ size: MiB, real: MiB + 1 });
    await expect(expectAt(storage, 0, MiB)).rejects.toThrow('too long');
  });

  it('looks at what was not read when it is verified', async () => {
    const { storage } = forward({ real: SIZE - 1 });
    await expectAt(storage, 0, 100);
    await expect(storage.verify()).rejects.toThrow('too short');
  });

  it('cannot go back in what comes once', async () => {
    const { storage } = forward({ once: true });
    await expectAt(storage, 10 * MiB, 100);
    await expectAt(storage, 9 * MiB, 100);
    await expect(expectAt(storage, 0, 100)).rejects.toThrow('cannot be read again');
  });
});
