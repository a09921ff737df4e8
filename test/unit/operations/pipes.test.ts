/** Images that come and go as streams, by the library. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockError, compare, convert, createImage, info, openImage } from '../../../src/node.ts';

const MiB = 1048576;
const cwd = mkdtempSync(join(tmpdir(), 'qimg-pipes-'));
const path = (name: string): string => join(cwd, name);
const source = path('source.qcow2');

beforeAll(async () => {
  await createImage({ filename: source, format: 'qcow2', size: 40 * MiB });
  const node = await openImage(source, { writable: true });
  for (let at = 0; at < 3 * MiB; at += 65536) {
    await node.write(5 * MiB + at, Buffer.alloc(65536, `${at} is here. `));
  }
  await node.write(39 * MiB + 512, Buffer.alloc(1000, 9));
  await node.close();
  await convert({ source, target: path('source.raw') });
});

afterAll(() => rmSync(cwd, { recursive: true, force: true }));

/** Keeps what is written. */
function collector(): { readonly stream: Writable; readonly bytes: () => Buffer } {
  const pieces: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      pieces.push(chunk);
      done();
    },
  });
  return { stream, bytes: () => Buffer.concat(pieces) };
}

async function expectSame(first: string, second: string): Promise<void> {
  expect(await compare({ first, second })).toMatchObject({ kind: 'identical' });
}

/** A file in pieces of odd lengths. */
function piecesOf(bytes: Buffer): Readable {
  return Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += 77_777) yield bytes.subarray(at, at + 77_777);
    })(),
  );
}

async function failure(promise: Promise<unknown>): Promise<BlockError> {
  const error: unknown = await promise.catch((thrown: unknown) => thrown);
  return error instanceof BlockError ? error : expect.fail(`it ends with ${String(error)}`);
}

describe('images that go out', () => {
  it.each([
    ['raw', {}, false],
    ['qcow2', {}, false],
    ['qcow2', { cluster_size: 4096 }, false],
    ['qcow2', {}, true],
    ['qcow2', { preallocation: 'metadata' }, false],
    ['vdi', {}, false],
    ['vhdx', {}, false],
    ['vpc', { force_size: true }, false],
    ['vpc', { subformat: 'fixed', force_size: true }, false],
    ['parallels', {}, false],
    ['vmdk', {}, false],
    ['vmdk', { subformat: 'streamOptimized' }, false],
    ['qed', {}, false],
    ['qcow', {}, false],
  ])('are of the format %s with %o, compressed: %s', async (format, options, compress) => {
    const out = collector();
    await convert({ source, target: { filename: '-', format }, options, compress }, { output: out.stream });
    expect(out.stream.writableFinished).toBe(true);
    writeFileSync(path('out'), out.bytes());
    expect(await compare({ first: source, second: { filename: path('out'), format } })).toMatchObject({
      kind: 'identical',
    });
  });

  it('are those of several images, and go to a stream of the web', async () => {
    const pieces: Uint8Array[] = [];
    const output = new WritableStream<Uint8Array>({ write: (chunk) => void pieces.push(chunk) });
    await convert({ source: [source, path('source.raw')], target: '-' }, { output });
    const raw = readFileSync(path('source.raw'));
    expect(Buffer.concat(pieces).equals(Buffer.concat([raw, raw]))).toBe(true);
  });

  it('are told to be of no use when something fails', async () => {
    writeFileSync(path('cut'), gzipSync(readFileSync(path('source.raw'))).subarray(0, -1));
    const { stream } = collector();
    const wrong = await failure(convert({ source: path('cut'), target: '-' }, { output: stream }));
    expect(wrong.kind).toBe('io');
    expect(stream.writableFinished).toBe(false);
  });

  it('end with the error of who takes them', async () => {
    const stream = new Writable({ write: (_, __, done) => done(new Error('no more')) });
    stream.on('error', () => undefined);
    expect((await failure(convert({ source, target: '-' }, { output: stream }))).message).toContain('no more');
  });

  it.each([
    [{ filename: '-', format: 'vmdk' }, { subformat: 'monolithicFlat' }, 'several files'],
    [{ filename: '-', format: 'qcow2' }, { backing_file: 'x', backing_fmt: 'raw' }, 'a backing file'],
  ])('are refused before the first byte where they cannot be: %o %o', async (target, options, message) => {
    const out = collector();
    const error = await failure(convert({ source, target, options }, { output: out.stream }));
    expect(error.message).toContain(message);
    expect(out.bytes().length).toBe(0);
  });

  it('are files called so where nobody brings a stream', async () => {
    const error = await failure(convert({ source: { filename: '-' }, target: path('x') }));
    expect(error.kind).toBe('not-found');
  });
});

