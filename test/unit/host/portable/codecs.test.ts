import { deflateRawSync, deflateSync, inflateRawSync, inflateSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { portableCodecs } from '../../../../src/host/portable/codecs.ts';
import { deflater, inflater } from '../../../../src/host/portable/deflate.ts';
import { zstdDecoder, zstdEncoder } from '../../../../src/host/shared/zstd.ts';
import { checkCoders, IO, noise, text, type Ways } from '../coderChecks.ts';

const METHODS = ['deflate-raw', 'zlib'] as const;
const ways: Ways[number][] = METHODS.map((method) => [
  method,
  async () => ({ encode: deflater({ method }), decode: inflater({ method }) }),
]);
checkCoders([...ways, ['zstd', async () => ({ encode: await zstdEncoder(3), decode: await zstdDecoder() })]]);

describe('deflate', () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 12 });

  it('is read by zlib with the window that was asked for, and reads what zlib writes', () => {
    const bits = fc.integer({ min: 9, max: 15 });
    fc.assert(
      fc.property(pieces, bits, fc.nat(9), fc.integer({ min: 1, max: 9 }), (parts, windowBits, level, memLevel) => {
        // What comes again is found as far back as the window goes.
        const bytes = new Uint8Array(Buffer.concat([...parts, ...parts]));
        const into = new Uint8Array(bytes.length);
        for (const method of METHODS) {
          const raw = method === 'deflate-raw';
          const handed = { windowBits, chunkSize: 64 };
          const stream = deflater({ method, windowBits, level, memLevel })(bytes, Number.POSITIVE_INFINITY)!;
          const read = raw ? inflateRawSync(stream, handed) : inflateSync(stream, handed);
          expect(Buffer.compare(read, bytes)).toBe(0);
          const written = (raw ? deflateRawSync : deflateSync)(bytes, { windowBits, level, memLevel });
          expect(inflater({ method, windowBits })(written, into)).toBe(bytes.length);
          expect(Buffer.compare(into, bytes)).toBe(0);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('keeps to a window of 4 KiB where more would find more', () => {
    const bytes = new Uint8Array(Buffer.concat([noise, noise]));
    const limit = Number.POSITIVE_INFINITY;
    const small = deflater({ method: 'deflate-raw', windowBits: 12 })(bytes, limit)!;
    const large = deflater({ method: 'deflate-raw', windowBits: 15 })(bytes, limit)!;
    expect(small.length).toBeGreaterThan(large.length * 1.5);
    // zlib looks at its window only for what it has handed out already.
    const handed = { windowBits: 12, chunkSize: 64 };
    expect(Buffer.compare(inflateRawSync(small, handed), bytes)).toBe(0);
    expect(() => inflateRawSync(large, handed)).toThrow('too far back');
  });
});

describe('portableCodecs', () => {
  const codecs = portableCodecs();

  it.each([...METHODS, 'zstd'] as const)('compresses and decodes batches: %s', async (method) => {
    const unit = 4096;
    const input = Buffer.concat([text.subarray(0, unit), noise.subarray(0, unit), text.subarray(0, 1000)]);
    const streams = await codecs.compressBatch({ method }, input, unit, unit);
    expect(streams.map((stream) => stream !== undefined)).toEqual([true, false, true]);
    const batch = [0, 2].map((i) => ({ input: streams[i] as Uint8Array, output: new Uint8Array(unit) }));
    expect(await codecs.decompressBatch({ method }, batch)).toEqual([unit, 1000]);
    expect(batch[0]?.output).toEqual(text.subarray(0, unit));
    expect(batch[1]?.output.subarray(0, 1000)).toEqual(text.subarray(0, 1000));
  });

  it('decodes single streams without a promise as soon as the decoder is loaded', async () => {
    const stream = deflateRawSync(text);
    await codecs.decompress({ method: 'deflate-raw' }, stream, new Uint8Array(1));
    expect(codecs.decompress({ method: 'deflate-raw' }, stream, new Uint8Array(text.length))).toBe(text.length);
  });

  it('decodes the methods that have no compressor', async () => {
    const into = new Uint8Array(24);
    const bzip2 = Buffer.from('QlpoOTFBWSZTWW9PEPMAAAXRAAAQQAACRKAAMMACqDRxDa2HDxdyRThQkG9PEPM=', 'base64');
    expect(await codecs.decompress({ method: 'bzip2' }, bzip2, into)).toBe(24);
    expect(await codecs.decompress({ method: 'adc' }, Uint8Array.from([0x80, 65]), into)).toBe(1);
    expect(await codecs.decompress({ method: 'lzfse' }, Buffer.from('bvx-\x01\0\0\0Xbvx$', 'latin1'), into)).toBe(1);
  });

  it('rejects a batch with a damaged piece', async () => {
    const good = deflateRawSync(text);
    const batch = [good, good.subarray(0, 9)].map((input) => ({ input, output: new Uint8Array(text.length) }));
    await expect(codecs.decompressBatch({ method: 'deflate-raw' }, batch)).rejects.toEqual(IO);
  });

  it('says so if it cannot begin', async () => {
    const how = { method: 'deflate-raw', windowBits: 99 } as const;
    await expect(codecs.compressBatch(how, text, 4096, 4096)).rejects.toMatchObject({ kind: 'internal' });
  });
});
