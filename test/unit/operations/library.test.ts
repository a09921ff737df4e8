import { describe, expect, it } from 'vitest';
import { BlockError, type ImplicitReference } from '../../../src/index.ts';
import { MemoryLibrary } from '../../../src/testing.ts';

/** An overlay `images/top` over `below` (a name as the overlay stores it). */
async function withOverlay(
  below: string,
  settings: ConstructorParameters<typeof MemoryLibrary>[0],
): Promise<MemoryLibrary> {
  const library = new MemoryLibrary(settings);
  for (const name of ['images/base', 'other/base', 'images/sub/base', '/etc/base']) library.files.put(name, 512);
  await library.createImage({
    filename: 'images/top',
    format: 'qcow2',
    size: 1024,
    backing: { filename: below, format: 'raw', unsafe: true },
  });
  return library;
}

describe('the gate of the library', () => {
  it('is closed by default', async () => {
    const library = await withOverlay('base', {});
    await expect(library.openImage('images/top')).rejects.toMatchObject({ kind: 'denied' });
    await expect(library.info({ image: 'images/top', backingChain: true })).rejects.toMatchObject({ kind: 'denied' });
    expect((await library.info({ image: 'images/top' })).images[0]?.backingFile).toBe('base');
  });

  it.each(['base', './base'])('same-directory: lets %s through', async (below) => {
    const library = await withOverlay(below, { implicitOpen: 'same-directory' });
    library.files.put('images/./base', 512);
    const node = await library.openImage('images/top');
    expect(node.backing?.size()).toBe(512);
    await node.close();
  });

  it.each([
    'sub/base',
    '../other/base',
    '/etc/base',
    'file:base',
    'null-co://',
    'json:{"driver":"raw","file":{"driver":"file","filename":"images/base"}}',
  ])('same-directory: refuses %s', async (below) => {
    const library = await withOverlay(below, { implicitOpen: 'same-directory' });
    await expect(library.openImage('images/top')).rejects.toMatchObject({ kind: 'denied' });
  });

  it('asks a function', async () => {
    const seen: ImplicitReference[] = [];
    const library = await withOverlay('base', {
      gate(reference) {
        seen.push(reference);
        if (seen.length > 1) throw new BlockError('denied', 'once is enough');
      },
    });
    await (await library.openImage('images/top')).close();
    expect(seen).toMatchObject([{ role: 'backing', parent: 'images/top', reference: 'base' }]);
    await expect(library.openImage('images/top')).rejects.toThrow('once is enough');
  });

  it('does not stand in the way of names that the caller gives', async () => {
    const library = await withOverlay('base', {});
    const options = {
      driver: 'qcow2',
      file: { driver: 'file', filename: 'images/top' },
      backing: { driver: 'raw', file: { driver: 'file', filename: 'other/base' } },
    };
    const node = await library.openImage({ options });
    expect(node.backing?.name).toBe('other/base');
    await node.close();
  });
});

