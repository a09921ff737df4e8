/** Random changes of qcow2 images, each done to an image and to its model. */
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { equalBytes } from '../../src/base/bytes.ts';
import { amend } from '../../src/operations/amend.ts';
import { check } from '../../src/operations/check.ts';
import { commit } from '../../src/operations/commit.ts';
import { rebase } from '../../src/operations/rebase.ts';
import { BitmapModel } from './qcow2Bitmaps.ts';
import { backingName, pattern, seen, type Shape, Subject } from './qcow2Model.ts';
import { SHAPES } from './qcow2Shapes.ts';
import { SEED } from './seed.ts';

/** What can be done. */
export type StepKind =
  | 'write'
  | 'zero'
  | 'unmap'
  | 'discard'
  | 'compress'
  | 'read'
  | 'flush'
  | 'reopen'
  | 'kill'
  | 'check'
  | 'repair'
  | 'resize'
  | 'preallocate'
  | 'reserve'
  | 'snapshot'
  | 'apply'
  | 'forget'
  | 'addBitmap'
  | 'removeBitmap'
  | 'clearBitmap'
  | 'toggleBitmap'
  | 'mergeBitmap'
  | 'amendVersion'
  | 'amendRefcounts'
  | 'amendLazy'
  | 'amendSize'
  | 'amendAll'
  | 'commit'
  | 'rebase'
  | 'rebaseCompressed'
  | 'rebaseUnsafe';

/** One change; the numbers mean something else for each kind. */
export interface Step {
  readonly kind: StepKind;
  readonly offset: number;
  readonly length: number;
  readonly seed: number;
}

type Run = (subject: Subject, step: Step) => Promise<void>;

/** The range of a step inside the image. */
function rangeOf(subject: Subject, { offset, length }: Step): [start: number, end: number] {
  const size = subject.bytes.length;
  const start = offset % size;
  return [start, Math.min(size, start + length)];
}

async function version(subject: Subject): Promise<number> {
  return (await subject.driver()).state.header.version;
}

function chosen<T>(items: Iterable<T>, seed: number): T | undefined {
  const list = [...items];
  return list[seed % Math.max(1, list.length)];
}

const zero =
  (unmap: boolean): Run =>
  async (subject, step) => {
    const [start, end] = rangeOf(subject, step);
    await subject.replace(start, new Uint8Array(end - start), (node) =>
      node.writeZeroes(start, end - start, { unmap }),
    );
  };

const amendBy =
  (options: (subject: Subject, step: Step) => Record<string, string>): Run =>
  async (subject, step) => {
    const wanted = options(subject, step);
    await subject.close();
    const pairs = Object.entries(wanted).map(([name, value]) => ({ name, value }));
    const request = { image: subject.source, options: pairs };
    const error = await subject.attempt(['invalid-argument', 'unsupported', 'invalid-image'], () =>
      amend(subject.context, request),
    );
    if (error?.kind === 'invalid-image') expect(subject.broken.size).toBeGreaterThan(0);
    const { state } = await subject.driver();
    const size = Number(wanted['size'] ?? subject.bytes.length);
    if (error) {
      if (state.header.virtualSize === size) subject.resized(size);
      subject.settle();
      return;
    }
    subject.resized(size);
    if (state.header.version < 3) {
      subject.bitmaps.clear();
      subject.broken.clear();
    }
    subject.settle();
    if (wanted['compat'] !== undefined) expect(state.header.version).toBe(wanted['compat'] === '0.10' ? 2 : 3);
    if (wanted['refcount_bits'] !== undefined)
      expect(2 ** state.header.refcountOrder).toBe(Number(wanted['refcount_bits']));
    if (wanted['lazy_refcounts'] !== undefined && state.header.version > 2) {
      expect(state.lazyRefcounts).toBe(wanted['lazy_refcounts'] === 'on');
    }
  };

/** A size that the image may get. */
function sizeOf(subject: Subject, { offset, seed }: Step): number {
  const limit = Math.max(subject.shape.size * 1.5, 4096);
  const size = seed % 3 === 0 ? subject.bytes.length + (offset % 65536) : offset % limit;
  return Math.max(512, size - (size % 512));
}

