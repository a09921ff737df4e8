import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { firstDifference } from '../../../src/base/zero.ts';
import { ImageNode } from '../../../src/block/node/node.ts';
import { passThrough, passThroughDriver } from '../../../src/block/graph/passThrough.ts';
import type { BufferPool } from '../../../src/base/inflight.ts';
import type { Services } from '../../../src/block/services.ts';
import type { OperationContext } from '../../../src/operations/context.ts';
import { type CopyOptions, copyInto } from '../../../src/operations/copy/copy.ts';
import { type Piece, Planner } from '../../../src/operations/copy/plan.ts';
import { readSegments } from '../../../src/operations/copy/reading.ts';
import { Sharing } from '../../../src/operations/copy/sharing.ts';
import { CopySource, type RunSource, type SourceRun } from '../../../src/operations/copy/source.ts';
import { sharedArray } from '../../../src/base/kernels.ts';
import { splitZeroes, widenData, zeroSearch } from '../../../src/operations/copy/zeroRuns.ts';
import { CheckedStorage } from '../../../src/storage/checked.ts';
import { FaultDriver } from '../../../src/storage/fault.ts';
import { MemoryDriver, memoryStorage } from '../../../src/storage/memory.ts';
import type { KernelCopy, StorageDriver } from '../../../src/storage/storage.ts';
import { FakeImage, type FakeOptions } from '../../support/fakeFormat.ts';

/** Small buffers, so that small images have many pieces. Counts what is out. */
class TinyBuffers implements BufferPool {
  readonly size = 8192;
  out = 0;
  most = 0;

  acquire(): Uint8Array {
    this.most = Math.max(this.most, ++this.out);
    return new Uint8Array(this.size).fill(0xee);
  }

  release(): void {
    this.out--;
  }
}

function contextWith(buffers: BufferPool, more: Partial<OperationContext> = {}): OperationContext {
  const services = { buffers, now: () => ({ seconds: 0, nanoseconds: 0 }), wait: async () => undefined };
  return { services: services as unknown as Services, ...more } as OperationContext;
}

/** A clock that goes on only while somebody waits. */
function patientClock(): Pick<Services, 'now' | 'wait'> {
  let seconds = 0;
  return {
    now: () => ({ seconds, nanoseconds: 0 }),
    async wait(milliseconds) {
      seconds += milliseconds / 1000;
    },
  };
}

function rawNode(content: Uint8Array, name = 'raw'): ImageNode {
  return passThrough(memoryStorage(content, name), 'file');
}

function fakeNode(options: FakeOptions, backing?: ImageNode): ImageNode {
  const driver = new FakeImage(options);
  return new ImageNode({
    name: 'fake',
    format: 'fake',
    driver,
    readOnly: false,
    file: memoryStorage(0),
    ...(backing ? { backing } : {}),
  });
}

async function contentOf(node: ImageNode): Promise<Uint8Array> {
  const bytes = new Uint8Array(node.size());
  await node.read(0, bytes);
  return bytes;
}

/** Quicker than `toEqual` for large arrays. */
async function expectContent(node: ImageNode, expected: Uint8Array | ImageNode): Promise<void> {
  const wanted = expected instanceof ImageNode ? await contentOf(expected) : expected;
  expect(firstDifference(await contentOf(node), wanted)).toBe(-1);
}

const NEW: CopyOptions = { zeroedFrom: 0, sparseSize: 4096 };

function bytesOf(sectors: readonly number[], cut: number): Uint8Array {
  const bytes = new Uint8Array(sectors.length * 512 - cut);
  for (const [index, value] of sectors.entries()) bytes.fill(value, index * 512, (index + 1) * 512);
  return bytes;
}

/** What is wrong with a piece; empty if nothing is. */
function mistakesOf(piece: Piece, kinds: readonly SourceRun['kind'][], unit: number): string[] {
  const inside = kinds.slice(piece.offset / 512, (piece.offset + piece.length) / 512);
  if (piece.kind !== 'data') {
    const wanted = piece.kind === 'zero' ? 'zero' : 'below';
    return inside.every((kind) => kind === wanted) ? [] : [`other runs in ${piece.kind}`];
  }
  const found: string[] = [];
  if (Math.floor(piece.offset / 8192) !== Math.floor((piece.offset + piece.length - 1) / 8192)) found.push('too long');
  if (piece.segments.reduce((sum, { length }) => sum + length, 0) !== piece.length) found.push('bad segments');
  const step = Math.max(1, unit / 512);
  for (let at = 0; at < inside.length; at += step) {
    const one = new Set(inside.slice(at, at + step));
    if (!one.has('data') && one.size === 1) found.push(`needless unit ${at}`);
  }
  return found;
}