describe('the library', () => {
  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const library = new MemoryLibrary({ signal: stop.signal });
    library.files.put('a', 512);
    stop.abort();
    await expect(library.map({ image: 'a' })).rejects.toMatchObject({ kind: 'aborted' });
    await expect(library.info({ image: 'a' })).rejects.toMatchObject({ kind: 'aborted' });
    await expect(library.convert({ source: 'a', target: 'b' })).rejects.toMatchObject({ kind: 'aborted' });
    expect(library.files.names()).toEqual(['a']);
  });

  it('passes warnings on', async () => {
    const shown: string[] = [];
    const library = new MemoryLibrary({ onWarning: (text) => shown.push(text) });
    library.context.onWarning?.('careful');
    expect(shown).toEqual(['careful']);
  });

  it('reads what it writes, and fails as the files fail', async () => {
    const library = new MemoryLibrary();
    await library.createImage({ filename: 'a', format: 'qcow2', size: '1M', options: { lazy_refcounts: true } });
    const written = await library.openImage('a', { writable: true });
    await written.write(1000, Uint8Array.of(1, 2, 3));
    await written.close();
    const image = await library.openImage({ filename: 'a', format: 'qcow2' });
    const bytes = new Uint8Array(5);
    await image.read(999, bytes);
    expect([...bytes]).toEqual([0, 1, 2, 3, 0]);
    await expect(async () => image.write(0, bytes)).rejects.toMatchObject({ kind: 'read-only' });
    await image.close();
    library.files.inject('a', { operation: 'read' });
    await expect(library.openImage('a')).rejects.toMatchObject({ kind: 'io' });
  });

  it('converts, compares and copies blocks', async () => {
    const library = new MemoryLibrary();
    library.files.put(
      'a',
      Uint8Array.from({ length: 4096 }, (_, index) => index),
    );
    await library.convert({ source: { filename: 'a', format: 'raw' }, target: { filename: 'b', format: 'qcow2' } });
    expect(await library.compare({ first: { filename: 'a', format: 'raw' }, second: 'b' })).toMatchObject({
      kind: 'identical',
    });
    await library.dd({ source: 'b', target: 'c', blockSize: '1k', skip: 1, count: 3 });
    expect(Buffer.from(library.files.bytes('c'))).toEqual(Buffer.from(library.files.bytes('a').slice(1024, 3072)));
  });
});

describe('the library on qcow2 images', () => {
  const qcow2 = { format: 'qcow2' };

  async function library(): Promise<MemoryLibrary> {
    const made = new MemoryLibrary({ implicitOpen: 'same-directory' });
    await made.createImage({ filename: 'base', ...qcow2, size: '1M' });
    await made.createImage({ filename: 'top', ...qcow2, backing: { filename: 'base', ...qcow2 } });
    await fill(made, 'top', 7);
    return made;
  }

  async function fill(of: MemoryLibrary, name: string, byte: number): Promise<void> {
    const node = await of.openImage(name, { writable: true });
    await node.write(65536, new Uint8Array(65536).fill(byte));
    await node.close();
  }

  async function byteOf(of: MemoryLibrary, name: string): Promise<number | undefined> {
    const node = await of.openImage(name);
    const bytes = new Uint8Array(1);
    await node.read(65536, bytes);
    await node.close();
    return bytes[0];
  }

  it('commits and rebases', async () => {
    const images = await library();
    await images.commit({ image: 'top' });
    expect(await byteOf(images, 'base')).toBe(7);
    await images.rebase({ image: 'top' });
    const { images: found } = await images.info({ image: 'top' });
    expect(found[0]?.backingFile).toBeUndefined();
    expect(await byteOf(images, 'top')).toBe(7);
  });

  it('makes, lists, applies and deletes snapshots', async () => {
    const images = await library();
    await expect(images.snapshot({ image: 'top', action: 'create' })).rejects.toMatchObject({
      kind: 'invalid-argument',
    });
    await images.snapshot({ image: 'top', action: 'create', name: 'before' });
    await fill(images, 'top', 9);
    expect((await images.snapshot({ image: 'top' })).snapshots).toMatchObject([{ id: '1', name: 'before' }]);
    await images.snapshot({ image: 'top', action: 'apply', name: 'before' });
    expect(await byteOf(images, 'top')).toBe(7);
    const { snapshots } = await images.snapshot({ image: 'top', action: 'delete', name: 'before' });
    expect(snapshots).toEqual([]);
  });

  it('changes bitmaps and options', async () => {
    const images = await library();
    await images.bitmap({ image: 'top', bitmap: 'b', actions: [{ kind: 'add' }], granularity: 65536 });
    await images.amend({ image: 'top', options: { lazy_refcounts: true } });
    const { images: found } = await images.info({ image: 'top' });
    expect(JSON.stringify(found[0])).toMatch(/"lazy-refcounts":true/);
    expect(JSON.stringify(found[0])).toMatch(/"name":"b"/);
    expect(await images.check({ image: 'top' })).toMatchObject({ kind: 'clean' });
  });
});