const resizeWith =
  (preallocation: 'off' | 'metadata' | 'falloc'): Run =>
  async (subject, step) => {
    const size = sizeOf(subject, step);
    // What encrypted images show where space was reserved is noise, in the real tool too.
    const grows = size > subject.bytes.length && subject.shape.crypt === 'none';
    const node = await subject.node();
    const error = await subject.attempt(['unsupported', 'invalid-image', 'invalid-argument'], () =>
      node.truncate(size, grows ? preallocation : 'off'),
    );
    if (!error) subject.resized(size);
    else if (error.kind === 'unsupported') {
      const covered = (node.backing?.size() ?? 0) > subject.bytes.length;
      expect([await version(subject), covered || subject.snapshots.length > 0]).toEqual([2, true]);
    } else expect(subject.broken.size).toBeGreaterThan(0);
  };

/**
 * What the image and its snapshots hold themselves. Snapshots that are larger than the image cannot be looked at.
 * @returns undefined if there is such a one.
 */
async function ownership(subject: Subject): Promise<Uint8Array[] | undefined> {
  const fits = subject.snapshots.every(({ bytes }) => bytes.length <= subject.bytes.length);
  return fits ? subject.ownership() : undefined;
}

async function commitTop(subject: Subject): Promise<void> {
  const owned = await ownership(subject);
  if (subject.base === undefined || !owned) return;
  await subject.close();
  await commit(subject.context, { image: subject.source });
  const base = subject.bases[subject.base] ?? new Uint8Array(0);
  const merged = seen(base, Math.max(base.length, subject.bytes.length));
  merged.set(subject.bytes);
  subject.bases[subject.base] = merged;
  // The image itself reads as before: only its snapshots may see what was committed.
  owned[0] = new Uint8Array(0);
  subject.adopt(owned);
}

const rebaseBy =
  (how: { readonly compress: boolean; readonly unsafe: boolean }): Run =>
  async (subject, { seed }) => {
    const { shape } = subject;
    const owned = await ownership(subject);
    if (!owned || (how.compress && (shape.crypt !== 'none' || shape.data !== 'none'))) return;
    const index = seed % (subject.bases.length + 1);
    const to = shape.backing[index];
    // Encrypted images are described by options, and such have no directory that a name could count from.
    if (to && shape.crypt !== 'none') return;
    await subject.close();
    const backing = to && { filename: backingName(index), format: to.format };
    await rebase(subject.context, { image: subject.source, backing, ...how });
    subject.base = to ? index : undefined;
    if (!how.unsafe) owned[0] = new Uint8Array(0);
    subject.adopt(owned);
    for (const bitmap of subject.bitmaps.values()) if (bitmap.enabled) bitmap.touch(0, subject.bytes.length);
    subject.settle();
  };

