import { describe, expect, it } from 'vitest';
import { fate, SAFE } from '../../codec/damage.ts';
import { nodeCodecs } from '../../../../src/host/node/codecs.ts';
import { WorkerPool } from '../../../../src/host/node/pool.ts';
import { deflater, inflater } from '../../../../src/host/node/zlibCodec.ts';
import { zlib } from '../../../../src/host/node/zlibHandle.ts';
import { type ZstdWay, zstdDecoder, zstdEncoder } from '../../../../src/host/node/zstdCodec.ts';
import { systemZstd } from '../../../../src/host/node/zstdSystem.ts';
import { checkCoders, IO, noise, text, type Ways } from '../coderChecks.ts';

type Method = 'deflate-raw' | 'zlib' | 'zstd';

/** Every implementation behind the port, the fallbacks among them. */
const ways: Ways[number][] = [];
for (const method of ['deflate-raw', 'zlib'] as const) {
  for (const internals of [true, false]) {
    ways.push([
      `${method}, ${internals ? 'reused stream' : 'public functions'}`,
      async () => ({ encode: deflater({ method }, internals), decode: inflater({ method }, internals) }),
    ]);
  }
}
const zstdWays: ZstdWay[] = [
  ...(systemZstd() ? (['system'] as const) : []),
  ...('zstdCompressSync' in zlib() ? (['handle', 'sync'] as const) : []),
  'wasm',
];
for (const way of zstdWays) {
  ways.push([
    `zstd, ${way}`,
    async () => ({ encode: await zstdEncoder({ method: 'zstd' }, way), decode: await zstdDecoder(way) }),
  ]);
}

checkCoders(ways);

describe.each(zstdWays)('zstdDecoder, %s', (way) => {
  /** Output of `zstd` 1.5.4: from a pipe, thus without a content size, and with several blocks. */
  const streamed = Buffer.from('KLUv/QBYbQAAOGhlbGxvIAoBAJlLEQ==', 'base64');
  const blocks = Buffer.from('KLUv/aTgkwQAVAAAEAAAAQD7/znAAgIAEAADnwQALSjeJg==', 'base64');
  const hello = Buffer.from('hello hello hello hello\n');

  it('decodes frames without a content size', async () => {
    const into = new Uint8Array(30);
    expect((await zstdDecoder(way))(Buffer.concat([streamed, hello]), into)).toBe(24);
    expect(into.subarray(0, 24)).toEqual(new Uint8Array(hello));
  });

  it('decodes frame after frame and passes over skippable ones', async () => {
    const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]);
    const into = new Uint8Array(400_000).fill(1);
    const decode = await zstdDecoder(way);
    expect(decode(Buffer.concat([skippable, streamed, skippable, blocks, streamed]), into)).toBe(300_048);
    expect(into.subarray(0, 24)).toEqual(new Uint8Array(hello));
    expect(into.subarray(24, 300_024).every((byte) => byte === 0)).toBe(true);
    expect(into.subarray(300_024, 300_048)).toEqual(new Uint8Array(hello));
  });

  it('is not deceived by a content size that is too small', async () => {
    const decode = await zstdDecoder(way);
    const liar = Uint8Array.from(blocks);
    // The four bytes of the content size: 300,000 becomes 16.
    liar.set([16, 0, 0, 0], 5);
    expect(fate(() => decode(liar, new Uint8Array(300_000)))).toMatch(SAFE);
    expect(decode(blocks, new Uint8Array(300_000))).toBe(300_000);
  });
});

describe('nodeCodecs', () => {
  const codecs = nodeCodecs(new WorkerPool({ worker: undefined }));

  it.each<Method>(['deflate-raw', 'zlib', 'zstd'])('compresses and decodes batches: %s', async (method) => {
    const unit = 4096;
    const input = Buffer.concat([text.subarray(0, unit), noise.subarray(0, unit), text.subarray(0, 1000)]);
    const streams = await codecs.compressBatch({ method }, input, unit, unit);
    expect(streams.map((stream) => stream !== undefined)).toEqual([true, false, true]);
    const pieces = [0, 2].map((i) => ({ input: streams[i] as Uint8Array, output: new Uint8Array(unit) }));
    expect(await codecs.decompressBatch({ method }, pieces)).toEqual([unit, 1000]);
    expect(pieces[0]?.output).toEqual(text.subarray(0, unit));
    expect(pieces[1]?.output.subarray(0, 1000)).toEqual(text.subarray(0, 1000));
  });

  it.each([
    ['takes the places of units that may be overwritten, and of no others', true],
    ['leaves the input as it is otherwise', false],
  ])('%s', async (_what, mayOverwrite) => {
    const unit = 4096;
    const content = Buffer.concat([text.subarray(0, unit), noise.subarray(0, unit), text.subarray(0, unit)]);
    const input = new Uint8Array(new SharedArrayBuffer(content.length));
    input.set(content);
    // A stream of noise is longer than the noise.
    const streams = await codecs.compressBatch({ method: 'zlib' }, input, unit, 2 * unit, mayOverwrite);
    const places = streams.map((stream) => (stream?.buffer === input.buffer ? stream.byteOffset : undefined));
    expect(places).toEqual(mayOverwrite ? [0, undefined, 2 * unit] : [undefined, undefined, undefined]);
    expect(Buffer.from(input.slice(unit, 2 * unit)).equals(noise.subarray(0, unit))).toBe(true);
    expect(Buffer.from(input).equals(content)).toBe(!mayOverwrite);
    const pieces = streams.map((stream) => ({ input: stream as Uint8Array, output: new Uint8Array(unit) }));
    expect(await codecs.decompressBatch({ method: 'zlib' }, pieces)).toEqual([unit, unit, unit]);
    expect(Buffer.concat(pieces.map(({ output }) => output)).equals(content)).toBe(true);
  });

  it('decodes the methods that have no compressor', async () => {
    const into = new Uint8Array(24);
    const bzip2 = Buffer.from('QlpoOTFBWSZTWW9PEPMAAAXRAAAQQAACRKAAMMACqDRxDa2HDxdyRThQkG9PEPM=', 'base64');
    expect(await codecs.decompress({ method: 'bzip2' }, bzip2, into)).toBe(24);
    expect(Buffer.from(into).toString()).toBe('hello hello hello hello\n');
    expect(await codecs.decompress({ method: 'adc' }, Uint8Array.from([0x80, 65]), into)).toBe(1);
    expect(await codecs.decompress({ method: 'lzfse' }, Buffer.from('bvx-\x01\0\0\0Xbvx$', 'latin1'), into)).toBe(1);
  });

  it('decodes single deflate streams without a promise', () => {
    const stream = zlib().deflateRawSync(text, { windowBits: 12 });
    const produced = codecs.decompress({ method: 'deflate-raw', windowBits: 12 }, stream, new Uint8Array(text.length));
    expect(produced).toBe(text.length);
  });

  it('rejects a batch with a damaged piece, after all of it is done', async () => {
    const good = zlib().deflateRawSync(text);
    const pieces = [good, good.subarray(0, 9), good].map((input) => ({ input, output: new Uint8Array(text.length) }));
    await expect(codecs.decompressBatch({ method: 'deflate-raw' }, pieces)).rejects.toEqual(IO);
  });

  it('handles empty batches', async () => {
    expect(await codecs.compressBatch({ method: 'zlib' }, new Uint8Array(0), 512, 512)).toEqual([]);
    expect(await codecs.decompressBatch({ method: 'zlib' }, [])).toEqual([]);
  });
});
