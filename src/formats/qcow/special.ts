/** Reading what only the driver can decode: compressed and encrypted clusters. */
import { isPromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import type { DecompressPiece } from '../../codec/codec.ts';
import { type CompressedPlace, compressedPlace, type QcowImage, readEntry } from './image.ts';
import { runAt } from './mapping.ts';

/** Largest read of adjacent compressed clusters in bytes. */
const GROUP = 4194304;
/** Gap between two compressed clusters that is read rather than skipped. */
const GAP = 65536;

/** One compressed cluster of a request. */
interface Wanted extends CompressedPlace {
  /** Position of the cluster's first byte in the request; negative if the request begins inside the cluster. */
  readonly at: number;
}

/** Reads runs that `map` called special. */
export class SpecialReader {
  readonly #image: QcowImage;
  /** The last decoded cluster, for requests smaller than a cluster. */
  #decoded: { readonly offset: number; readonly generation: number; readonly bytes: Uint8Array } | undefined;

  constructor(image: QcowImage) {
    this.#image = image;
  }

  /** Fills `into` with the guest bytes from `offset` on. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    const { clusterSize, header } = this.#image;
    const compressed: Wanted[] = [];
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
    for (let i = 0; i < compressed.length; ) {
      const group = groupFrom(compressed, i);
      await this.#readGroup(group, into);
      i += group.length;
    }
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
    const { cipher, file } = this.#image;
    if (host % SECTOR !== 0) throw this.#damaged(host);
    if (!cipher) throw new BlockError('internal', 'encrypted image without a key');
    await file.readPadded(host, into);
    cipher.decrypt(guest / SECTOR, into);
  }

  async #readGroup(group: readonly Wanted[], into: Uint8Array): Promise<void> {
    const { clusterSize, file, generation } = this.#image;
    const only = group.length === 1 ? group[0] : undefined;
    if (only && this.#decoded?.offset === only.offset && this.#decoded.generation === generation) {
      copyPart(this.#decoded.bytes, only.at, into);
      return;
    }
    const start = group[0]?.offset ?? 0;
    const end = Math.max(...group.map((place) => place.offset + place.length));
    for (const place of group) if (place.offset >= file.size()) throw this.#damaged(place.offset);
    const stored = new Uint8Array(end - start);
    await file.readPadded(start, stored);
    const pieces: DecompressPiece[] = group.map(({ offset, length, at }) => ({
      input: stored.subarray(offset - start, offset - start + length),
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
    const { codec } = this.#image.services;
    const how = { method: 'deflate-raw' } as const;
    const [first] = pieces;
    const lengths =
      pieces.length === 1 && first
        ? [await codec.decompress(how, first.input, first.output)]
        : await codec.decompressBatch(how, pieces);
    if (lengths.some((length) => length !== this.#image.clusterSize)) throw this.#damaged();
  }

  #damaged(offset?: number): BlockError {
    const context = { file: this.#image.filename, ...(offset === undefined ? {} : { offset }) };
    return new BlockError('io', 'Input/output error', { context });
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
