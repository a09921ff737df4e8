/** Reading what only the driver can decode: compressed and encrypted clusters. */
import { isPromise } from '../../base/async.ts';
import { BlockError, ioError } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import { CompressedClusters, type WantedCluster } from '../../block/kit/compressedClusters.ts';
import { compressedPlace, type QcowState, readEntry } from './state.ts';
import { runAt } from './mapping.ts';

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
    const { clusterSize, header } = this.#image;
    const compressed: WantedCluster[] = [];
    for (let at = 0; at < into.length; ) {
      const guest = offset + at;
      const inside = guest % clusterSize;
      const view = await this.#table(guest);
      const position = this.#image.position(guest);
      const run = runAt(this.#image, view, position, Math.ceil((inside + into.length - at) / clusterSize));
      const length = Math.min(into.length - at, run.count * clusterSize - inside);
      if (run.kind === 'compressed') {
        for (let i = 0; i < run.count; i++) {
          const place = compressedPlace(view, position + i * 8, header.clusterBits);
          compressed.push({ ...place, at: at - inside + i * clusterSize });
        }
      } else {
        await this.#readEncrypted(guest, run.offset + inside, into.subarray(at, at + length));
      }
      at += length;
    }
    await this.#compressed.read(compressed, into);
  }

  async #table(guest: number): Promise<DataView> {
    const image = this.#image;
    const index = Math.floor(guest / image.l2Coverage);
    const found = image.l1Page(index);
    const page = isPromise(found) ? await found : found;
    const table = image.l2Table(readEntry(page.view, image.l1Position(index)));
    return (isPromise(table) ? await table : table).view;
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
