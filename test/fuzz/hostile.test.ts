/**
 * Images of all formats with damaged structures: what reads them gives data or one clear error, soon, within bounded
 * memory, and never writes. What changes them gives a clear error too, keeps to their files, and a repair keeps all data
 * that could be read. QIMG_FUZZ_SECONDS sets how long to go on (default 10 in all), QIMG_FUZZ_SEED where to start,
 * QIMG_FUZZ_FORMAT looks at one format only, QIMG_FUZZ_TRACE names a file that gets each seed before it is used.
 */
import { writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { BlockError } from '../../src/base/error.ts';
import { MemoryLibrary } from '../../src/testing.ts';
import { Dice, Mutator } from '../support/mutate.ts';
import { type Sample, sampleNames, samples } from '../support/hostileSamples.ts';

const SECONDS = Number(process.env['QIMG_FUZZ_SECONDS'] ?? 10);
const SEED = Number(process.env['QIMG_FUZZ_SEED'] ?? 1);
const ONLY = process.env['QIMG_FUZZ_FORMAT'];
const TRACE = process.env['QIMG_FUZZ_TRACE'];
/** Processor seconds for everything that is done to one image. */
const MOST_SECONDS = 2;
/** By how much one image may raise the most memory that this process ever had. */
const MOST_MEMORY = 300 * 1048576;
/** How much guest data is read at one place. */
const WINDOW = 1048576;

/** Runs a step; only a {@link BlockError} may come out, and not one of kind `internal`. */
async function tolerate(step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!(error instanceof BlockError) || error.kind === 'internal') throw error;
    if (error.message === '') throw new Error('an error without words', { cause: error });
  }
}

async function readAll(library: MemoryLibrary, image: { readonly filename: string; readonly format: string }) {
  const node = await library.openImage(image);
  try {
    const size = node.size();
    const buffer = new Uint8Array(WINDOW);
    const ends = [0, WINDOW, WINDOW * 2, Math.floor(size / 2 / 512) * 512, size - WINDOW];
    for (const at of ends.filter((offset) => offset >= 0 && offset < size)) {
      await tolerate(async () => node.read(at, buffer.subarray(0, Math.min(WINDOW, size - at))));
    }
  } finally {
    await node.close();
  }
}

type Image = { readonly filename: string; readonly format: string };

function libraryWith(sample: Sample, bytes: Uint8Array): MemoryLibrary {
  const library = new MemoryLibrary({ implicitOpen: 'allow' });
  for (const [name, content] of Object.entries(sample.others ?? {})) library.files.put(name, content);
  library.files.put('image', bytes);
  return library;
}

/** Does what can be done to an image without changing it. */
async function look(sample: Sample, bytes: Uint8Array): Promise<void> {
  const library = libraryWith(sample, bytes);
  const image = { filename: 'image', format: sample.format };
  await tolerate(() => library.info({ image: { filename: 'image' }, backingChain: true }));
  await tolerate(() => library.info({ image }));
  await tolerate(() => library.check({ image }));
  await tolerate(() => library.snapshot({ image }));
  await tolerate(async () => {
    let end = 0;
    for await (const extent of library.mapExtents({ image })) {
      // An empty image is one empty run.
      expect(extent.length > 0 || end === 0).toBe(true);
      end = extent.start + extent.length;
    }
  });
  await tolerate(() => library.measure({ image, format: 'qcow2' }));
  await tolerate(() => readAll(library, image));
  expect(library.files.names()).toEqual(['image', ...Object.keys(sample.others ?? {})].sort());
  expect(Buffer.compare(library.files.bytes('image'), bytes)).toBe(0);
}

