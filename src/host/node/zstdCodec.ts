/**
 * Zstandard in both directions: the system's library where there is one, `node:zlib` where it has it (Node 22.15), else
 * WebAssembly.
 * Frames are measured first (`zstdFrame`), because most decoders refuse bytes behind a frame and trust the content
 * size in its header.
 */
import { asBlockError } from '../../base/error.ts';
import type { Compression } from '../../codec/codec.ts';
import { damaged } from '../../codec/damaged.ts';
import { isZstdFrame, zstdFrame } from '../../codec/zstdFrame.ts';
import { needWebAssembly } from './limits.ts';
import type { Decoder, Encoder } from './zlibCodec.ts';
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
/** A frame that yields this much more than was asked for is refused by decoders that cannot stop early. */
const OVERRUN = 64 * 1024 * 1024;

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

type Wasm = typeof import('@bokuweb/zstd-wasm');
let wasm: Promise<Wasm> | undefined;

async function loadWasm(): Promise<Wasm> {
  needWebAssembly('zstd (without libzstd.so.1 and Node 22.15)');
  wasm ??= import('@bokuweb/zstd-wasm').then(async (module) => {
    await module.init();
    return module;
  });
  return wasm;
}

/** Decodes one frame into `into`, which may be smaller than its content. */
type FrameDecoder = (frame: Uint8Array, maxContent: number, into: Uint8Array) => number;

/** Decodes frame after frame until `into` is full or no further frame follows. */
function overFrames(decodeFrame: FrameDecoder): Decoder {
  return (input, into) => {
    let at = 0;
    let produced = 0;
    do {
      const frame = zstdFrame(input, at);
      if (!frame.skippable && produced < into.length) {
        const maxContent = Math.min(frame.maxContent, frame.contentSize ?? frame.maxContent);
        const bytes = input.subarray(at, at + frame.length);
        produced += decodeFrame(bytes, maxContent, produced === 0 ? into : into.subarray(produced));
      }
      at += frame.length;
    } while (produced < into.length && isZstdFrame(input, at));
    return produced;
  };
}

function checkOverrun(maxContent: number, into: Uint8Array): void {
  if (maxContent > into.length + OVERRUN) throw damaged('zstd', 'the content is larger than expected');
}

/** Runs a library's decoder; its errors become errors of the data. */
function guarded(decode: () => Uint8Array, into: Uint8Array): number {
  let output: Uint8Array;
  try {
    output = decode();
  } catch (error) {
    throw damaged('zstd', asBlockError(error).message, error);
  }
  const length = Math.min(output.length, into.length);
  into.set(output.length > length ? output.subarray(0, length) : output);
  return length;
}

/** A decoder of zstd frames. */
export async function zstdDecoder(way: ZstdWay = bestWay()): Promise<Decoder> {
  const system = way === 'system' ? systemZstd() : undefined;
  if (system) return systemDecoder(system);
  if (way === 'wasm' || way === 'system') return wasmDecoder();
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

async function wasmDecoder(): Promise<Decoder> {
  const module = await loadWasm();
  let context = module.createDCtx();
  const noDictionary = new Uint8Array(0);
  return overFrames((frame, maxContent, into) => {
    // The library allocates what the header states, so a lie must not get that far.
    checkOverrun(maxContent, into);
    const options = { defaultHeapSize: Math.max(1, maxContent) };
    try {
      return guarded(() => module.decompressUsingDict(context, frame, noDictionary, options), into);
    } catch (error) {
      module.freeDCtx(context);
      context = module.createDCtx();
      throw error;
    }
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
    return (input, limit) => shorter(node.zstdCompressSync(input, options), limit);
  }
  const module = await loadWasm();
  const context = module.createCCtx();
  const noDictionary = new Uint8Array(0);
  return (input, limit) => shorter(module.compressUsingDict(context, input, noDictionary, level), limit);
}

function shorter(output: Uint8Array, limit: number): Uint8Array | undefined {
  return output.length < limit ? output : undefined;
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