describe('zero search', () => {
  const sector = fc.constantFrom(0, 0, 0, 1);
  const pattern = fc.array(sector, { minLength: 1, maxLength: 100 });
  const shared = sharedArray(65536);

  it('finds exactly the aligned areas that are all zero', () => {
    fc.assert(
      fc.property(pattern, fc.nat(511), fc.nat(40), fc.constantFrom(512, 4096, 8192), (sectors, cut, shift, size) => {
        const bytes = bytesOf(sectors, cut);
        const search = zeroSearch(size);
        const offset = shift * 512;
        const runs = splitZeroes(bytes, offset, search);
        const inKernelMemory = shared.subarray(0, bytes.length);
        inKernelMemory.set(bytes);
        expect(splitZeroes(inKernelMemory, offset, search)).toEqual(runs);
        expect(runs.at(-1)?.end).toBe(bytes.length);
        for (const [index, run] of runs.entries()) {
          const before = runs[index - 1] ?? { end: 0, zero: !run.zero };
          expect([run.start, run.zero]).toEqual([before.end, !before.zero]);
          for (let at = run.start; at < run.end; ) {
            const end = Math.min(bytes.length, Math.floor((offset + at) / search.step + 1) * search.step - offset);
            expect(bytes.subarray(at, end).every((byte) => byte === 0)).toBe(run.zero);
            at = end;
          }
        }
      }),
    );
  });

  it('looks in steps of a power of two, but leaves out only runs of the size that was asked for', () => {
    const bytes = new Uint8Array(65536).fill(1).fill(0, 8192, 20480).fill(0, 32768, 57344);
    const zeroes = (size: number): number[][] =>
      splitZeroes(bytes, 0, zeroSearch(size))
        .filter((run) => run.zero)
        .map(({ start, end }) => [start, end]);
    expect(zeroes(512)).toEqual([
      [8192, 20480],
      [32768, 57344],
    ]);
    expect(zeroes(6144)).toEqual(zeroes(512));
    expect(zeroes(12288)).toEqual([[32768, 57344]]);
    expect(zeroes(16384)).toEqual([[32768, 49152]]);
  });

  it('widens data to whole units and never beyond the buffer', () => {
    const runs = splitZeroes(new Uint8Array(40000).fill(1, 20000, 20001), 0, zeroSearch(4096));
    expect(widenData(runs, 0, 40000, 16384)).toEqual([
      { start: 0, end: 16384, zero: true },
      { start: 16384, end: 32768, zero: false },
      { start: 32768, end: 40000, zero: true },
    ]);
    expect(widenData(runs, 8192, 40000, 65536)).toEqual([{ start: 0, end: 40000, zero: false }]);
  });
});

describe('planner', () => {
  const kind = fc.constantFrom<SourceRun['kind']>('data', 'zero', 'below');
  const runs = fc.array(fc.record({ kind, sectors: fc.integer({ min: 1, max: 20 }) }), { minLength: 1, maxLength: 30 });

  it('covers the source once, in order, with whole units, and leaves out only whole units', async () => {
    await fc.assert(
      fc.asyncProperty(runs, fc.constantFrom(1, 2048, 4096), fc.boolean(), async (list, unit, slow) => {
        const storage = memoryStorage(0);
        const kinds = list.flatMap(({ kind: one, sectors }) => Array.from({ length: sectors }, () => one));
        const source: RunSource = {
          size: kinds.length * 512,
          at(offset, length) {
            const first = offset / 512;
            let last = first + 1;
            while (last < kinds.length && kinds[last] === kinds[first] && (last - first) * 512 < length) last++;
            const run = { length: (last - first) * 512, kind: kinds[first] ?? 'zero', storage, offset };
            return slow ? Promise.resolve(run) : run;
          },
        };
        const planner = new Planner(source, { chunk: 8192, unit });
        let at = 0;
        for (let piece = await planner.next(); piece; piece = await planner.next()) {
          expect(piece.offset).toBe(at);
          expect(piece.offset % unit).toBe(0);
          expect(piece.length).toBeGreaterThan(0);
          at += piece.length;
          expect(at === source.size ? 0 : at % unit).toBe(0);
          expect(mistakesOf(piece, kinds, unit)).toEqual([]);
        }
        expect(at).toBe(source.size);
      }),
      { numRuns: 60 },
    );
  });
});