/** Everything that changes an image. */
const CHANGES: Readonly<Record<string, (library: MemoryLibrary, image: Image) => Promise<unknown>>> = {
  'repair leaks': (library, image) => library.check({ image, repair: 'leaks' }),
  repair: (library, image) => library.check({ image, repair: 'all' }),
  grow: (library, image) => library.resize({ image, size: '+64K' }),
  shrink: (library, image) => library.resize({ image, size: 1048576, shrink: true }),
  'snapshot -c': (library, image) => library.snapshot({ image, action: 'create', name: 'new' }),
  'snapshot -a': (library, image) => library.snapshot({ image, action: 'apply', name: 'first' }),
  'snapshot -d': (library, image) => library.snapshot({ image, action: 'delete', name: 'first' }),
  'bitmap --add': (library, image) => library.bitmap({ image, bitmap: 'new', actions: [{ kind: 'add' }] }),
  'bitmap --merge': (library, image) =>
    library.bitmap({ image, bitmap: 'one', actions: [{ kind: 'merge', source: 'two' }] }),
  'amend compat': (library, image) => library.amend({ image, options: { compat: '0.10' } }),
  'amend refcounts': (library, image) => library.amend({ image, options: { refcount_bits: 64 } }),
  commit: (library, image) => library.commit({ image }),
  rebase: (library, image) => library.rebase({ image }),
  'rebase the name': (library, image) =>
    library.rebase({ image, backing: { filename: 'base', format: 'qcow2' }, unsafe: true }),
  write: async (library, image) => {
    const node = await library.openImage(image, { writable: true });
    try {
      const size = Math.min(node.size(), 3145728);
      await tolerate(async () => node.write(Math.floor(size / 3), new Uint8Array(Math.floor(size / 8)).fill(9)));
      await tolerate(async () => node.writeZeroes(0, Math.floor(size / 8), { unmap: true }));
      await tolerate(async () => node.discard(0, size));
    } finally {
      await node.close();
    }
  },
};

/** What can be read, in pieces; undefined where that fails. */
async function pieces(library: MemoryLibrary, image: Image): Promise<(Uint8Array | undefined)[]> {
  const found: (Uint8Array | undefined)[] = [];
  await tolerate(async () => {
    const node = await library.openImage(image);
    const size = Math.min(node.size(), 4194304);
    for (let at = 0; at < size; at += 65536) {
      const bytes = new Uint8Array(Math.min(65536, size - at));
      const length = found.length;
      await tolerate(async () => {
        await node.read(at, bytes);
        found.push(bytes);
      });
      if (found.length === length) found.push(undefined);
    }
    await node.close();
  });
  return found;
}

/** Does one thing that changes an image. */
async function change(sample: Sample, bytes: Uint8Array, what: string): Promise<void> {
  const library = libraryWith(sample, bytes);
  const image = { filename: 'image', format: sample.format };
  const before = what.startsWith('repair') ? await pieces(library, image) : [];
  await tolerate(async () => CHANGES[what]?.(library, image));
  expect(library.files.names()).toEqual(['image', ...Object.keys(sample.others ?? {})].sort());
  if (before.length === 0) return;
  const after = await pieces(library, image);
  for (const [index, piece] of before.entries()) {
    if (piece && Buffer.compare(piece, after[index] ?? new Uint8Array(0)) !== 0) {
      throw new Error(`${what}: other data in piece ${index}`);
    }
  }
}

const changes = Object.keys(CHANGES);
const names = sampleNames().filter((name) => ONLY === undefined || name.startsWith(ONLY));

describe(`damaged images (QIMG_FUZZ_SEED=${SEED})`, () => {
  let all: Sample[] = [];
  beforeAll(async () => {
    all = await samples();
  }, 60_000);

  it.each(names)('%s', { timeout: 60_000 + SECONDS * 20_000 }, async (name) => {
    const sample = all.find((one) => one.name === name);
    if (!sample) throw new Error('no such sample');
    // Undamaged it has to be sound, or the damage would never be reached.
    await look(sample, sample.bytes);
    const mutator = new Mutator(sample.bytes);
    const stop = performance.now() + (SECONDS * 1000) / names.length;
    for (let seed = SEED; seed === SEED || performance.now() < stop; seed++) {
      if (TRACE !== undefined) writeFileSync(TRACE, `QIMG_FUZZ_SEED=${seed} QIMG_FUZZ_FORMAT='${name}'\n`);
      const bytes = mutator.damaged(new Dice(seed));
      const start = process.cpuUsage();
      const memory = process.resourceUsage().maxRSS;
      try {
        // Looking is what is done most often to images of others.
        if (seed % 3 === 0) await change(sample, bytes, changes[(seed / 3) % changes.length] ?? '');
        else await look(sample, bytes);
      } catch (cause) {
        throw new Error(`QIMG_FUZZ_SEED=${seed}: ${String(cause)}`, { cause });
      }
      const { user, system } = process.cpuUsage(start);
      const used = (user + system) / 1e6;
      const more = (process.resourceUsage().maxRSS - memory) * 1024;
      if (used > MOST_SECONDS) throw new Error(`QIMG_FUZZ_SEED=${seed}: ${used} seconds`);
      if (more > MOST_MEMORY) throw new Error(`QIMG_FUZZ_SEED=${seed}: ${more} bytes of memory`);
    }
  });
});
