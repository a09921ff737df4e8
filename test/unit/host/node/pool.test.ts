import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { nodeCodecs } from '../../../../src/host/node/codecs.ts';
import type { JobRequest, PoolOptions } from '../../../../src/host/node/pool.ts';
import { forOtherThread, WorkerPool } from '../../../../src/host/node/pool.ts';

const directory = mkdtempSync(join(tmpdir(), 'qimg-pool-'));
const worker = join(directory, 'worker.js');
const pools: WorkerPool[] = [];

function newPool(options: PoolOptions): WorkerPool {
  const pool = new WorkerPool({ threads: 2, startAfter: 1, ...options });
  pools.push(pool);
  return pool;
}

beforeAll(async () => {
  const entry = fileURLToPath(new URL('../../../../src/host/node/worker.ts', import.meta.url));
  const bundle = await rolldown({ input: { worker: entry }, platform: 'node', external: ['@bokuweb/zstd-wasm'] });
  await bundle.write({ dir: directory, format: 'esm' });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
});
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const input = Uint8Array.from({ length: 8192 }, (_, i) => (i * i) >> 9);

/** A small job; `seen` is told when it goes to a worker. */
function job(seen: () => void = () => {}): JobRequest<'compress'> {
  const argument = { how: { method: 'deflate-raw' }, input, unit: 4096, limit: 4096, mayOverwrite: false } as const;
  return {
    name: 'compress',
    argument,
    cost: 1,
    forWorker: () => {
      seen();
      return { ...argument, input: input.slice() };
    },
  };
}

/** Runs jobs until `count` of them went to a worker; returns the outcomes of those. */
async function onWorkers(pool: WorkerPool, count: number): Promise<PromiseSettledResult<unknown>[]> {
  const outcomes: Promise<unknown>[] = [];
  for (const end = Date.now() + 30_000; outcomes.length < count; ) {
    if (Date.now() > end) throw new Error('no worker took a job');
    const batch = Array.from({ length: 8 }, () => {
      let taken = false;
      const outcome = pool.run(job(() => (taken = true)));
      return { outcome, wasTaken: () => taken };
    });
    await Promise.allSettled(batch.map((item) => item.outcome));
    outcomes.push(...batch.filter((item) => item.wasTaken()).map((item) => item.outcome));
  }
  return Promise.allSettled(outcomes);
}

