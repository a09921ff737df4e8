import { deflateRawSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type ByteStream, PeekableStream } from '../../../src/base/byteStream.ts';
import type { CodecPort, FileCompression } from '../../../src/codec/codec.ts';
import { nodeCodecs } from '../../../src/host/node/codecs.ts';
import { portableCodecs } from '../../../src/host/portable/codecs.ts';
import { lackOf } from '../../support/needs.ts';
import { because } from '../../support/skip.ts';
import { packedBy } from '../../support/packed.ts';

/** Bytes in pieces of odd lengths. */
function streamOf(bytes: Uint8Array, piece = 10_007): ByteStream & { closed: number } {
  let at = 0;
  return {
    closed: 0,
    read(into) {
      const count = Math.min(into.length, piece, bytes.length - at);
      into.set(bytes.subarray(at, at + count));
      at += count;
      return count;
    },
    close() {
      this.closed++;
    },
  };
}

async function expanded(codec: CodecPort, method: FileCompression, file: Uint8Array): Promise<Buffer> {
  const input = streamOf(file);
  const stream = await codec.expand?.(method, input);
  if (!stream) expect.fail('nothing to expand with');
  const pieces: Buffer[] = [];
  try {
    for (;;) {
      const into = new Uint8Array(new ArrayBuffer(100_003));
      const count = await stream.read(into);
      if (count === 0) break;
      pieces.push(Buffer.from(into.subarray(0, count)));
    }
    // The end stays where it is.
    expect(await stream.read(new Uint8Array(10))).toBe(0);
  } finally {
    await stream.close();
    await stream.close();
  }
  return Buffer.concat(pieces);
}

/** Text that is the same each time, with a long run of one byte in the middle. */
const content = Buffer.concat([
  ...Array.from({ length: 90_000 }, (_, i) => Buffer.from(`${i * i} lines of text\n`)),
  Buffer.alloc(3_000_000, 0x61),
  Buffer.from('the end'),
]);

const LACK = lackOf(['xz', 'zstd', 'bzip2', 'gzip'], 'xz-utils zstd bzip2 gzip');

const HOSTS: readonly (readonly [string, () => CodecPort])[] = [
  ['Node', nodeCodecs],
  ['any platform', portableCodecs],
];

describe.each(HOSTS)('files expanded on %s', (_, make) => {
  const codec = make();

  it('are raw deflate streams', async () => {
    expect((await expanded(codec, 'deflate-raw', deflateRawSync(content))).equals(content)).toBe(true);
    await expect(expanded(codec, 'deflate-raw', deflateRawSync(content).subarray(0, -9))).rejects.toThrow('cut off');
  });

  it('are gzip files with several members', async () => {
    const two = Buffer.concat([gzipSync(content), gzipSync(Buffer.from('more'))]);
    expect((await expanded(codec, 'gzip', two)).equals(Buffer.concat([content, Buffer.from('more')]))).toBe(true);
  });

  it('are nothing else', async () => {
    for (const method of ['gzip', 'xz', 'zstd', 'bzip2'] as const) {
      for (const other of [new Uint8Array(0), Buffer.alloc(100_000, 'something else')]) {
        await expect(expanded(codec, method, other)).rejects.toMatchObject({ kind: 'io' });
      }
    }
  });

  describe.skipIf(LACK !== undefined)(`made by the programs${because(LACK)}`, () => {
    it.each(['gzip', 'xz', 'zstd', 'bzip2'] as const)('%s: whole, several, cut off, damaged', async (method) => {
      const file = packedBy(method, content);
      expect((await expanded(codec, method, file)).equals(content)).toBe(true);
      const two = await expanded(codec, method, Buffer.concat([file, packedBy(method, Buffer.from('more'))]));
      expect(two.equals(Buffer.concat([content, Buffer.from('more')]))).toBe(true);
      for (const cut of [file.length - 1, file.length - 9, file.length >> 1, 10]) {
        await expect(expanded(codec, method, file.subarray(0, cut))).rejects.toMatchObject({ kind: 'io' });
      }
      for (const place of [0.25, 0.5, 0.9]) {
        const damaged = Buffer.from(file);
        const at = Math.floor(file.length * place);
        damaged[at] = (damaged[at] as number) ^ 0x10;
        await expect(expanded(codec, method, damaged)).rejects.toMatchObject({ kind: 'io' });
      }
    });

    it('are bzip2 streams that end at any bit, with blocks that become fifty times as long', async () => {
      for (let length = 0; length < 12; length++) {
        const bytes = Buffer.alloc(length, 'abcde');
        expect((await expanded(codec, 'bzip2', packedBy('bzip2', bytes))).equals(bytes)).toBe(true);
      }
      const zeroes = Buffer.alloc(60_000_000);
      const result = await expanded(codec, 'bzip2', packedBy('bzip2', zeroes));
      expect(result.equals(zeroes)).toBe(true);
    });

    it('are zstd frames between others that are passed over', async () => {
      const skipped = Buffer.from('502a4d180400000001020304', 'hex');
      const file = Buffer.concat([
        skipped,
        packedBy('zstd', Buffer.from('a')),
        skipped,
        packedBy('zstd', Buffer.from('b')),
      ]);
      expect((await expanded(codec, 'zstd', file)).toString()).toBe('ab');
    });
  });
});

describe('a stream that can be looked at', () => {
  it('gives what was looked at again, up to the end', async () => {
    const stream = new PeekableStream(streamOf(Buffer.from('0123456789'), 3), 8);
    expect(Buffer.from(await stream.peek(4)).toString()).toBe('0123');
    stream.skip(2);
    expect(Buffer.from(await stream.peek(8)).toString()).toBe('23456789');
    const into = Buffer.alloc(5);
    expect(await stream.read(into)).toBe(5);
    expect(into.toString()).toBe('23456');
    expect(Buffer.from(await stream.peek(8)).toString()).toBe('789');
  });
});
