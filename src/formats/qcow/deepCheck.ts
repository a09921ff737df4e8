/** Structure check of qcow images. */
import { alignUp, divideUp, SECTOR } from '../../base/offset.ts';
import { isZero } from '../../base/zero.ts';
import { CompressedClusters } from '../../block/kit/compressedClusters.ts';
import type { CheckFindings, Checker } from '../../block/capabilities.ts';
import type { Report } from '../../block/report.ts';
import { type ClusterCounts, hex, StructureCheck, TrialDecoder } from '../../block/kit/structureCheck.ts';
import { HEADER_SIZE } from './header.ts';
import { type CompressedPlace, compressedPlace, isCompressed, type QcowState, entryAt } from './state.ts';

/** The checker of an image: tables and clusters lie in the file, belong to one place each, and can be decompressed. */
export function deepCheckerOf(image: QcowState): Checker {
  return { deepOnly: true, repairs: false, check: (_, report) => new Walk(image, report).run() };
}

/** An L2 table that the L1 table names. */
interface NamedTable {
  readonly index: number;
  readonly offset: number;
}

/** One walk over all tables. */
class Walk {
  readonly #image: QcowState;
  readonly #check: StructureCheck;
  readonly #compressed: CompressedClusters;
  readonly #trial: TrialDecoder<CompressedPlace, void>;
  readonly #clusters: ClusterCounts;
  /** Compressed bytes that may still be decoded: clusters that share their bytes are not decoded again and again. */
  #budget: number;
  #last = 0;

  constructor(image: QcowState, report: Report) {
    const { file, clusterSize, header } = image;
    this.#image = image;
    // Of the last cluster the file may have only a part.
    this.#check = new StructureCheck(report, file.size(), alignUp(file.size(), clusterSize));
    this.#compressed = new CompressedClusters(image, clusterSize, { method: 'deflate-raw' });
    this.#trial = new TrialDecoder({
      decode: (places) => this.#decode(places),
      damaged: ({ offset }) => this.#check.damage(`compressed cluster at ${hex(offset)} cannot be decompressed`),
    });
    const total = divideUp(header.virtualSize, clusterSize);
    this.#clusters = { total, allocated: 0, fragmented: 0, compressed: 0 };
    this.#budget = file.size();
  }

  async run(): Promise<CheckFindings> {
    const { header, clusterSize } = this.#image;
    this.#check.claim('the header', 0, HEADER_SIZE);
    if (header.backingOffset !== 0 && header.backingLength !== 0) {
      this.#check.claim('the backing name', header.backingOffset, header.backingLength);
    }
    this.#check.claim('the L1 table', header.l1Offset, this.#l1Room());
    for (const table of apart(await this.#tables(), this.#image.tableBytes)) await this.#walkTable(table);
    await this.#trial.finish();
    return this.#check.finish(clusterSize, this.#clusters);
  }

  /** Bytes of the L1 table, with the rest of its last sector if the file has that. */
  #l1Room(): number {
    const { file, header, clusterSize } = this.#image;
    const used = header.l1Entries * 8;
    return Math.max(used, Math.min(alignUp(used, SECTOR), alignUp(file.size(), clusterSize) - header.l1Offset));
  }

  /** The L2 tables that the file has. */
  async #tables(): Promise<NamedTable[]> {
    const image = this.#image;
    const tables: NamedTable[] = [];
    const { l1 } = image.tables;
    for (let index = 0; index < l1.stored; ) {
      const { bytes, view } = await l1.page(index);
      const stop = Math.min(index + l1.rest(index), l1.stored);
      if (isZero(bytes)) index = stop;
      for (; index < stop; index++) {
        const offset = entryAt(view, l1.position(index));
        if (offset === 0) continue;
        const whole = this.#check.claim('an L2 table', offset, image.tableBytes, `L2 table ${index}`);
        if (whole) tables.push({ index, offset });
      }
    }
    return tables;
  }

  async #walkTable({ index, offset }: NamedTable): Promise<void> {
    const image = this.#image;
    const { view } = await image.tables.l2.page(0, offset);
    const copy = new DataView(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    for (let at = 0; at < copy.byteLength; at += 8) {
      if (entryAt(copy, at) === 0) continue;
      const cluster = index * image.tables.l2.entries + at / 8;
      if (cluster >= this.#clusters.total) this.#check.damage(`cluster ${cluster} is behind the end of the disk`);
      this.#clusters.allocated++;
      if (isCompressed(copy, at))
        await this.#compressedCluster(compressedPlace(copy, at, image.header.clusterBits), cluster);
      else this.#data(entryAt(copy, at), cluster);
    }
  }

  #data(offset: number, cluster: number): void {
    const { clusterSize } = this.#image;
    if (offset % SECTOR !== 0) this.#check.damage(`cluster ${cluster} at ${hex(offset)} is not on a sector`);
    this.#check.claim('a cluster', offset, clusterSize, `cluster ${cluster}`);
    if (this.#last !== 0 && offset !== this.#last + clusterSize) this.#clusters.fragmented++;
    this.#last = offset;
  }

  async #compressedCluster(place: CompressedPlace, cluster: number): Promise<void> {
    this.#clusters.compressed++;
    this.#clusters.fragmented++;
    if (place.length === 0) return this.#check.damage(`compressed cluster ${cluster} has no bytes`);
    const who = `compressed cluster ${cluster}`;
    const there = this.#check.claim('a compressed cluster', place.offset, place.length, who);
    this.#budget -= place.length;
    if (there && this.#budget >= 0) await this.#trial.add(place, this.#image.clusterSize);
  }

  async #decode(places: readonly CompressedPlace[]): Promise<void> {
    const { clusterSize } = this.#image;
    const wanted = places.map((place, index) => ({ ...place, at: index * clusterSize }));
    await this.#compressed.read(wanted, new Uint8Array(places.length * clusterSize));
  }
}

/**
 * The tables that lie apart from each other, in the order of the disk. The others are damage that the claims show;
 * walking them could take much longer than the size of the file suggests.
 */
function apart(tables: readonly NamedTable[], size: number): NamedTable[] {
  let end = 0;
  return [...tables]
    .sort((a, b) => a.offset - b.offset)
    .filter(({ offset }) => {
      const free = offset >= end;
      if (free) end = offset + size;
      return free;
    })
    .sort((a, b) => a.index - b.index);
}
