/** State of an open Parallels image; the other files of this folder are functions on it. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { giveBack } from '../../block/kit/giveBack.ts';
import { posixError } from '../../base/error.ts';
import { alignDown, alignUp, SECTOR } from '../../base/offset.ts';
import { PagedTable } from '../../block/kit/pagedTable.ts';
import { Units } from '../../block/kit/units.ts';
import type { Storage } from '../../storage/storage.ts';
import { dropExtension, HEADER_SIZE, type Header, setDataOffset, setInUse } from './header.ts';
import { UnitSet } from '../../block/kit/unitSet.ts';

/** Bytes of the BAT that are kept. */
const BUDGET = 16777216;

/** Which clusters of the file are in use. */
interface Usage {
  /** Numbers of the clusters, counted from the start of the data. */
  readonly used: UnitSet;
  /** End of the last one in bytes. */
  end: number;
}

/** One open Parallels image. */
export class ParallelsState {
  readonly file: Storage;
  readonly header: Header;
  readonly units: Units;
  /** The block allocation table: the place of each guest cluster, in the header's unit. */
  readonly bat: PagedTable;
  /** What is still wrong with the header. */
  inUse: boolean;
  wrongDataOffset: boolean;
  readonly #headerBytes: Uint8Array;
  /** The header says "open for writing", by this opening. */
  #begun = false;
  #usage: Usage | undefined;
  /** Clusters that the BAT no longer names; the BAT on the disk may still do so. */
  #freed: number[] = [];
  /** Is told once, where a cluster that is read has a place outside of the file. */
  tellMissing: ((text: string) => void) | undefined;
  /** The last cluster may have been given up since the use of clusters was found out. */
  #shorter = false;

  constructor(file: Storage, header: Header, headerBytes: Uint8Array) {
    this.file = file;
    this.header = header;
    this.inUse = header.inUse;
    this.wrongDataOffset = header.wrongDataOffset;
    this.#headerBytes = headerBytes;
    this.units = new Units(file, header.cluster);
    this.bat = new PagedTable({
      file,
      offset: HEADER_SIZE,
      entries: header.entries,
      entryBytes: 4,
      budget: BUDGET,
      reuses: true,
    });
  }

  /** Bytes of the file in whole sectors, as the real tool counts them. */
  get fileSize(): number {
    return alignUp(this.file.size(), SECTOR);
  }

  /** Where an entry of the BAT leads, in bytes; undefined if that is no place for a cluster: then it has none. */
  place(entry: number): number | undefined {
    return entry !== 0 && !this.isOutside(entry) ? entry * this.header.entryUnit : undefined;
  }

  /** True if an entry leads out of the data area. */
  isOutside(entry: number): boolean {
    const place = entry * this.header.entryUnit;
    return place < this.header.dataOffset || place + this.header.cluster > this.fileSize;
  }

  /** Number of the cluster of the file that contains a place. */
  unitOf(place: number): number {
    return Math.floor((place - this.header.dataOffset) / this.header.cluster);
  }

  /** Where cluster `unit` of the file is. */
  placeOfUnit(unit: number): number {
    return this.header.dataOffset + unit * this.header.cluster;
  }

  /** Visits all entries of the BAT that are not zero, in order. Holes of the file are passed over. */
  async walk(visit: (cluster: number, entry: number) => MaybePromise<void>): Promise<void> {
    const { bat } = this;
    const { stored } = bat;
    for (let first = 0; first < stored; ) {
      const skipped = await this.#emptyPages(first);
      if (skipped > 0) {
        first += skipped;
        continue;
      }
      const count = Math.min(bat.entries - first, bat.rest(first));
      let { view } = await bat.page(first);
      for (let i = 0; i < count; i++) {
        const entry = view.getUint32(i * 4, true);
        if (entry === 0) continue;
        const waiting = visit(first + i, entry);
        if (!isPromise(waiting)) continue;
        await waiting;
        ({ view } = await bat.page(first));
      }
      first += count;
    }
  }

