/** Reads beside writes, zeroes, discards and flushes on one qcow2 image: of each cluster they see what it was or what it becomes. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ImageNode } from '../../src/block/node/node.ts';
import { CheckedStorage } from '../../src/storage/checked.ts';
import { MemoryDriver } from '../../src/storage/memory.ts';
import type { Preallocation, StorageDriver } from '../../src/storage/storage.ts';
import { createOn, openOn, services } from '../unit/formats/qcow2/support.ts';

const CLUSTER = 512;
const CLUSTERS = 6;
const SIZE = CLUSTER * CLUSTERS;
const RUNS = Math.ceil(Number(process.env['QIMG_MODEL_RUNS'] ?? 2000) / 20);
const clock = { ...services, now: () => ({ seconds: 1700000000, nanoseconds: 5 }) };

/** Memory that answers later, in parts and in an order of its own, so that requests meet in every way. */
class SlowDriver implements StorageDriver {
  readonly #memory = new MemoryDriver(0);
  readonly #delays: readonly number[];
  #count = 0;

  constructor(delays: readonly number[]) {
    this.#delays = delays;
  }

  get limits(): StorageDriver['limits'] {
    return this.#memory.limits;
  }

  size(): number {
    return this.#memory.size();
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    for (const [at, part] of parts(into)) {
      await this.#later();
      this.#memory.read(offset + at, part);
    }
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    for (const [at, part] of parts(from)) {
      await this.#later();
      this.#memory.write(offset + at, part);
    }
  }

  async truncate(size: number, preallocation: Preallocation): Promise<void> {
    await this.#later();
    this.#memory.truncate(size, preallocation);
  }

  flush(): Promise<void> {
    return this.#later();
  }

  close(): void {}

  #later(): Promise<void> {
    return wait(this.#delays[this.#count++ % this.#delays.length] ?? 0);
  }
}

/** Lets others go on for so many turns. */
async function wait(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
}

/** Both halves of some bytes, with their places. */
function parts(bytes: Uint8Array): readonly (readonly [at: number, bytes: Uint8Array])[] {
  const half = Math.floor(bytes.length / 2);
  return [
    [0, bytes.subarray(0, half)],
    [half, bytes.subarray(half)],
  ];
}

const STEP = fc.record({
  kind: fc.constantFrom('read', 'read', 'read', 'write', 'write', 'compress', 'zero', 'discard', 'flush', 'snapshot'),
  first: fc.nat(CLUSTERS - 1),
  count: fc.integer({ min: 1, max: 4 }),
  /** Turns after which it begins. */
  after: fc.constantFrom(0, 10, 60, 200, 500),
});
type Step = typeof STEP extends fc.Arbitrary<infer S> ? S : never;

/** Each write fills whole clusters with a number of its own. */
class Run {
  readonly #node: ImageNode;
  /** Values that a cluster may have had since it was last known: the latest write may or may not be done. */
  readonly #possible = Array.from({ length: CLUSTERS }, () => [0]);
  readonly #running = Array.from({ length: CLUSTERS }, () => 0);
  #next = 1;

  constructor(node: ImageNode) {
    this.#node = node;
  }

  async step({ kind, first, count, after }: Step): Promise<void> {
    await wait(after);
    const end = Math.min(CLUSTERS, first + count);
    const length = (end - first) * CLUSTER;
    const at = first * CLUSTER;
    switch (kind) {
      case 'read':
        return this.#read(first, end);
      case 'write': {
        const value = this.#next++;
        return this.#change(first, end, value, async () => this.#node.write(at, new Uint8Array(length).fill(value)));
      }
      case 'compress':
        return this.#compress(first);
      case 'zero':
        return this.#change(first, end, 0, async () => this.#node.writeZeroes(at, length, { unmap: first % 2 === 0 }));
      case 'discard':
        return this.#change(first, end, 0, async () => this.#node.discard(at, length));
      case 'flush':
        return this.#node.flush();
      default:
        await this.#node.snapshots?.create(`s${this.#next++}`);
    }
  }

  async #compress(cluster: number): Promise<void> {
    const value = this.#next++;
    const bytes = new Uint8Array(CLUSTER).fill(value);
    const [coded] = (await this.#node.compressor?.encode(cluster * CLUSTER, bytes)) ?? [];
    if (!coded) throw new Error('does not compress');
    const store = async (): Promise<void> => this.#node.storeCompressed(cluster * CLUSTER, coded);
    await this.#change(cluster, cluster + 1, value, store);
  }

  async #change(first: number, end: number, value: number, body: () => Promise<void>): Promise<void> {
    for (let cluster = first; cluster < end; cluster++) {
      this.#possible[cluster]?.push(value);
      this.#running[cluster] = (this.#running[cluster] ?? 0) + 1;
    }
    await body();
    for (let cluster = first; cluster < end; cluster++) {
      this.#running[cluster] = (this.#running[cluster] ?? 0) - 1;
      // Changes of one cluster are made in the order in which they were asked for.
      if (this.#running[cluster] === 0) this.#possible[cluster] = [value];
    }
  }

  async #read(first: number, end: number): Promise<void> {
    const before = this.#possible.slice(first, end).map((values) => [...values]);
    const bytes = new Uint8Array((end - first) * CLUSTER).fill(0xee);
    await this.#node.read(first * CLUSTER, bytes);
    for (const [index, values] of before.entries()) {
      const found = new Set(bytes.subarray(index * CLUSTER, (index + 1) * CLUSTER));
      expect([...found]).toHaveLength(1);
      // Whatever was asked for before the read may be there, and what came meanwhile, too.
      const allowed = new Set([...values, ...(this.#possible[first + index] ?? [])]);
      expect(allowed).toContain([...found][0]);
    }
  }

  /** Holds everything, when nothing runs any more. */
  async end(): Promise<void> {
    for (let cluster = 0; cluster < CLUSTERS; cluster++) await this.#read(cluster, cluster + 1);
  }
}

it('qcow2 reads beside changes see each cluster as it was or as it becomes', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(STEP, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 3 }),
      fc.array(fc.constantFrom(0, 1, 5, 40, 300), { minLength: 1, maxLength: 10 }),
      async (rounds, delays) => {
        const file = new CheckedStorage(new SlowDriver(delays), { name: 'slow', readOnly: false });
        await createOn(file, { size: SIZE, cluster_size: CLUSTER });
        const node = await openOn(file, { services: clock });
        const run = new Run(node);
        await run.step({ kind: 'write', first: 0, count: CLUSTERS, after: 0 });
        for (const steps of rounds) {
          await Promise.all(steps.map((step) => run.step(step)));
          await run.end();
        }
        await node.close();
        const checked = await openOn(file, { intent: 'check', readOnly: true });
        expect(await checked.check('none', () => undefined)).toMatchObject({ corruptions: 0, leaks: 0 });
      },
    ),
    { numRuns: RUNS },
  );
});