const STEPS: Record<StepKind, Run> = {
  async write(subject, step) {
    const [start, end] = rangeOf(subject, step);
    const bytes = pattern(start, end - start, step.seed);
    await subject.replace(start, bytes, (node) => node.write(start, bytes));
  },
  zero: zero(false),
  unmap: zero(true),
  async discard(subject, step) {
    const [start, end] = rangeOf(subject, step);
    const unit = (await subject.node()).image.allocationUnit ?? 1;
    const first = Math.ceil(start / unit) * unit;
    const last = end === subject.bytes.length ? end : end - (end % unit);
    const offered = subject.base === undefined || (await version(subject)) > 2;
    const after = offered && last > first ? new Uint8Array(last - first) : subject.bytes.slice(first, first);
    await subject.replace(after.length > 0 ? first : 0, after, (node) => node.discard(start, end - start));
  },
  async compress(subject, step) {
    if (subject.shape.data !== 'none' || subject.shape.crypt !== 'none') return;
    const { compressor } = await subject.driver();
    const [offset] = rangeOf(subject, step);
    const start = offset - (offset % compressor.unit);
    const bytes = pattern(start, Math.min(compressor.unit, subject.bytes.length - start), step.seed);
    // Some are stored in a few bytes, some nearly as they are, some cannot be compressed.
    for (let i = 0; i < (bytes.length * (step.seed % 8)) / 7; i++)
      bytes[i] = (Math.imul(i + step.seed, 2654435761) >>> 13) & 255;
    const [coded] = await compressor.encode(start, bytes);
    await subject.replace(start, bytes, (node) =>
      coded ? node.storeCompressed(start, coded) : node.write(start, bytes),
    );
  },
  async read(subject, step) {
    const [start, end] = rangeOf(subject, step);
    const found = new Uint8Array(end - start);
    await (await subject.node()).read(start, found);
    expect(equalBytes(found, subject.bytes.subarray(start, end))).toBe(true);
  },
  async flush(subject) {
    await (await subject.node()).flush();
  },
  reopen: (subject) => subject.close(),
  kill: (subject) => subject.kill(),
  check: (subject) => subject.verifyClosed(),
  async repair(subject, { seed }) {
    await subject.close();
    const request = { image: subject.source, repair: seed % 2 ? 'leaks' : 'all' } as const;
    expect(await check(subject.context, request)).toMatchObject({ kind: 'clean', findings: { corruptionsFixed: 0 } });
  },
  resize: resizeWith('off'),
  preallocate: resizeWith('metadata'),
  reserve: resizeWith('falloc'),
  async snapshot(subject, { offset }) {
    const name = `s${subject.snapshots.length}-${offset}`;
    const store = (await subject.node()).image.snapshots;
    if (subject.snapshots.some((snapshot) => snapshot.name === name)) return;
    const error = await subject.attempt(['invalid-argument', 'unsupported'], async () => store?.create(name));
    if (!error) subject.snapshots.push({ name, bytes: subject.bytes.slice() });
    else if (error.kind === 'unsupported') expect(subject.shape.data).not.toBe('none');
    else expect((await subject.driver()).state.header.refcountOrder).toBeLessThan(4);
  },
  async apply(subject, { seed }) {
    const snapshot = chosen(subject.snapshots, seed);
    if (!snapshot || subject.bitmaps.size + subject.broken.size > 0) return;
    const store = (await subject.node()).image.snapshots;
    const kinds = ['invalid-argument', 'unsupported'] as const;
    const error = await subject.attempt(kinds, async () => store?.apply(snapshot.name));
    if (!error) subject.bytes = snapshot.bytes.slice();
  },
  async forget(subject, { seed }) {
    const snapshot = chosen(subject.snapshots, seed);
    if (!snapshot) return;
    await (await subject.node()).image.snapshots?.remove({ name: snapshot.name });
    subject.snapshots.splice(subject.snapshots.indexOf(snapshot), 1);
  },
  async addBitmap(subject, { seed }) {
    const name = `b${seed % 4}`;
    const store = (await subject.node()).image.bitmaps;
    if (!store || subject.bitmaps.has(name) || subject.broken.has(name)) return;
    const granularity = [512, 4096, 65536][seed % 3] ?? 512;
    const enabled = seed % 5 > 0;
    await store.add(name, granularity, enabled);
    subject.bitmaps.set(name, new BitmapModel(granularity, subject.bytes.length, enabled));
  },
  async removeBitmap(subject, { seed }) {
    const name = chosen([...subject.bitmaps.keys(), ...subject.broken], seed);
    if (name === undefined) return;
    await (await subject.node()).image.bitmaps?.remove(name);
    subject.bitmaps.delete(name);
    subject.broken.delete(name);
  },
  async clearBitmap(subject, { seed }) {
    const name = chosen(subject.bitmaps.keys(), seed);
    if (name === undefined) return;
    await (await subject.node()).image.bitmaps?.clear(name);
    subject.bitmaps.get(name)?.clear();
  },
  async toggleBitmap(subject, { seed }) {
    const [name, bitmap] = chosen(subject.bitmaps, seed) ?? [];
    if (name === undefined || !bitmap) return;
    bitmap.enabled = !bitmap.enabled;
    await (await subject.node()).image.bitmaps?.setEnabled(name, bitmap.enabled);
  },
  async mergeBitmap(subject, { seed, offset }) {
    const [to, target] = chosen(subject.bitmaps, seed) ?? [];
    const [from, source] = chosen(subject.bitmaps, offset) ?? [];
    const store = (await subject.node()).image.bitmaps;
    if (!target || !source || to === undefined || from === undefined || target === source || !store) return;
    await store.mark(to, store.ranges(from));
    target.merge(source);
  },
  amendVersion: amendBy((_, { seed }) => ({ compat: seed % 2 ? '0.10' : '1.1' })),
  amendRefcounts: amendBy((_, { seed }) => ({ refcount_bits: String(2 ** (seed % 7)) })),
  amendLazy: amendBy((_, { seed }) => ({ lazy_refcounts: seed % 2 ? 'on' : 'off' })),
  amendSize: amendBy((subject, step) => ({ size: String(sizeOf(subject, step)) })),
  amendAll: amendBy((subject, step) => ({
    size: String(sizeOf(subject, step)),
    ...(step.seed % 2
      ? { compat: '0.10', refcount_bits: '16' }
      : { compat: '1.1', refcount_bits: String(2 ** (step.seed % 7)) }),
  })),
  commit: commitTop,
  rebase: rebaseBy({ compress: false, unsafe: false }),
  rebaseCompressed: rebaseBy({ compress: true, unsafe: false }),
  rebaseUnsafe: rebaseBy({ compress: false, unsafe: true }),
};