  /** Entries in whole pages from `first` on that lie in a hole of the file and were not changed. */
  async #emptyPages(first: number): Promise<number> {
    const { bat } = this;
    if (bat.pages.isDirty) return 0;
    const place = HEADER_SIZE + first * 4;
    const extent = await this.file.status(place, Math.min((bat.entries - first) * 4, this.file.size() - place));
    return extent.kind === 'hole' ? alignDown(extent.length, bat.pageSize) / 4 : 0;
  }

  /** Which clusters of the file are in use, found out when it is first asked for. */
  async usage(): Promise<Usage> {
    if (this.#usage) return this.#usage;
    const { cluster, dataOffset } = this.header;
    const usage: Usage = { used: new UnitSet(), end: dataOffset };
    await this.walk((_, entry) => {
      const place = this.place(entry);
      if (place === undefined) return;
      usage.used.add(this.unitOf(place));
      // Entries of the older format can lie across two clusters.
      usage.used.add(this.unitOf(place + cluster - 1));
      usage.end = Math.max(usage.end, place + cluster);
    });
    this.#usage = usage;
    return usage;
  }

  /** Forgets what is known about the use of clusters: the BAT was repaired. */
  forgetUsage(): void {
    this.#usage = undefined;
  }

  /** Reserves up to `most` neighbouring clusters of the file, at the first place that is free. */
  async reserve(most: number): Promise<{ readonly start: number; readonly count: number }> {
    const usage = await this.usage();
    const { start, count } = usage.used.firstGap(most);
    const end = this.placeOfUnit(start + count);
    if (end / this.header.entryUnit > 0xffffffff) throw posixError('no-space', `cannot add to ${this.file.name}`);
    for (let i = 0; i < count; i++) usage.used.add(start + i);
    usage.end = Math.max(usage.end, end);
    return { start, count };
  }

  /** Takes back a reservation. */
  giveBack(start: number, count: number): void {
    for (let i = 0; i < count; i++) this.#usage?.used.delete(start + i);
  }

  /** Marks the image as open for writing, durably; everything that changes it calls this first. */
  async begin(): Promise<void> {
    if (this.#begun) return;
    setInUse(this.#headerBytes, true);
    // Its bitmaps do not learn about these changes.
    dropExtension(this.#headerBytes);
    await this.file.write(0, this.#headerBytes);
    await this.file.flush();
    this.#begun = true;
  }

  /** Writes the right place of the data into the header. */
  async correctDataOffset(): Promise<void> {
    await this.begin();
    setDataOffset(this.#headerBytes, this.header.dataOffset);
    await this.file.write(0, this.#headerBytes);
    // A file that ends in front of its data stays wrong.
    this.wrongDataOffset = this.header.dataOffset > this.fileSize;
  }

  /** Changes the entry of a guest cluster. What it leads to has been written. */
  setEntry(cluster: number, entry: number): Promise<void> {
    return this.#setEntries(cluster, 1, () => entry);
  }

  /** Makes guest clusters from `cluster` on refer to clusters of the file from `unit` on. The data has been written. */
  link(cluster: number, unit: number, count: number): Promise<void> {
    return this.#setEntries(cluster, count, (i) => this.placeOfUnit(unit + i) / this.header.entryUnit);
  }

  #setEntries(cluster: number, count: number, entry: (i: number) => number): Promise<void> {
    return this.bat.set(cluster, count, this.file, (page, position, i) => page.setUint32(position, entry(i), true));
  }

  /** Gives up the cluster at a place of the file, as soon as the BAT on the disk does not name it any more. */
  free(place: number): void {
    this.#freed.push(place);
    this.#shorter = true;
  }

  /** Writes data and BAT in safe order. */
  async flush(): Promise<void> {
    if (this.file.readOnly) return;
    const freed = this.#freed;
    this.#freed = [];
    if (this.bat.pages.isDirty) await this.bat.pages.flush();
    else await this.file.flush();
    const { cluster, dataOffset } = this.header;
    for (const place of freed) {
      const given = await giveBack(this.file, place, cluster);
      // What still holds old bytes is not new room.
      if (given && (place - dataOffset) % cluster === 0) this.#usage?.used.delete(this.unitOf(place));
    }
  }

  /** Writes everything, cuts off what is behind the last cluster, and takes the mark back. */
  async close(): Promise<void> {
    if (!this.#begun) return;
    await this.flush();
    if (this.#shorter) this.forgetUsage();
    const { end } = await this.usage();
    if (this.file.size() !== end) await this.file.truncate(end);
    setInUse(this.#headerBytes, false);
    await this.file.write(0, this.#headerBytes);
    await this.file.flush();
    this.#begun = false;
  }
}
