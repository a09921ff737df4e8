/**
 * Zstandard in both directions: the system's library where there is one, `node:zlib` where it has it (Node 22.15), else
 * WebAssembly.
 */
import type { Compression, Decoder, Encoder } from '../../codec/codec.ts';
import { damaged } from '../../codec/damaged.ts';
import { checkOverrun, guarded, overFrames } from '../../codec/zstdFrames.ts';
import { needWebAssembly } from './limits.ts';
import { ReusedStream, selfTest, zlib } from './zlibHandle.ts';
import { type SystemZstd, systemZstd } from './zstdSystem.ts';

/** What `@types/node` 20 does not know about newer versions of `node:zlib`. */
interface ZstdOfNode {
  createZstdCompress(options: { params: Record<number, number> }): object;
  createZstdDecompress(): object;
  zstdCompressSync(input: Uint8Array, options: { params: Record<number, number> }): Uint8Array;
  zstdDecompressSync(input: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

/** Which implementation to use; `undefined` picks the best that is there. */
export type ZstdWay = 'system' | 'handle' | 'sync' | 'wasm';

const ZSTD_e_end = 2;
const ZSTD_c_compressionLevel = 100;
const DEFAULT_LEVEL = 3;

let found: ZstdWay | undefined;

function bestWay(): ZstdWay {
  if (found) return found;
  if (systemZstd()) found = 'system';
  else if (!('zstdCompressSync' in zlib())) found = 'wasm';
  else {
    const node = allOfNode();
    const works = selfTest(
      () => node.createZstdCompress({ params: {} }),
      () => node.createZstdDecompress(),
      ZSTD_e_end,
    );
    found = works ? 'handle' : 'sync';
  }
  return found;
}

function allOfNode(): ZstdOfNode {
  return zlib() as unknown as ZstdOfNode;
}

/** The coders in WebAssembly. */
async function portable(): Promise<typeof import('../shared/zstd.ts')> {
  needWebAssembly('zstd (without libzstd.so.1 and Node 22.15)');
  return import('../shared/zstd.ts');
}

/** A decoder of zstd frames. */
export async function zstdDecoder(way: ZstdWay = bestWay()): Promise<Decoder> {
  const system = way === 'system' ? systemZstd() : undefined;
  if (system) return systemDecoder(system);
  if (way === 'wasm' || way === 'system') return (await portable()).zstdDecoder();
  const node = allOfNode();
  if (way === 'sync') {
    return overFrames((frame, maxContent, into) => {
      checkOverrun(maxContent, into);
      return guarded(() => node.zstdDecompressSync(frame, { maxOutputLength: Math.max(1, maxContent) }), into);
    });
  }
  const engine = new ReusedStream(() => node.createZstdDecompress(), ZSTD_e_end);
  return overFrames((frame, _maxContent, into) => {
    const produced = engine.run(frame, into, into.length);
    if (typeof produced === 'string') throw damaged('zstd', produced);
    return produced;
  });
}

function systemDecoder(system: SystemZstd): Decoder {
  return overFrames((frame, maxContent, into) => {
    const direct = system.decompress(frame, into.length > maxContent ? into.subarray(0, maxContent) : into);
    if (direct !== undefined) return direct;
    if (maxContent <= into.length) throw damaged('zstd', 'the frame cannot be decoded');
    // It may only have more content than was asked for.
    checkOverrun(maxContent, into);
    const whole = new Uint8Array(maxContent);
    const length = system.decompress(frame, whole);
    if (length === undefined) throw damaged('zstd', 'the frame cannot be decoded');
    const used = Math.min(length, into.length);
    into.set(whole.subarray(0, used));
    return used;
  });
}

/** An encoder to one zstd frame. */
export async function zstdEncoder(how: Compression, way: ZstdWay = bestWay()): Promise<Encoder> {
  const level = how.level ?? DEFAULT_LEVEL;
  const options = { params: { [ZSTD_c_compressionLevel]: level } };
  const system = way === 'system' ? systemZstd() : undefined;
  if (system) return systemEncoder(system, level);
  if (way === 'handle') return handleEncoder(options);
  if (way === 'sync') {
    const node = allOfNode();
    return (input, limit) => {
      const output = node.zstdCompressSync(input, options);
      return output.length < limit ? output : undefined;
    };
  }
  return (await portable()).zstdEncoder(level);
}

/** `ZSTD_compressBound`: the content, 1/256 of it, and a margin for small content. */
function compressBound(length: number): number {
  return length + Math.ceil(length / 256) + 1024;
}

function systemEncoder(system: SystemZstd, level: number): Encoder {
  let scratch = new Uint8Array(0);
  return (input, limit) => {
    const bound = compressBound(input.length);
    if (scratch.length < bound) scratch = new Uint8Array(bound);
    const length = system.compress(input, scratch, level);
    if (length === undefined) throw new Error('zstd failed');
    return length < limit ? scratch.subarray(0, length) : undefined;
  };
}

function handleEncoder(options: { params: Record<number, number> }): Encoder {
  const engine = new ReusedStream(() => allOfNode().createZstdCompress(options), ZSTD_e_end);
  let scratch = new Uint8Array(0);
  return (input, limit) => {
    const room = Math.min(limit, compressBound(input.length));
    if (room <= 0) return undefined;
    if (scratch.length < room) scratch = new Uint8Array(room);
    const produced = engine.run(input, scratch, room);
    if (typeof produced === 'string') throw new Error(`zstd failed: ${produced}`);
    return produced < room ? scratch.subarray(0, produced) : undefined;
  };
}
