/** Reads clusters that are stored compressed one by one, wherever they lie in a storage. */
import { type BlockError, ioError } from '../../base/error.ts';
import type { Decompression, DecompressPiece } from '../../codec/codec.ts';
import type { Storage } from '../../storage/storage.ts';
import { Scratch } from './scratch.ts';
import type { Services } from '../services.ts';

/** Largest read of adjacent compressed clusters in bytes. */
const GROUP = 1048576;
/** Gap between two compressed clusters that is read rather than skipped, in bytes. */
const GAP = 65536;

/** A compressed cluster that (part of) a request asks for. */
export interface WantedCluster {
  /** Where its stored bytes begin. */
  readonly offset: number;
  /** Stored bytes, perhaps with those of its neighbour behind them. */
  readonly length: number;
  /** Position of the cluster's first guest byte in the request; negative if the request begins inside the cluster. */
  readonly at: number;
}

/** The image whose clusters are read. */
export interface CompressedImage {
  readonly file: Storage;
  /** For messages. */
  readonly filename: string;
  readonly services: Services;
  /** Changes whenever compressed clusters may have been given up or written again. */
  readonly generation: number;
}

/** Decodes clusters in groups of neighbours, on all cores, and keeps the last one for requests smaller than a cluster. */
export class CompressedClusters {
  readonly #image: CompressedImage;
  readonly #clusterSize: number;
  readonly #how: Decompression;
  #decoded: { readonly offset: number; readonly generation: number; readonly bytes: Uint8Array } | undefined;
  /** Memory that is not in use: large clusters would soon leave more behind than a limited process has. */
  readonly #spare: Uint8Array[] = [];

  /** @param clusterSize guest bytes of each cluster. */
  constructor(image: CompressedImage, clusterSize: number, how: Decompression) {
    this.#image = image;
    this.#clusterSize = clusterSize;
    this.#how = how;
  }

  /**
   * Copies what a request wants of the clusters to their positions in `into`.
   * @throws BlockError kind `io` for clusters that are damaged or lie outside the file.
   */
  async read(wanted: readonly WantedCluster[], into: Uint8Array): Promise<void> {
    for (let i = 0; i < wanted.length; ) {
      const group = groupFrom(wanted, i);
      await this.#readGroup(group, into);
      i += group.length;
    }
  }

  async #readGroup(group: readonly WantedCluster[], into: Uint8Array): Promise<void> {
    const only = group.length === 1 ? group[0] : undefined;
    if (only && this.#fromDecoded(only, into)) return;
    for (const { offset } of group) if (offset >= this.#image.file.size()) throw this.#damaged(offset);
    const start = Math.min(...group.map((place) => place.offset));
    const length = Math.max(...group.map((place) => place.offset + place.length)) - start;
    const { buffers } = this.#image.services;
    if (length > buffers.size) {
      const memory = this.#take(length);
      await this.#decodeStored(group, start, memory.subarray(0, length), into).finally(() => this.#spare.push(memory));
      return;
    }
    const scratch = new Scratch(buffers);
    try {
      await this.#decodeStored(group, start, scratch.take(length), into);
    } finally {
      scratch.release();
    }
  }

  /** Memory of at least so many bytes. */
  #take(length: number): Uint8Array {
    const known = this.#spare.findIndex((memory) => memory.length >= length);
    if (known >= 0) return this.#spare.splice(known, 1)[0] as Uint8Array;
    return new Uint8Array(Math.max(length, this.#clusterSize));
  }

  async #decodeStored(
    group: readonly WantedCluster[],
    start: number,
    stored: Uint8Array,
    into: Uint8Array,
  ): Promise<void> {
    const { file, generation } = this.#image;
    const size = this.#clusterSize;
    await file.readPadded(start, stored);
    const pieces: DecompressPiece[] = group.map(({ offset, length, at }) => ({
      input: stored.subarray(offset - start, offset - start + length),
      output: at >= 0 && at + size <= into.length ? into.subarray(at, at + size) : this.#take(size).subarray(0, size),
    }));
    await this.#decode(pieces);
    group.forEach(({ at, offset }, i) => {
      const output = pieces[i]?.output;
      if (!output || output.buffer === into.buffer) return;
      copyPart(output, at, into);
      if (this.#decoded) this.#spare.push(wholeOf(this.#decoded.bytes));
      this.#decoded = { offset, generation, bytes: output };
    });
  }

  async #decode(pieces: readonly DecompressPiece[]): Promise<void> {
    const { codec } = this.#image.services;
    const [first] = pieces;
    const lengths =
      pieces.length === 1 && first
        ? [await codec.decompress(this.#how, first.input, first.output)]
        : await codec.decompressBatch(this.#how, pieces);
    if (lengths.some((length) => length !== this.#clusterSize)) throw this.#damaged();
  }

  #fromDecoded(place: WantedCluster, into: Uint8Array): boolean {
    const known = this.#decoded;
    if (!known || known.offset !== place.offset || known.generation !== this.#image.generation) return false;
    copyPart(known.bytes, place.at, into);
    return true;
  }

  #damaged(offset?: number): BlockError {
    const context = {
      filename: this.#image.filename,
      access: 'decompress',
      ...(offset === undefined ? {} : { offset }),
    };
    return ioError(context);
  }
}

/** All memory that an array is the beginning of. */
function wholeOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer);
}

/** Copies the part of a cluster that a request asks for. */
function copyPart(cluster: Uint8Array, at: number, into: Uint8Array): void {
  const from = Math.max(0, -at);
  const count = Math.min(cluster.length - from, into.length - (at + from));
  into.set(cluster.subarray(from, from + count), at + from);
}

/** The places from `start` on that are read with one request. */
function groupFrom(wanted: readonly WantedCluster[], start: number): WantedCluster[] {
  const group: WantedCluster[] = [];
  let end = 0;
  for (let i = start; i < wanted.length; i++) {
    const place = wanted[i];
    const first = group[0];
    if (!place) break;
    if (first && (place.offset < first.offset || place.offset > end + GAP)) break;
    if (first && place.offset + place.length - first.offset > GROUP) break;
    group.push(place);
    end = Math.max(end, place.offset + place.length);
  }
  return group;
}
