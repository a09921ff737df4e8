/** Changes of metadata through the log ([MS-VHDX] 2.3): after a crash either all of a group are there, or none. */
import type { Storage } from '../../storage/storage.ts';
import type { CurrentHeader } from './header.ts';
import { Guid, guidBytes, LOG_SECTOR, newGuid } from './layout.ts';
import { encodeEntry, entryCapacity } from './logEntry.ts';

/** Most sectors in one entry: bounds memory, and covers 64 GiB of disk in blocks of 1 MiB. */
const MAX_SECTORS = 1024;

/** A changed sector of metadata. */
export interface ChangedSector {
  /** Place in the file, a multiple of 4,096. */
  readonly offset: number;
  /** 4,096 bytes; not changed while they are being written. */
  readonly bytes: Uint8Array;
}

/** The log of a file that is open for writing. */
export class MetadataLog {
  readonly #file: Storage;
  readonly #header: CurrentHeader;
  readonly #random: (into: Uint8Array) => void;
  #sequence = 0n;

  constructor(file: Storage, header: CurrentHeader, random: (into: Uint8Array) => void) {
    this.#file = file;
    this.#header = header;
    this.#random = random;
  }

  /**
   * Writes changed sectors, in groups as large as the log allows. An entry, and all that was written before it, is
   * durable before the header names it: a header never names a log without entries, and entries refer to what is there.
   */
  async write(sectors: readonly ChangedSector[]): Promise<void> {
    const capacity = entryCapacity(this.#header.value.logLength, MAX_SECTORS);
    // A file with hardly any log is not forbidden; its sectors are written as they are.
    if (capacity === 0) {
      await this.#file.flush();
      return this.#apply(sectors);
    }
    for (let start = 0; start < sectors.length; start += capacity) {
      await this.#writeGroup(sectors.slice(start, start + capacity));
    }
  }

  async #writeGroup(sectors: readonly ChangedSector[]): Promise<void> {
    const logGuid = newGuid(this.#random);
    this.#sequence++;
    const entry = encodeEntry({ logGuid, sequence: this.#sequence, fileSize: this.#file.size() }, sectors);
    await this.#file.write(this.#header.value.logOffset, entry);
    await this.#file.flush();
    await this.#header.update({ logGuid });
    await this.#apply(sectors);
    await this.#header.update({ logGuid: guidBytes(Guid.zero) });
  }

  async #apply(sectors: readonly ChangedSector[]): Promise<void> {
    const sorted = [...sectors].sort((a, b) => a.offset - b.offset);
    for (let i = 0; i < sorted.length; ) {
      const run = adjacent(sorted, i);
      const first = sorted[i] as ChangedSector;
      const bytes = new Uint8Array(run * LOG_SECTOR);
      for (let k = 0; k < run; k++) bytes.set((sorted[i + k] as ChangedSector).bytes, k * LOG_SECTOR);
      await this.#file.write(first.offset, bytes);
      i += run;
    }
    await this.#file.flush();
  }
}

/** How many sectors from `start` on follow each other without a gap. */
function adjacent(sectors: readonly ChangedSector[], start: number): number {
  const first = (sectors[start] as ChangedSector).offset;
  let count = 1;
  while (sectors[start + count]?.offset === first + count * LOG_SECTOR) count++;
  return count;
}