describe('segments of a piece', () => {
  it('are read side by side, and all are back before the first failure is told', async () => {
    const log: string[] = [];
    const storage = (name: string, turns: number, fails: boolean): CheckedStorage => {
      const driver = new MemoryDriver(512);
      const read = async (): Promise<void> => {
        log.push(`${name} begins`);
        for (let i = 0; i < turns; i++) await Promise.resolve();
        log.push(`${name} ends`);
        if (fails) throw new BlockError('io', name);
      };
      Object.assign(driver, { read });
      return new CheckedStorage(driver, { name, readOnly: true });
    };
    const segments = [storage('slow', 20, true), storage('quick', 1, true), storage('slowest', 40, false)];
    const reading = readSegments(
      segments.map((one) => ({ length: 512, storage: one, offset: 0 })),
      new Uint8Array(3 * 512),
    );
    await expect(reading).rejects.toThrow('slow');
    expect(log).toEqual(['slow begins', 'quick begins', 'slowest begins', 'quick ends', 'slow ends', 'slowest ends']);
  });
});

describe('copy', () => {
  const area = fc.record({
    offset: fc.nat(60 * 1024),
    length: fc.integer({ min: 1, max: 12000 }),
    value: fc.constantFrom(0, 1, 2),
  });
  const size = 64 * 1024;

  async function fill(node: ImageNode, areas: readonly { offset: number; length: number; value: number }[]) {
    for (const { offset, length, value } of areas) {
      const count = Math.min(length, size - offset);
      if (value === 0) await node.writeZeroes(offset, count);
      else await node.write(offset, new Uint8Array(count).fill(value));
    }
  }

  it('brings the same bytes into new and into used targets, and gives all buffers back', async () => {
    const layers = fc.array(fc.array(area, { maxLength: 6 }), { minLength: 1, maxLength: 3 });
    const targets = fc.record({
      cluster: fc.constantFrom(512, 4096, 32768),
      used: fc.boolean(),
      encrypted: fc.boolean(),
      slow: fc.boolean(),
      sparseSize: fc.constantFrom(0, 512, 4096, 16384),
    });
    await fc.assert(
      fc.asyncProperty(layers, targets, async (chain, { cluster, used, encrypted, slow, sparseSize }) => {
        let source: ImageNode | undefined;
        for (const areas of chain) {
          source = fakeNode({ size, cluster: 4096, zeroFlags: true, slow }, source);
          await fill(source, areas);
        }
        const target = fakeNode({ size, cluster, encrypted, zeroFlags: true });
        if (used) await target.write(0, new Uint8Array(size).fill(9));
        const buffers = new TinyBuffers();
        await copyInto(contextWith(buffers), new CopySource([source as ImageNode]), target, {
          zeroedFrom: used ? Number.POSITIVE_INFINITY : 0,
          sparseSize,
          zeroesAsData: sparseSize === 0,
        });
        await expectContent(target, source as ImageNode);
        expect(buffers.out).toBe(0);
        expect(buffers.most).toBeLessThanOrEqual(16);
      }),
      { numRuns: 40 },
    );
  });

  describe('sharing', () => {
    /** Storage that can share with others of its kind; what was shared is listed as `from>to+length`. */
    class SharingDriver extends MemoryDriver {
      readonly shared: string[] = [];
      refuses = false;

      copyFrom(other: StorageDriver, from: number, to: number, length: number, how: KernelCopy): number {
        const whole = length - (length % 4096);
        if (how !== 'share' || this.refuses || from % 4096 !== 0 || to % 4096 !== 0 || whole === 0) return 0;
        const bytes = new Uint8Array(Math.min(whole, other.size() - from));
        if (other instanceof MemoryDriver) other.read(from, bytes);
        this.write(to, bytes);
        this.shared.push(`${from}>${to}+${bytes.length}`);
        return bytes.length;
      }

      sharesWith(other: StorageDriver): boolean {
        return other instanceof SharingDriver;
      }
    }

    function nodeOver(driver: MemoryDriver, format: 'raw' | FakeImage): ImageNode {
      const file = new CheckedStorage(driver, { name: 'memory', readOnly: false });
      if (format !== 'raw') {
        Object.assign(format, { storage: file });
        return new ImageNode({ name: 'fake', format: 'fake', driver: format, readOnly: false, file });
      }
      return new ImageNode({
        name: 'raw',
        format,
        plain: true,
        driver: passThroughDriver(file),
        readOnly: false,
        file,
      });
    }

    /** A raw disk of 64 KiB pages: data, nothing, data, and a last page that is not full. */
    function pages(): { driver: SharingDriver; node: ImageNode } {
      const driver = new SharingDriver(5 * 65536 + 1024);
      for (const [page, length] of [
        [0, 65536],
        [1, 65536],
        [3, 4096],
        [5, 1024],
      ] as const) {
        driver.write(page * 65536, new Uint8Array(length).fill(page + 1));
      }
      // Zeroes that are stored are shared like any other bytes.
      driver.write(8192, new Uint8Array(8192));
      return { driver, node: nodeOver(driver, 'raw') };
    }

    async function share(from: ImageNode, to: ImageNode): Promise<TinyBuffers> {
      const buffers = new TinyBuffers();
      const sharing = Sharing.between([from], to);
      expect(sharing).toBeDefined();
      await copyInto(contextWith(buffers), new CopySource([from]), to, { ...NEW, ...(sharing ? { sharing } : {}) });
      expect(buffers.out).toBe(0);
      await expectContent(to, from);
      return buffers;
    }

    it('takes data as they are, and copies only what is less than a block', async () => {
      const { node } = pages();
      const driver = new SharingDriver(node.size());
      const buffers = await share(node, nodeOver(driver, 'raw'));
      expect(driver.shared).toEqual(['0>0+131072', '196608>196608+65536']);
      expect(buffers.most).toBe(1);
    });

    it('takes whole units for formats that have some', async () => {
      const { node } = pages();
      const driver = new SharingDriver();
      const image = new FakeImage({ size: node.size(), cluster: 32768, zeroFlags: true });
      await share(node, nodeOver(driver, image));
      // Of the last unit less than a block is left.
      expect(driver.shared).toEqual(['0>0+131072', '196608>131072+65536']);
    });

    it('loses no room behind which the file ends when only blocks of a last unit of zeroes are shared', async () => {
      const from = new SharingDriver();
      from.write(0, new Uint8Array(4096 + 1024));
      const driver = new SharingDriver();
      const to = nodeOver(driver, new FakeImage({ size: from.size(), cluster: 32768, zeroFlags: true }));
      await share(nodeOver(from, 'raw'), to);
      expect(driver.shared).toEqual(['0>0+4096']);
      expect(await to.map(0, 512)).toMatchObject({ kind: 'data' });
    });

    it('copies the rest after what could not be shared', async () => {
      const { node } = pages();
      const driver = new SharingDriver(node.size());
      driver.refuses = true;
      await share(node, nodeOver(driver, 'raw'));
      // Zeroes are looked for in what is copied.
      expect(driver.status(2 * 65536, 65536).kind).toBe('hole');
    });

    it('says what could not be read in the words of a copy', async () => {
      const { driver, node } = pages();
      const target = new SharingDriver(node.size());
      target.refuses = true;
      const to = nodeOver(target, 'raw');
      const sharing = Sharing.demand([node], to, 'to');
      driver.read = () => {
        throw new BlockError('io', 'bad medium', { posix: { code: 'EIO', text: 'Input/output error' } });
      };
      await expect(
        copyInto(contextWith(new TinyBuffers()), new CopySource([node]), to, { ...NEW, sharing }),
      ).rejects.toMatchObject({ message: 'error while reading at byte 0: Input/output error' });
    });

    it('is refused, or left out, where the storages cannot', () => {
      const { node } = pages();
      const other = nodeOver(new MemoryDriver(node.size()), 'raw');
      expect(Sharing.between([node], other)).toBeUndefined();
      expect(Sharing.between([other], node)).toBeUndefined();
      expect(() => Sharing.demand([node], other, 'other')).toThrow("Blocks of 'memory' cannot be shared with 'other'");
    });
  });

  it('puts several sources behind each other, each padded to a sector', async () => {
    const sources = [rawNode(new Uint8Array(1000).fill(1)), rawNode(new Uint8Array(512).fill(2))];
    const target = fakeNode({ size: 1536, cluster: 512 });
    const source = new CopySource(sources);
    expect(source.size).toBe(1536);
    await copyInto(contextWith(new TinyBuffers()), source, target, NEW);
    const expected = new Uint8Array(1536).fill(1, 0, 1000).fill(2, 1024);
    await expectContent(target, expected);
  });

  it('copies only what the layers above have, and zeroes that hide what is below', async () => {
    const base = fakeNode({ size, cluster: 4096 });
    await base.write(0, new Uint8Array(size).fill(7));
    const top = fakeNode({ size, cluster: 4096, zeroFlags: true }, base);
    await top.write(4096, new Uint8Array(4096).fill(8));
    await top.writeZeroes(16384, 4096);
    const target = fakeNode({ size, cluster: 4096, zeroFlags: true }, base);
    await copyInto(contextWith(new TinyBuffers()), new CopySource([top], { layers: 1 }), target, {
      zeroedFrom: size,
      belowEnd: size,
      sparseSize: 4096,
    });
    await expectContent(target, top);
    const kinds = [0, 4096, 8192, 16384].map((at) => (target.map(at, 4096) as { kind: string }).kind);
    expect(kinds).toEqual(['unallocated', 'data', 'unallocated', 'zero']);
  });

  it('compresses in units, in order, and stores plainly what does not get smaller', async () => {
    const source = rawNode(new Uint8Array(size).fill(1, 4096, 12288).fill(2, 40000, 40001));
    const stored: number[] = [];
    const compressor = {
      unit: 4096,
      encode: async (_: number, bytes: Uint8Array) =>
        Array.from({ length: bytes.length / 4096 }, (_one, index) =>
          bytes[index * 4096] === 0 ? undefined : Uint8Array.of(1),
        ),
      store: (offset: number) => {
        stored.push(offset);
      },
    };
    const driver = Object.assign(new FakeImage({ size, cluster: 4096 }), { compressor });
    const target = new ImageNode({ name: 'fake', format: 'fake', driver, readOnly: false });
    await copyInto(contextWith(new TinyBuffers()), new CopySource([source]), target, { ...NEW, compressor });
    expect(stored).toEqual([4096, 8192]);
    expect((await contentOf(target))[40000]).toBe(2);
  });

  it('says where reading or writing failed, and gives the buffers back', async () => {
    const buffers = new TinyBuffers();
    const inner = new MemoryDriver(new Uint8Array(size).fill(1));
    const broken = new FaultDriver(inner);
    broken.inject({ operation: 'read', offset: 24576, length: 512 });
    const source = passThrough(new CheckedStorage(broken, { name: 'broken', readOnly: false }), 'file');
    const target = fakeNode({ size, cluster: 512 });
    const done = copyInto(contextWith(buffers), new CopySource([source]), target, NEW);
    await expect(done).rejects.toMatchObject({
      message: 'error while reading at byte 24576: Input/output error',
      context: { access: 'read', offset: 24576 },
    });
    expect(buffers.out).toBe(0);
  });

  it('salvages: sectors that cannot be read become zeroes and are reported', async () => {
    const inner = new MemoryDriver(new Uint8Array(size).fill(1));
    const broken = new FaultDriver(inner);
    broken.inject({ operation: 'read', offset: 24576, length: 513 });
    const source = passThrough(new CheckedStorage(broken, { name: 'broken', readOnly: false }), 'file');
    const target = fakeNode({ size, cluster: 512 });
    const bad: number[] = [];
    const outcome = await copyInto(contextWith(new TinyBuffers()), new CopySource([source]), target, {
      ...NEW,
      onBadSector: (offset) => bad.push(offset),
    });
    expect([bad, outcome.badSectors]).toEqual([[24576, 25088], 2]);
    await expectContent(target, new Uint8Array(size).fill(1).fill(0, 24576, 25600));
  });

  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const context = contextWith(new TinyBuffers(), {
      signal: stop.signal,
      onProgress: (done) => {
        if (done > 10000) stop.abort();
      },
    });
    const source = rawNode(new Uint8Array(size).fill(1));
    const target = fakeNode({ size, cluster: 512 });
    const whole = new CopySource([source]);
    const fine: RunSource = { size, at: (offset) => whole.at(offset, 4096) };
    const done = copyInto(context, whole, target, { ...NEW, counted: () => fine });
    await expect(done).rejects.toMatchObject({ kind: 'aborted' });
    expect((await contentOf(target)).at(-1)).toBe(0);
  });

  it('keeps to a rate', async () => {
    const source = rawNode(new Uint8Array(size).fill(1));
    const target = fakeNode({ size, cluster: 512 });
    const context = contextWith(new TinyBuffers());
    const clock = patientClock();
    const timed = { ...context, services: { ...context.services, ...clock } };
    await copyInto(timed, new CopySource([source]), target, { ...NEW, rateLimit: size * 4 });
    // A quarter of a second, but for what the last piece would have taken.
    expect(clock.now().seconds).toBeGreaterThan(0.18);
    expect(clock.now().seconds).toBeLessThan(0.25);
  });
});