describe('images that come in', () => {
  it.each(['raw', 'qcow2', 'qed', 'vdi'])('are raw disks of unknown length, into the format %s', async (format) => {
    const bytes = readFileSync(path('source.raw'));
    for (const input of [piecesOf(bytes), piecesOf(gzipSync(bytes)), Readable.toWeb(piecesOf(bytes))]) {
      const { size } = await convert(
        { source: '-', target: { filename: path('in'), format } },
        { input: input as Readable },
      );
      expect(size).toBe(40 * MiB);
      await expectSame(source, path('in'));
      rmSync(path('in'));
    }
  });

  it('are raw disks, compressed in the target', async () => {
    const input = piecesOf(readFileSync(path('source.raw')));
    await convert({ source: '-', target: { filename: path('packed'), format: 'qcow2' }, compress: true }, { input });
    await expectSame(source, path('packed'));
    expect(readFileSync(path('packed')).length).toBeLessThan(2 * MiB);
  });

  it('have a length that is no number of sectors', async () => {
    await convert({ source: '-', target: path('odd') }, { input: piecesOf(Buffer.alloc(700, 1)) });
    expect(readFileSync(path('odd'))).toEqual(Buffer.concat([Buffer.alloc(700, 1), Buffer.alloc(324)]));
    await convert({ source: '-', target: path('empty') }, { input: [] });
    expect(readFileSync(path('empty')).length).toBe(0);
  });

  it.each(['qcow2', 'vdi', 'vhdx', 'vmdk', 'parallels', 'qed', 'qcow'])(
    'are of the format %s, and an error if they end early',
    async (format) => {
      await convert({ source, target: { filename: path('whole'), format } });
      const bytes = readFileSync(path('whole'));
      await convert({ source: '-', target: path('back') }, { input: piecesOf(bytes) });
      await expectSame(source, path('back'));
      rmSync(path('back'));
      await failure(
        convert({ source: '-', target: path('back') }, { input: piecesOf(bytes.subarray(0, bytes.length / 2)) }),
      );
      expect(() => readFileSync(path('back'))).toThrow('ENOENT');
    },
  );

  it('are described, and go out again', async () => {
    const bytes = readFileSync(source);
    expect(await info({ image: '-' }, { input: piecesOf(bytes) })).toMatchObject({ images: [{ format: 'qcow2' }] });
    const between = new PassThrough();
    const out = collector();
    await Promise.all([
      convert({ source: path('source.raw'), target: { filename: '-', format: 'qcow2' } }, { output: between }),
      convert({ source: '-', target: { filename: '-', format: 'vdi' } }, { input: between, output: out.stream }),
    ]);
    writeFileSync(path('again'), out.bytes());
    await expectSame(source, path('again'));
  });

  it('are taken as they are where that is said', async () => {
    const packed = gzipSync(Buffer.alloc(5000, 'x'));
    const plain = { filename: '-', format: 'raw' };
    const { size } = await convert({ source: plain, target: path('plain') }, { input: piecesOf(packed) });
    expect(size).toBe(512 * Math.ceil(packed.length / 512));
  });

  it('end with what the stream fails with', async () => {
    const input = Readable.from(
      (function* () {
        yield Buffer.alloc(100_000, 1);
        throw new Error('the line is dead');
      })(),
    );
    const error = await failure(convert({ source: '-', target: path('dead') }, { input }));
    expect(error.message).toContain('the line is dead');
    expect(() => readFileSync(path('dead'))).toThrow('ENOENT');
  });
});
