/** An open VHDX image: guest ranges to places in the file, and room for new blocks. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { alignUp } from '../../base/offset.ts';
import type { Checker, FormatInfo, ImageDriver, Quirks, Writing } from '../../block/capabilities.ts';
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
  readonly #blockSize: number;
  /** The header says that the file is being written. */
  #announced = false;

  constructor(parts: ImageParts) {
    this.#parts = parts;
    this.#file = parts.file;
    this.#table = parts.table;
    this.#log = new MetadataLog(parts.file, parts.header, parts.random);
    this.#blockSize = parts.metadata.blockSize;
    this.virtualSize = parts.metadata.virtualSize;
    this.allocationUnit = parts.metadata.blockSize;
    this.checker = parts.checker;
    const sector = parts.metadata.logicalSectorSize;
    this.limits = { requestAlignment: sector > 512 ? sector : 1 };
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    const block = Math.floor(offset / this.#blockSize);
    const entry = this.#table.get(block);
    if (isPromise(entry)) return entry.then((known) => this.#extend(known, block, offset, length));
    return this.#extend(entry, block, offset, length);
  }

  /** The mapping of a run that begins in `block`, over all following blocks that are known and continue it. */
  #extend(first: BlockEntry, block: number, offset: number, length: number): Mapping {
    const inside = offset - block * this.#blockSize;
    let known = this.#blockSize - inside;
    for (let next = block + 1; known < length; next++, known += this.#blockSize) {
      const entry = this.#table.get(next);
      if (isPromise(entry) || !continues(first, entry, (next - block) * this.#blockSize)) break;
    }
    const run = Math.min(length, known);
    if (first.state === BlockState.fullyPresent) {
      return { kind: 'data', length: run, storage: this.#file, offset: first.offset + inside };
    }
    if (readsAsZeroes(first.state)) return { kind: 'zero', length: run };
    return { kind: 'special', length: run, compressed: false, encrypted: false };
  }

  /** Only blocks whose state makes no sense get here. */
  readSpecial(offset: number): never {
    throw badState(Math.floor(offset / this.#blockSize));
  }

  async allocate(offset: number, length: number): Promise<Allocation> {
    const block = Math.floor(offset / this.#blockSize);
    const mapping = await this.map(offset, length);
    if (mapping.kind === 'special') throw badState(block);
    await this.#announce();
    if (mapping.kind === 'data') {
      return { start: offset, length: mapping.length, storage: this.#file, offset: mapping.offset, fresh: false };
    }
    return this.#append(block, Math.ceil((offset + mapping.length) / this.#blockSize) - block);
  }

  /** Room for new blocks at the end of the file. */
  async #append(block: number, count: number): Promise<Allocation> {
    if (this.#table.isFull) await this.flush();
    const before = this.#file.size();
    const place = alignUp(before, SECTION);
    const end = place + count * this.#blockSize;
    await this.#file.truncate(end);
    return {
      start: block * this.#blockSize,
      length: count * this.#blockSize,
      storage: this.#file,
      offset: place,
      fresh: true,
      zeroed: true,
      commit: async () => {
        for (let i = 0; i < count; i++) {
          await this.#table.set(block + i, {
            state: BlockState.fullyPresent,
            offset: place + i * this.#blockSize,
          });
        }
      },
      abort: async () => {
        if (this.#file.size() === end) await this.#file.truncate(before);
      },
    };
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
      if (mapping.kind === 'special') throw badState(Math.floor(at / this.#blockSize));
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
    return { clusterSize: this.#blockSize, dirty: false };
  }
}

/** True if a block `distance` bytes behind the first one goes on where that one leads. */
function continues(first: BlockEntry, next: BlockEntry, distance: number): boolean {
  if (first.state === BlockState.fullyPresent) {
    return next.state === first.state && next.offset === first.offset + distance;
  }
  return readsAsZeroes(first.state) && readsAsZeroes(next.state);
}

function badState(block: number): BlockError {
  return new BlockError('io', `block ${block} is in a state that images without a parent do not have`);
}
