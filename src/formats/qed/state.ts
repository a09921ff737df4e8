/** State of an open QED image; the other files of this folder are functions on it. */
import { concatBytes } from '../../base/bytes.ts';
import { type BlockError, invalidImage } from '../../base/error.ts';
import { alignDown, alignUp, SECTOR } from '../../base/offset.ts';
import { FileEnd } from '../../block/kit/fileEnd.ts';
import { TwoLevels } from '../../block/kit/twoLevels.ts';
import { Units } from '../../block/kit/units.ts';
import type { BackingReference } from '../../block/capabilities.ts';
import type { Storage } from '../../storage/storage.ts';
import { encodeHeader, Feature, type Header, isTableOffset } from './header.ts';

/** A 64-bit table entry, rounded where it is far outside any file. */
export function entryAt(page: DataView, position: number): number {
  return page.getUint32(position + 4, true) * 4294967296 + page.getUint32(position, true);
}

/** Puts an offset into an entry. */
export function setEntry(page: DataView, position: number, offset: number): void {
  const low = offset % 4294967296;
  page.setUint32(position, low, true);
  page.setUint32(position + 4, (offset - low) / 4294967296, true);
}

/** What {@link QedState} is made of. */
export interface ImageParts {
  readonly file: Storage;
  readonly header: Header;
  readonly readOnly: boolean;
  readonly backing: BackingReference | undefined;
}

/** One open QED image. */
export class QedState {
  readonly file: Storage;
  /** What the header on the disk says; changed by {@link changeHeader} alone. */
  readonly header: Readonly<Header>;
  readonly readOnly: boolean;
  backing: BackingReference | undefined;
  /** Bytes of a table. */
  readonly tableBytes: number;
  readonly units: Units;
  readonly tables: TwoLevels;
  /** Damage was found that cannot be repaired: the image keeps its mark. */
  damaged = false;
  /** The mark of {@link beginChanges} is on the disk. */
  #marked = false;
  /** Behind all clusters. */
  readonly end: FileEnd;

  constructor(parts: ImageParts) {
    this.file = parts.file;
    this.header = parts.header;
    this.readOnly = parts.readOnly;
    this.backing = parts.backing;
    this.#marked = (parts.header.features & Feature.needCheck) !== 0;
    const { clusterSize, tableClusters } = parts.header;
    this.tableBytes = clusterSize * tableClusters;
    this.units = new Units(parts.file, clusterSize);
    const entries = this.tableBytes / 8;
    this.tables = new TwoLevels({
      file: parts.file,
      units: this.units,
      l1Offset: parts.header.l1Offset,
      l1Entries: entries,
      l2Entries: entries,
      tableAt: entryAt,
    });
    // A cluster that is not there as a whole cannot be in use.
    this.end = new FileEnd(parts.file, alignDown(this.fileSize, clusterSize));
  }

  /** Bytes of the file, in whole sectors. */
  get fileSize(): number {
    return alignUp(this.file.size(), SECTOR);
  }

  /** End of what table entries can refer to, in bytes. */
  get limit(): number {
    return Math.max(this.fileSize, this.end.offset);
  }

  /** Checks an L1 entry that is not zero; throws what the real tool reports as `Invalid argument`. */
  readonly checkTable = (offset: number): void => {
    if (!isTableOffset(this.header, offset, this.limit)) throw invalidOffset(offset);
  };

  /** Makes guest data durable; what refers to it is written after. */
  readonly dataBarrier = {
    flush: async (): Promise<void> => {
      // Clusters count only if they are there as a whole.
      await this.end.complete();
      await this.file.flush();
    },
  };

  /**
   * Writes a changed header, durably. Where it cannot be written {@link header} stays as it was.
   * @param behind bytes that follow the header, in the same write.
   */
  async changeHeader(changes: Partial<Header>, behind: Uint8Array = new Uint8Array(0)): Promise<void> {
    await this.file.write(0, concatBytes([encodeHeader({ ...this.header, ...changes }), behind]));
    Object.assign(this.header, changes);
    await this.file.flush();
  }

  /** Marks the image as being changed, durably, before its tables are. Where that fails the next change tries again. */
  async beginChanges(): Promise<void> {
    const { features } = this.header;
    if (this.#marked) return;
    await this.changeHeader({ features: features | Feature.needCheck });
    this.#marked = true;
  }

  /** Takes the mark away, when everything is on the disk. */
  async endChanges(): Promise<void> {
    const { features } = this.header;
    if ((features & Feature.needCheck) === 0 || this.damaged) return;
    this.#marked = false;
    await this.changeHeader({ features: features & ~Feature.needCheck });
  }

  /** Writes everything that is cached: data, then L2 tables, then the L1 table. */
  async flush(): Promise<void> {
    if (this.readOnly) return;
    await this.dataBarrier.flush();
    await this.tables.l2.pages.flush();
    await this.tables.l1.pages.flush();
  }
}

/** The error for an entry that leads nowhere. */
export function invalidOffset(offset: number): BlockError {
  return invalidImage('Invalid argument', { context: { offset, access: 'look up' } });
}
