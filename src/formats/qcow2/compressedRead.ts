/** Reading what only the driver can decode: compressed and encrypted clusters. */
import { isPromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import type { DecompressPiece, Decompression } from '../../codec/codec.ts';
import { type CompressedPlace, compressedPlace, entryOffset, Kind, kindOf } from './geometry.ts';
import type { Qcow2Image } from './image.ts';
import { l2Table } from './mapping.ts';

/** Largest read of adjacent compressed clusters in bytes. */
const GROUP = 1048576;
/** Gap between two compressed clusters that is read rather than skipped. */
const GAP = 65536;

/** One compressed guest cluster of a request. */
interface Wanted extends CompressedPlace {
  /** Position of the cluster's first byte in the request; negative if the request begins inside the cluster. */
  readonly at: number;
}

/** Encrypted clusters of a request that are stored one behind the other. */
interface EncryptedRun {
  readonly host: number;
  /** Position in the request. */
  readonly at: number;
  length: number;
}

/** The codec call for an image's compression type. zlib streams are raw deflate. */
function decompressionOf(image: Qcow2Image): Decompression {
  return { method: image.header.compressionType === 1 ? 'zstd' : 'deflate-raw' };
}

/** The last decoded cluster of an image, for requests smaller than a cluster. */
export interface DecodedCluster {
  readonly offset: number;
  readonly generation: number;
  readonly bytes: Uint8Array;
}

/** Reads runs that `map` called special. */
export class SpecialReader {
  readonly #image: Qcow2Image;
  #decoded: DecodedCluster | undefined;

  constructor(image: Qcow2Image) {
    this.#image = image;
  }

  /** Fills `into` with the guest bytes from `offset` on. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    const image = this.#image;
    const { clusterSize, l2Coverage, entrySize } = image.geometry;
    const compressed: Wanted[] = [];
    let run: EncryptedRun | undefined;
    for (let at = 0; at < into.length; ) {
      const guest = offset + at;
      const index = Math.floor(guest / l2Coverage);
      const l1 = await image.l1.view();
      const found = l2Table(image, index, entryOffset(l1, index * 8));
      const table = isPromise(found) ? await found : found;
      const inCluster = guest % clusterSize;
      const position = Math.floor((guest % l2Coverage) / clusterSize) * entrySize;
      const length = Math.min(into.length - at, clusterSize - inCluster);
      if (kindOf(image.geometry, table.view, position, 0) === Kind.compressed) {
        compressed.push({ ...compressedPlace(image.geometry, table.view, position), at: at - inCluster });
      } else {
        const host = entryOffset(table.view, position) + inCluster;
        if (run && run.host + run.length === host && run.at + run.length === at) {
          run.length += length;
        } else {
          if (run) await this.#readEncrypted(run, offset, into);
          run = { host, at, length };
        }
      }
      at += length;
    }
    if (run) await this.#readEncrypted(run, offset, into);
    await this.#readCompressed(compressed, into);
  }

  async #readEncrypted({ host, at, length }: EncryptedRun, offset: number, into: Uint8Array): Promise<void> {
    const { cipher, data } = this.#image;
    if (!cipher) throw new BlockError('internal', 'encrypted image without a key');
    const bytes = into.subarray(at, at + length);
    await data.readPadded(host, bytes);
    await cipher.decrypt(bytes, host, offset + at);
  }

  async #readCompressed(wanted: readonly Wanted[], into: Uint8Array): Promise<void> {
    for (let i = 0; i < wanted.length; ) {
      const group = groupFrom(wanted, i);
      const start = Math.min(...group.map((place) => place.offset));
      const end = Math.max(...group.map((place) => place.offset + place.length));
      await this.#decodeGroup(group, start, end - start, into);
      i += group.length;
    }
  }

  async #decodeGroup(group: readonly Wanted[], start: number, length: number, into: Uint8Array): Promise<void> {
    const image = this.#image;
    const only = group.length === 1 ? group[0] : undefined;
    if (only && this.#fromDecoded(only, into)) return;
    for (const place of group) {
      if (place.offset >= image.file.size()) throw new BlockError('io', 'Input/output error');
    }
    const { buffers } = image.services;
    // Worker threads see what is in pooled memory.
    const pooled = length <= buffers.size ? buffers.acquire() : undefined;
    try {
      await this.#decodeStored(group, start, pooled?.subarray(0, length) ?? new Uint8Array(length), into);
    } finally {
      if (pooled) buffers.release(pooled);
    }
  }

  async #decodeStored(group: readonly Wanted[], start: number, stored: Uint8Array, into: Uint8Array): Promise<void> {
    const image = this.#image;
    const { clusterSize } = image.geometry;
    const { generation } = image;
    await image.file.readPadded(start, stored);
    const pieces: DecompressPiece[] = group.map(({ offset, length: bytes, at }) => ({
      input: stored.subarray(offset - start, offset - start + bytes),
      output:
        at >= 0 && at + clusterSize <= into.length ? into.subarray(at, at + clusterSize) : new Uint8Array(clusterSize),
    }));
    await this.#decode(pieces);
    group.forEach(({ at, offset }, i) => {
      const output = pieces[i]?.output;
      if (!output || output.buffer === into.buffer) return;
      copyPart(output, at, into);
      this.#decoded = { offset, generation, bytes: output };
    });
  }

  async #decode(pieces: readonly DecompressPiece[]): Promise<void> {
    const image = this.#image;
    const how = decompressionOf(image);
    const [first] = pieces;
    const lengths =
      pieces.length === 1 && first
        ? [await image.services.codec.decompress(how, first.input, first.output)]
        : await image.services.codec.decompressBatch(how, pieces);
    if (lengths.some((length) => length !== image.geometry.clusterSize)) {
      throw new BlockError('io', 'Input/output error', { context: { file: image.filename, operation: 'decompress' } });
    }
  }

  #fromDecoded(place: Wanted, into: Uint8Array): boolean {
    const known = this.#decoded;
    if (!known || known.offset !== place.offset || known.generation !== this.#image.generation) return false;
    copyPart(known.bytes, place.at, into);
    return true;
  }
}

/** Copies the part of a cluster that a request asks for. */
function copyPart(cluster: Uint8Array, at: number, into: Uint8Array): void {
  const from = Math.max(0, -at);
  const count = Math.min(cluster.length - from, into.length - (at + from));
  into.set(cluster.subarray(from, from + count), at + from);
}

/** The places from `start` on that are read with one request. */
function groupFrom(wanted: readonly Wanted[], start: number): Wanted[] {
  const group: Wanted[] = [];
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
