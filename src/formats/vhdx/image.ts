/** An open VHDX image: guest ranges to places in the file, and room for new blocks. */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { alignUp } from '../../base/offset.ts';
import type { Checker, FormatInfo, ImageDriver, Quirks, Writing } from '../../block/capabilities.ts';
import { Place, type Run, runOf, Units } from '../../block/kit/units.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { Limits, Storage, ZeroFlags } from '../../storage/storage.ts';
import type { CurrentHeader } from './header.ts';
import { BlockState, Guid, guidBytes, newGuid, readsAsZeroes, SECTION } from './layout.ts';
import { MetadataLog } from './log.ts';
import type { Metadata } from './metadata.ts';
import type { BlockEntry, BlockTable } from './tables.ts';

/** What a {@link VhdxImage} is made of. */
export interface ImageParts {
  readonly file: Storage;
  readonly header: CurrentHeader;
  readonly metadata: Metadata;
  readonly table: BlockTable;
  readonly checker: Checker;
  readonly random: (into: Uint8Array) => void;
}

/** An open VHDX image. */
export class VhdxImage implements ImageDriver, Writing {
  readonly virtualSize: number;
  readonly allocationUnit: number;
  readonly checker: Checker;
  readonly quirks: Quirks = { opaque: true, inSectors: true };
  readonly writing: Writing = this;
  readonly limits: Partial<Limits>;
  readonly #parts: ImageParts;
  readonly #file: Storage;
  readonly #table: BlockTable;
  readonly #log: MetadataLog;
  readonly #units: Units;
  /** The header says that the file is being written. */
  #announced = false;

  constructor(parts: ImageParts) {
    this.#parts = parts;
    this.#file = parts.file;
    this.#table = parts.table;
    this.#log = new MetadataLog(parts.file, parts.header, parts.random);
    this.#units = new Units(parts.file, parts.metadata.blockSize);
    this.virtualSize = parts.metadata.virtualSize;
    this.allocationUnit = parts.metadata.blockSize;
    this.checker = parts.checker;
    const sector = parts.metadata.logicalSectorSize;
    this.limits = { requestAlignment: sector > 512 ? sector : 1 };
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return andThen(this.#runAt(offset, length), (run) => this.#units.mapping(run, offset, length));
  }

  /** The run at a guest offset, over all following blocks whose entries are in memory. */
  #runAt(offset: number, length: number): MaybePromise<Run> {
    const block = this.#units.indexOf(offset);
    return andThen(this.#table.get(block), (first) =>
      runOf(this.#units.count(offset, length), this.#units.size, (i) => {
        const entry = i === 0 ? first : this.#table.get(block + i);
        if (!isPromise(entry)) return placeOf(entry);
        // Whoever asks for that block is told if it cannot be read.
        entry.catch(() => undefined);
        return Number.NaN;
      }),
    );
  }

  /** Only blocks whose state makes no sense get here. */
  readSpecial(offset: number): never {
    throw badState(this.#units.indexOf(offset));
  }

  async allocate(offset: number, length: number): Promise<Allocation> {
    const run = await this.#runAt(offset, length);
    if (run.place === Place.special) throw badState(this.#units.indexOf(offset));
    await this.#announce();
    return run.place >= 0 ? this.#units.room(run, offset, length) : this.#append(offset, run.count);
  }

  /** Room for new blocks at the end of the file, which reaches over them before the table knows them. */
  async #append(offset: number, count: number): Promise<Allocation> {
    if (this.#table.isFull) await this.flush();
    const block = this.#units.indexOf(offset);
    const before = this.#file.size();
    const place = alignUp(before, SECTION);
    const end = place + count * this.#units.size;
    await this.#file.truncate(end);
    const commit = async (): Promise<void> => {
      for (let i = 0; i < count; i++) {
        await this.#table.set(block + i, { state: BlockState.fullyPresent, offset: place + i * this.#units.size });
      }
    };
    const abort = async (): Promise<void> => {
      if (this.#file.size() === end) await this.#file.truncate(before);
    };
    return { ...this.#units.newRoom({ place, count }, offset, commit, abort), zeroed: true };
  }

  /**
   * Gives the file new identifiers before its first change ([MS-VHDX] 2.2.2): whoever remembers the old ones then
   * knows that it was changed.
   */
  async #announce(): Promise<void> {
    if (this.#announced) return;
    const { header, random } = this.#parts;
    await header.update({
      fileWriteGuid: newGuid(random),
      dataWriteGuid: newGuid(random),
      // Whatever the log held was replayed, or was never complete.
      logGuid: guidBytes(Guid.zero),
    });
    this.#announced = true;
  }

  /** Blocks that are not stored read as zeroes already. */
  async writeZeroes(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const mapping = await this.map(at, end - at);
      if (mapping.kind === 'special') throw badState(this.#units.indexOf(at));
      if (mapping.kind === 'data') {
        await this.#announce();
        await this.#file.writeZeroes(mapping.offset, mapping.length, flags);
      }
      at += mapping.length;
    }
  }

  flush(): MaybePromise<void> {
    return this.#table.flush(this.#log);
  }

  close(): MaybePromise<void> {
    return this.#file.readOnly ? undefined : this.flush();
  }

  info(): FormatInfo {
    return { clusterSize: this.#units.size, dirty: false };
  }
}

/** Where a block is; special: its state makes no sense. */
function placeOf({ state, offset }: BlockEntry): number {
  if (state === BlockState.fullyPresent) return offset;
  return readsAsZeroes(state) ? Place.zero : Place.special;
}

function badState(block: number): BlockError {
  return new BlockError('io', `block ${block} is in a state that images without a parent do not have`);
}
