/** Reading what only the driver can decode: compressed and encrypted clusters. */
import { BlockError, ioError } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import { CompressedClusters, type WantedCluster } from '../../block/kit/compressedClusters.ts';
import { Place } from '../../block/kit/units.ts';
import { runAt } from './mapping.ts';
import { compressedPlace, type QcowState } from './state.ts';

/** Reads runs that `map` called special. */
export class SpecialReader {
  readonly #image: QcowState;
  readonly #compressed: CompressedClusters;

  constructor(image: QcowState) {
    this.#image = image;
    this.#compressed = new CompressedClusters(image, image.clusterSize, { method: 'deflate-raw' });
  }

  /** Fills `into` with the guest bytes from `offset` on. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    const { clusterSize, header, units } = this.#image;
    const compressed: WantedCluster[] = [];
    for (let at = 0; at < into.length; ) {
      const guest = offset + at;
      const inside = guest % clusterSize;
      const run = await runAt(this.#image, guest, into.length - at);
      const length = units.lengthIn(run, guest, into.length - at);
      if (run.place === Place.special) {
        for (let i = 0; i < run.count; i++) {
          const place = compressedPlace(run.page, run.position + i * 8, header.clusterBits);
          compressed.push({ ...place, at: at - inside + i * clusterSize });
        }
      } else {
        await this.#readEncrypted(guest, run.place + inside, into.subarray(at, at + length));
      }
      at += length;
    }
    await this.#compressed.read(compressed, into);
  }

  async #readEncrypted(guest: number, host: number, into: Uint8Array): Promise<void> {
    const { cipher, file, filename } = this.#image;
    if (host % SECTOR !== 0) {
      throw ioError({ filename, offset: host });
    }
    if (!cipher) throw new BlockError('internal', 'encrypted image without a key');
    await file.readPadded(host, into);
    cipher.decrypt(guest / SECTOR, into);
  }
}