describe('WorkerPool', () => {
  it('does all on the main thread where there is no worker', async () => {
    const pool = newPool({ worker: undefined });
    const { lengths } = await pool.run(job());
    expect(lengths).toHaveLength(2);
    expect(pool.workers).toBe(0);
  });

  it('starts no worker for little work, and never more than it may', async () => {
    const pool = newPool({ worker, startAfter: 3, threads: 3 });
    await pool.run(job());
    expect(pool.workers).toBe(0);
    await Promise.all(Array.from({ length: 20 }, () => pool.run(job())));
    expect(pool.workers).toBe(2);
    const alone = newPool({ worker, threads: 1 });
    await Promise.all(Array.from({ length: 20 }, () => alone.run(job())));
    expect(alone.workers).toBe(0);
  });

  it('lets workers go that have nothing to do, and starts others when there is work again', async () => {
    const pool = newPool({ worker, restAfter: 50 });
    await onWorkers(pool, 1);
    expect(pool.workers).toBe(1);
    await vi.waitFor(() => expect(pool.workers).toBe(0), 5000);
    await onWorkers(pool, 1);
    expect(pool.workers).toBe(1);
  });

  it('lets them go at once when it is told to, but not those that work', async () => {
    const pool = newPool({ worker });
    await onWorkers(pool, 1);
    const working = pool.run(job());
    await pool.rest();
    await working;
    await pool.rest();
    expect(pool.workers).toBe(0);
    await onWorkers(pool, 1);
  });

  it('yields the same from a worker as from the main thread', async () => {
    const pool = newPool({ worker });
    const here = await newPool({ worker: undefined }).run(job());
    for (const outcome of await onWorkers(pool, 4)) {
      expect(outcome.status).toBe('fulfilled');
      const { lengths, bytes } = (outcome as PromiseFulfilledResult<typeof here>).value;
      expect(lengths).toEqual(here.lengths);
      expect(Buffer.compare(bytes, here.bytes)).toBe(0);
    }
  });

  it('passes on errors of a task as BlockErrors', async () => {
    const pool = newPool({ worker });
    await onWorkers(pool, 1);
    const codecs = nodeCodecs(pool);
    const pieces = Array.from({ length: 40 }, () => ({
      input: Uint8Array.of(255, 255),
      output: new Uint8Array(600_000),
    }));
    await expect(codecs.decompressBatch({ method: 'deflate-raw' }, pieces)).rejects.toMatchObject({
      name: 'BlockError',
      kind: 'io',
    });
  });

  it('gives away copies, unless the memory is shared', () => {
    const moved: unknown[] = [];
    // A buffer of this size lies in an allocation common to many, and its slice() does not copy.
    const buffer = Buffer.from('some text');
    const copy = forOtherThread(buffer, moved as ArrayBuffer[]);
    expect(copy).toEqual(new Uint8Array(buffer));
    expect(copy.buffer).not.toBe(buffer.buffer);
    expect(moved).toEqual([copy.buffer]);
    const shared = new Uint8Array(new SharedArrayBuffer(9));
    expect(forOtherThread(shared, moved as ArrayBuffer[])).toBe(shared);
    expect(moved).toHaveLength(1);
  });

  it.each(['shared', 'private'])('decodes into %s memory', async (kind) => {
    const pool = newPool({ worker });
    await onWorkers(pool, 1);
    const codecs = nodeCodecs(pool);
    const [stream] = await codecs.compressBatch({ method: 'zlib' }, input, input.length, input.length);
    const room = input.length + 7;
    const pieces = Array.from({ length: 1000 }, () => ({
      input: stream as Uint8Array,
      output: kind === 'shared' ? new Uint8Array(new SharedArrayBuffer(room)) : new Uint8Array(room),
    }));
    expect(new Set(await codecs.decompressBatch({ method: 'zlib' }, pieces))).toEqual(new Set([input.length]));
    expect(pieces.every(({ output }) => Buffer.compare(output.subarray(0, input.length), input) === 0)).toBe(true);
  });

  it('does without workers that do not start', async () => {
    const broken = join(directory, 'broken.js');
    writeFileSync(broken, 'throw new Error("no");');
    const pool = newPool({ worker: broken });
    await Promise.all(Array.from({ length: 8 }, () => pool.run(job())));
    await expect.poll(() => pool.workers).toBe(0);
    expect((await pool.run(job())).lengths).toHaveLength(2);
    const missing = newPool({ worker: join(directory, 'missing.js') });
    await Promise.all(Array.from({ length: 8 }, () => missing.run(job())));
  });

  it('reports a worker that dies, and works on', async () => {
    const dying = join(directory, 'dying.js');
    const source = `import { parentPort } from 'node:worker_threads';
      parentPort.on('message', () => process.exit(3)); parentPort.postMessage({ ready: true });`;
    writeFileSync(dying, source);
    const pool = newPool({ worker: dying });
    for (const outcome of await onWorkers(pool, 1)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'BlockError', kind: 'internal' } });
    }
    expect((await pool.run(job())).lengths).toHaveLength(2);
  });

  it('rejects what is not done when it is closed', async () => {
    const pool = newPool({ worker });
    await onWorkers(pool, 1);
    const outcomes = Promise.allSettled(Array.from({ length: 30 }, () => pool.run(job())));
    await pool.close();
    const aborted = (await outcomes).filter((outcome) => outcome.status === 'rejected');
    expect(aborted.length).toBeGreaterThan(0);
    for (const { reason } of aborted) expect(reason).toMatchObject({ kind: 'aborted' });
    await expect(pool.run(job())).rejects.toMatchObject({ kind: 'aborted' });
  });
});