/** Changes of guest content. */
export const CONTENT: readonly StepKind[] = [
  ...(['write', 'write', 'write', 'write', 'zero', 'unmap', 'discard', 'compress', 'read'] as const),
  ...(['flush', 'reopen', 'kill', 'resize'] as const),
];
/** Changes of snapshots. */
export const SNAPSHOTS: readonly StepKind[] = ['snapshot', 'snapshot', 'apply', 'forget'];
/** Changes of bitmaps. */
export const BITMAPS: readonly StepKind[] = [
  ...(['addBitmap', 'addBitmap', 'removeBitmap', 'clearBitmap', 'toggleBitmap', 'mergeBitmap'] as const),
];
/** Changes of options. */
export const AMENDMENTS: readonly StepKind[] = [
  ...(['amendVersion', 'amendRefcounts', 'amendLazy', 'amendSize', 'amendAll'] as const),
];
/** Changes of the chain. */
export const CHAIN: readonly StepKind[] = ['commit', 'rebase', 'rebase', 'rebaseCompressed', 'rebaseUnsafe'];

/** Sequences of some kinds of steps. */
export function stepsOf(kinds: readonly StepKind[]): fc.Arbitrary<Step[]> {
  return fc.array(
    fc.record({
      kind: fc.constantFrom(...kinds),
      offset: fc.nat(4194304),
      length: fc.oneof(fc.nat(700), fc.nat(20000), fc.nat(200000)),
      seed: fc.nat(5039),
    }),
    { minLength: 1, maxLength: 16 },
  );
}

/** Runs a sequence, and holds the image against the model at its end. */
export async function runSequence(
  shape: Shape,
  steps: readonly Step[],
  onStep?: (kind: StepKind, subject: Subject) => void,
): Promise<Subject> {
  const subject = new Subject(shape);
  await subject.create();
  for (const step of steps) {
    const run: Run = STEPS[step.kind];
    onStep?.(step.kind, subject);
    await run(subject, step);
  }
  await subject.verify();
  await subject.verifyClosed();
  return subject;
}

/** How many sequences each of the model files runs. */
const SHARE = Math.ceil(Number(process.env['QIMG_MODEL_RUNS'] ?? 2000) / 5);

/**
 * Runs random sequences of these steps; a failure is shown in its shortest form. `QIMG_MODEL_RUNS` is the number of
 * sequences of all model files together, `QIMG_TEST_SEED` says where they start.
 */
export async function runModel(
  what: string,
  kinds: readonly StepKind[],
  shapes: fc.Arbitrary<Shape> = SHAPES,
): Promise<void> {
  process.stdout.write(`model of ${what}: ${SHARE} sequences, QIMG_TEST_SEED=${SEED}\n`);
  const property = fc.asyncProperty(shapes, stepsOf(kinds), async (shape, steps) => {
    await runSequence(shape, steps);
  });
  await fc.assert(property, { numRuns: SHARE, seed: SEED, endOnFailure: false });
}

/** Long enough for any number of sequences. */
export const MODEL_TIMEOUT: number = 60_000 + SHARE * 2000;
