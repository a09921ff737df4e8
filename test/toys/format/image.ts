/** An open toy image: its table is in memory, stored clusters are appended to the file. */
import { alignDown, divideUp } from '../../../src/base/offset.ts';
import type {
  Backing,
  BackingReference,
  Checker,
  FormatInfo,
  ImageDriver,
  Writing,
} from '../../../src/block/capabilities.ts';
import { type ClusterCounts, StructureCheck } from '../../../src/block/kit/structureCheck.ts';
import type { Allocation, Mapping } from '../../../src/block/mapping.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { checkSize, DATA_START, encodeHeader, Entry, HEADER_SIZE, type Header } from './header.ts';

/** The image that the block layer sees; being able to write and to have a backing image are members of it. */
export class ToyImage implements ImageDriver {
  readonly allocationUnit: number;
  readonly writing: Writing = {
    allocate: (offset) => this.#allocate(offset),
    writeZeroes: (offset, length) => this.#setAll(offset, length, Entry.zero),
    resize: async (size) => this.#resize(size),
  };
  readonly backing: Backing;
  readonly checker: Checker = {
    deepOnly: false,
    repairs: false,
    check: async (_, report) => this.#check(new StructureCheck(report, this.#file.size())),
  };
  readonly #file: Storage;
  readonly #header: Header;
  readonly #table: Uint32Array;
  /** Number of the next cluster that is stored. */
  #next: number;
  #dirty = false;

  constructor(file: Storage, header: Header, table: Uint32Array) {
    this.#file = file;
    this.#header = header;
    this.#table = table;
    this.#next = Math.max(0, divideUp(file.size() - DATA_START, header.clusterSize));
    this.allocationUnit = header.clusterSize;
    this.backing = {
      // New areas of a grown image can be recorded as zeroes.
      hides: true,
      get reference() {
        return header.backing;
      },
      set: async (backing) => this.#setBacking(backing),
      makeEmpty: async () => this.#makeEmpty(),
    };
  }

  get virtualSize(): number {
    return this.#header.virtualSize;
  }

  map(offset: number, length: number): Mapping {
    const { clusterSize } = this.#header;
    const inside = offset % clusterSize;
    const entry = this.#entryAt(offset);
    const run = Math.min(length, clusterSize - inside);
    if (entry === Entry.none) return { kind: 'unallocated', length: run };
    if (entry === Entry.zero) return { kind: 'zero', length: run };
    return { kind: 'data', length: run, storage: this.#file, offset: this.#place(entry) + inside };
  }

  info(): FormatInfo {
    return { clusterSize: this.#header.clusterSize };
  }

  /** What the table refers to is on the medium before the table. */
  async flush(): Promise<void> {
    await this.#file.flush();
    if (!this.#dirty) return;
    this.#dirty = false;
    const bytes = new Uint8Array(this.#table.length * 4);
    const view = new DataView(bytes.buffer);
    this.#table.forEach((entry, index) => view.setUint32(index * 4, entry, true));
    await this.#file.write(HEADER_SIZE, bytes);
    await this.#file.flush();
  }

  async close(): Promise<void> {
    if (!this.#file.readOnly) await this.flush();
  }

  #entryAt(offset: number): number {
    return this.#table[Math.floor(offset / this.#header.clusterSize)] ?? Entry.none;
  }

  #place(entry: number): number {
    return DATA_START + (entry - Entry.first) * this.#header.clusterSize;
  }

  /** Room for one cluster: its own, or a new one at the end of the file, which the caller fills before it is linked. */
  #allocate(offset: number): Allocation {
    const { clusterSize } = this.#header;
    const start = alignDown(offset, clusterSize);
    const entry = this.#entryAt(offset);
    const room = { start, length: clusterSize, storage: this.#file };
    if (entry >= Entry.first) return { ...room, offset: this.#place(entry), fresh: false };
    const fresh = Entry.first + this.#next++;
    const commit = (): void => this.#setAll(start, clusterSize, fresh);
    return { ...room, offset: this.#place(fresh), fresh: true, commit };
  }

  #setAll(offset: number, length: number, entry: number): void {
    const { clusterSize } = this.#header;
    this.#table.fill(entry, offset / clusterSize, divideUp(offset + length, clusterSize));
    this.#dirty = true;
  }

  async #resize(size: number): Promise<void> {
    const { clusterSize } = this.#header;
    checkSize(size, clusterSize);
    this.#table.fill(Entry.none, divideUp(size, clusterSize));
    this.#dirty = true;
    await this.flush();
    this.#header.virtualSize = size;
    await this.#writeHeader();
  }

  async #setBacking(backing: BackingReference | undefined): Promise<void> {
    await this.flush();
    this.#header.backing = backing;
    await this.#writeHeader();
  }

  async #writeHeader(): Promise<void> {
    await this.#file.write(0, encodeHeader(this.#header));
    await this.#file.flush();
  }

  async #makeEmpty(): Promise<void> {
    this.#table.fill(Entry.none);
    this.#dirty = true;
    await this.flush();
    // Only now that nothing refers to the clusters.
    await this.#file.truncate(DATA_START);
    this.#next = 0;
  }

  #check(check: StructureCheck): ReturnType<StructureCheck['finish']> {
    const { clusterSize, virtualSize } = this.#header;
    const clusters: ClusterCounts = {
      total: divideUp(virtualSize, clusterSize),
      allocated: 0,
      fragmented: 0,
      compressed: 0,
    };
    check.claim('the header and the table', 0, DATA_START);
    let last: number | undefined;
    this.#table.forEach((entry, index) => {
      if (entry < Entry.first) return;
      if (index >= clusters.total) check.damage(`entry ${index} is behind the end of the disk`);
      check.claim('a cluster', this.#place(entry), clusterSize, `cluster ${index}`);
      clusters.allocated++;
      if (last !== undefined && entry !== last + 1) clusters.fragmented++;
      last = entry;
    });
    return check.finish(clusterSize, clusters);
  }
}
