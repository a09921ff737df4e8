/** An open Apple disk image. */
import { type BlockError, ioError } from '../../base/error.ts';
import { MiB } from '../../base/offset.ts';
import { DecodedUnits } from '../../block/kit/decodedUnits.ts';
import type { BeyondEnd, Checker, FormatInfo, ImageDriver, Quirks } from '../../block/capabilities.ts';
import type { Mapping } from '../../block/mapping.ts';
import type { Services } from '../../block/services.ts';
import type { CodecPort, DecompressPiece, Decompression } from '../../codec/codec.ts';
import type { Storage } from '../../storage/storage.ts';
import { type Chunk, lastBefore } from './chunks.ts';
import { deepCheckerOf } from './deepCheck.ts';
import type { Trailer } from './trailer.ts';

/** Bytes of decoded chunks that are kept; a larger one is kept alone. */
const BUDGET: number = 16 * MiB;

/** What a {@link DmgImage} is made of. */
export interface ImageParts {
  readonly file: Storage;
  readonly trailer: Trailer;
  /** Guest size in bytes. */
  readonly virtualSize: number;
  /** In the order of the disk. */
  readonly chunks: readonly Chunk[];
  readonly services: Pick<Services, 'codec' | 'limits'>;
}

/** An open image as the block layer sees it. Reading changes nothing but a cache: requests may run side by side. */
export class DmgImage implements ImageDriver {
  readonly virtualSize: number;
  readonly quirks: Quirks = { opaque: true, inSectors: true, staysReadOnly: true };
  readonly beyondEnd: BeyondEnd = { data: 'told' };
  readonly checker: Checker;
  readonly #file: Storage;
  readonly #chunks: readonly Chunk[];
  readonly #codec: CodecPort;
  readonly #decoded: DecodedUnits<Chunk>;

  constructor({ file, trailer, virtualSize, chunks, services }: ImageParts) {
    this.#file = file;
    this.virtualSize = virtualSize;
    this.#chunks = chunks;
    this.#codec = services.codec;
    const decode = (wanted: readonly Chunk[]): Promise<readonly Uint8Array[]> => this.#decode(wanted);
    this.#decoded = new DecodedUnits(BUDGET, decode);
    this.checker = deepCheckerOf({ file, trailer, virtualSize, mostZeroes: services.limits.summedZeroes, decode });
  }

  map(offset: number, length: number): Mapping {
    const index = lastBefore(this.#chunks, offset);
    const chunk = this.#chunkAt(index, offset);
    if (!chunk) return special(Math.min(length, (this.#chunks[index + 1]?.start ?? this.virtualSize) - offset));
    const inside = offset - chunk.start;
    const known = Math.min(length, this.#endOf(index) - offset);
    if (chunk.method === 'zero') return { kind: 'zero', length: known };
    if (chunk.method === 'raw') {
      // The last sector may be stored only in part.
      if (inside >= chunk.stored) return { kind: 'zero', length: known };
      const stored = Math.min(known, chunk.stored - inside);
      return { kind: 'data', length: stored, storage: this.#file, offset: chunk.offset + inside };
    }
    return special(Math.min(length, this.#compressedEnd(index) - offset));
  }

  /** The chunk of that index if it holds the byte at `offset`. */
  #chunkAt(index: number, offset: number): Chunk | undefined {
    const chunk = this.#chunks[index];
    return chunk && offset < chunk.start + chunk.length ? chunk : undefined;
  }

  /** End of a chunk, or the start of the next one if they overlap. */
  #endOf(index: number): number {
    const chunk = this.#chunks[index];
    if (!chunk) return this.virtualSize;
    return Math.min(chunk.start + chunk.length, this.#chunks[index + 1]?.start ?? this.virtualSize);
  }

  /** End of the compressed chunks that follow each other without a gap, so that all of them can be decoded at once. */
  #compressedEnd(index: number): number {
    let last = index;
    for (let end = this.#endOf(last); this.#chunks[last + 1]?.start === end; end = this.#endOf(last)) {
      const method = this.#chunks[last + 1]?.method;
      if (method === 'zero' || method === 'raw') break;
      last++;
      if (last - index >= 4096) break;
    }
    return this.#endOf(last);
  }

  async readSpecial(offset: number, into: Uint8Array): Promise<void> {
    const chunks: Chunk[] = [];
    for (let at = offset; at < offset + into.length; ) {
      const index = lastBefore(this.#chunks, at);
      const chunk = this.#chunkAt(index, at);
      if (!chunk) throw unreadable(at);
      chunks.push(chunk);
      at = this.#endOf(index);
    }
    await this.#readChunks(offset, into, chunks);
  }

  /** Chunks may overlap: each fills only its own part, up to the start of the next. */
  async #readChunks(offset: number, into: Uint8Array, chunks: readonly Chunk[]): Promise<void> {
    const overlapping = chunks.some((chunk, index) => {
      const next = chunks[index + 1];
      return next !== undefined && chunk.start + chunk.length > next.start;
    });
    if (!overlapping) return this.#decoded.read(offset, into, chunks);
    for (const [index, chunk] of chunks.entries()) {
      const from = Math.max(offset, chunk.start);
      const to = Math.min(offset + into.length, chunks[index + 1]?.start ?? Number.POSITIVE_INFINITY);
      await this.#decoded.read(from, into.subarray(from - offset, to - offset), [chunk]);
    }
  }

  async #decode(chunks: readonly Chunk[]): Promise<readonly Uint8Array[]> {
    const pieces: DecompressPiece[] = [];
    for (const chunk of chunks) {
      // One byte more than a chunk has shows streams that are too long.
      pieces.push({ input: await this.#stored(chunk), output: new Uint8Array(chunk.length + 1) });
    }
    const methods = new Set(chunks.map((chunk) => chunk.method));
    for (const method of methods) {
      if (method !== 'raw' && method !== 'zero') await this.#decodeWith(method, chunks, pieces);
    }
    return pieces.map(({ output }) => output.subarray(0, output.length - 1));
  }

  async #decodeWith(
    method: Decompression['method'],
    chunks: readonly Chunk[],
    pieces: readonly DecompressPiece[],
  ): Promise<void> {
    const own = pieces.filter((_, index) => chunks[index]?.method === method);
    const lengths = await this.#codec.decompressBatch({ method }, own);
    if (own.some(({ output }, index) => lengths[index] !== output.length - 1)) throw unreadable(chunks[0]?.start ?? 0);
  }

  async #stored(chunk: Chunk): Promise<Uint8Array> {
    const length = Math.min(chunk.stored, this.#file.size() - chunk.offset);
    if (!(length > 0)) throw unreadable(chunk.start);
    const bytes = new Uint8Array(length);
    await this.#file.read(chunk.offset, bytes);
    return bytes;
  }

  flush(): void {}

  close(): void {}

  info(): FormatInfo {
    return {};
  }
}

function special(length: number): Mapping {
  return { kind: 'special', length, compressed: true, encrypted: false };
}

function unreadable(offset: number): BlockError {
  return ioError({ access: 'read', offset });
}
