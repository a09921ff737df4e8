/** What a program without a compiler may ask for by mistake: it is refused, in words, before anything is touched. */
import { beforeEach, describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/index.ts';
import { MemoryLibrary } from '../../../src/testing.ts';

const VERBS = [
  'amend',
  'bench',
  'bitmap',
  'check',
  'commit',
  'compare',
  'convert',
  'createImage',
  'dd',
  'info',
  'map',
  'measure',
  'rebase',
  'resize',
  'snapshot',
] as const;

let library: MemoryLibrary;
beforeEach(async () => {
  library = new MemoryLibrary();
  library.files.put('a', 4096);
  await library.createImage({ filename: 'q', format: 'qcow2', size: '1M' });
  await library.createImage({ filename: 'target', format: 'qcow2', size: '1M' });
});

/** All files, as text that is compared quickly. */
function content(): string[] {
  return library.files.names().map((name) => `${name} ${Buffer.from(library.files.bytes(name)).toString('base64')}`);
}

/** Asks for something that no type would let through. */
async function refused(verb: (typeof VERBS)[number], request: unknown): Promise<BlockError> {
  const before = content();
  const method = library[verb].bind(library) as (asked: unknown) => Promise<unknown>;
  const thrown: unknown = await method(request).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(BlockError);
  expect(thrown).toMatchObject({ kind: 'invalid-argument' });
  expect(content()).toEqual(before);
  return thrown as BlockError;
}

describe('a bad request', () => {
  const ODD = [undefined, null, 5, 'a', {}, { image: 5, size: undefined }, { image: null }, { image: { filename: 5 } }];
  it.each(VERBS)('%s: no image in it', async (verb) => {
    for (const request of ODD) expect((await refused(verb, request)).message).not.toContain('undefined (');
  });

  it('has the operation in its error, and a list of extents says the same', async () => {
    expect((await refused('info', undefined)).context).toMatchObject({ operation: 'info' });
    expect((await refused('info', { image: {} })).message).toBe(
      'image: a name, {filename, format?} or {options} is needed',
    );
    for (const request of [undefined, { image: 5 }]) {
      const extents = library.mapExtents(request as never);
      await expect(extents.next()).rejects.toMatchObject({ kind: 'invalid-argument' });
    }
    await expect(library.openImage(undefined as never)).rejects.toMatchObject({ kind: 'invalid-argument' });
  });

  it('convert without a source left an empty target', async () => {
    for (const noCreate of [false, true]) {
      await refused('convert', { source: [], target: { filename: 'target', format: 'qcow2' }, noCreate });
    }
  });

  it.each(['createImage', 'resize', 'measure'] as const)('%s: a size that is none', async (verb) => {
    for (const size of [-1, Number.NaN, 1.5, Number.POSITIVE_INFINITY, null, 'x']) {
      const error = await refused(verb, { ...(verb === 'resize' ? { image: 'a' } : { filename: 'new' }), size });
      expect(error.message).toContain(`Invalid size '${String(size)}'`);
    }
  });

  it.each([
    ['dd', { blockSize: 0 }],
    ['dd', { blockSize: -512 }],
    ['dd', { blockSize: 1.5 }],
    ['dd', { blockSize: 2 ** 31 }],
    ['dd', { count: -1 }],
    ['dd', { count: Number.NaN }],
    ['dd', { skip: -1 }],
    ['dd', { skip: 0.5 }],
    ['dd', { target: { options: { driver: 'raw' } } }],
    ['bench', { depth: 0 }],
    ['bench', { depth: -1 }],
    ['bench', { depth: 1.5 }],
    ['bench', { count: 0 }],
    ['bench', { bufferSize: 0 }],
    ['bench', { stepSize: -1 }],
    ['bench', { offset: -512 }],
    ['bench', { pattern: 256 }],
    ['bench', { flushInterval: -1 }],
    ['bench', { aio: 'foo' }],
    ['map', { start: Number.NaN }],
    ['map', { start: -1 }],
    ['map', { length: Number.NaN }],
    ['map', { length: -1 }],
    ['convert', { sparseSize: 1000 }],
    ['convert', { sparseSize: -512 }],
    ['convert', { sparseSize: Number.NaN }],
    ['convert', { rateLimit: -1 }],
    ['convert', { rateLimit: Number.NaN }],
    ['convert', { sourceCache: 'foo' }],
    ['convert', { targetCache: 'foo' }],
    ['commit', { rateLimit: -1 }],
    ['commit', { cache: 'foo' }],
    ['info', { cache: 'foo' }],
    ['rebase', { backingCache: 'foo' }],
    ['rebase', { backing: 'a' }],
    ['resize', { size: 8192, preallocation: 'foo' }],
    ['check', { repair: 'foo' }],
    ['snapshot', { action: 'foo' }],
    ['bitmap', { actions: [{ kind: 'foo' }] }],
    ['bitmap', { actions: [null] }],
    ['bitmap', { actions: undefined }],
  ] as const)('%s: %o', async (verb, wrong) => {
    await refused(verb, { image: 'q', source: 'a', target: 'target', bitmap: 'b', ...wrong });
  });

  it('a merge of bitmaps without a source', async () => {
    const request = { image: 'q', bitmap: 'b', actions: [{ kind: 'add' }, { kind: 'merge' }] };
    expect((await refused('bitmap', request)).message).toContain('source');
  });
});

describe('a file that cannot become as large', () => {
  it('convert and dd gave the advice that is for create only', async () => {
    const tooLarge = new BlockError('too-large', 'File too large', {
      posix: { code: 'EFBIG', text: 'File too large' },
    });
    library.files.inject('target', { operation: 'write', error: tooLarge });
    const target = { filename: 'target', format: 'qcow2' };
    await expect(library.createImage({ ...target, size: '1M' })).rejects.toThrow(
      "target: The image size is too large for file format 'qcow2' (try using a larger cluster size)",
    );
    const what = 'Could not write qcow2 header: File too large';
    await expect(library.convert({ source: 'a', target })).rejects.toThrow(
      `target: error while converting qcow2: ${what}`,
    );
    await expect(library.dd({ source: 'a', target })).rejects.toThrow(
      `target: error while creating output image: ${what}`,
    );
  });
});
