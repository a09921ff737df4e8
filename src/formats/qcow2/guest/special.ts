/** Reading what only the driver can decode: compressed and encrypted clusters. */
import { isPromise } from '../../../base/async.ts';
import { BlockError } from '../../../base/error.ts';
import { CompressedClusters, type WantedCluster } from '../../../block/kit/compressedClusters.ts';
import type { Decompression } from '../../../codec/codec.ts';
import { compressedPlace, entryOffset, Kind, kindOf } from '../structure/geometry.ts';
import type { Qcow2State } from '../state.ts';
import { l2Table } from './mapping.ts';

/** Encrypted clusters of a request that are stored one behind the other. */
interface EncryptedRun {
  readonly host: number;
  /** Position in the request. */
  readonly at: number;
  length: number;
}

/** The codec call for an image's compression type. zlib streams are raw deflate. */
function decompressionOf(image: Qcow2State): Decompression {
  return { method: image.header.compressionType === 1 ? 'zstd' : 'deflate-raw' };
}

/** Reads runs that `map` called special. */
export class SpecialReader {
  readonly #image: Qcow2State;
  readonly #compressed: CompressedClusters;

  constructor(image: Qcow2State) {
    this.#image = image;
    this.#compressed = new CompressedClusters(image, image.geometry.clusterSize, decompressionOf(image));
  }

  /** Fills `into` with the guest bytes from `offset` on. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    const image = this.#image;
    const { clusterSize, l2Coverage, entrySize } = image.geometry;
    const compressed: WantedCluster[] = [];
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
    await this.#compressed.read(compressed, into);
  }

  async #readEncrypted({ host, at, length }: EncryptedRun, offset: number, into: Uint8Array): Promise<void> {
    const { cipher, data } = this.#image;
    if (!cipher) throw new BlockError('internal', 'encrypted image without a key');
    const bytes = into.subarray(at, at + length);
    await data.readPadded(host, bytes);
    await cipher.decrypt(bytes, host, offset + at);
  }
}
