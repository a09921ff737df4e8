/**
 * `preallocate`: a file that grows is made larger than needed, so that its room is taken in few large pieces. What was not
 * used is cut off when it is closed.
 */
import { invalidArgument } from '../../base/error.ts';
import type { MaybePromise } from '../../base/async.ts';
import { alignUp, MiB, SECTOR } from '../../base/offset.ts';
import type { FilterContext, FilterDriver } from '../../block/filter.ts';
import { filterValues } from '../../block/graph/openOptions.ts';
import type { OptionTable } from '../../options/table.ts';
import { PassingStorage } from '../../storage/passing.ts';
import type { Extent, Preallocation, Storage, ZeroFlags } from '../../storage/storage.ts';

const openOptions = {
  'prealloc-align': { kind: 'size', help: 'The file ends at multiples of this, in bytes', default: MiB },
  'prealloc-size': { kind: 'size', help: 'How much room is taken at once, in bytes', default: 128 * MiB },
} as const satisfies OptionTable;

/** A storage whose file reaches further than its size says. */
class RoomyStorage extends PassingStorage {
  readonly #align: number;
  readonly #room: number;
  /** The size; the file below may reach further, or not so far where nothing was written yet. */
  #end: number;

  constructor(below: Storage, align: number, room: number) {
    super(below);
    this.#align = align;
    this.#room = room;
    this.#end = below.size();
  }

  override size(): number {
    return this.#end;
  }

  override read(offset: number, into: Uint8Array): MaybePromise<void> {
    return this.below.readPadded(offset, into);
  }

  override async write(offset: number, from: Uint8Array): Promise<void> {
    await this.#reach(offset + from.length);
    await super.write(offset, from);
    this.#end = Math.max(this.#end, offset + from.length);
  }

  override async writeZeroes(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    await this.#reach(offset + length);
    await super.writeZeroes(offset, length, flags);
    this.#end = Math.max(this.#end, offset + length);
  }

  /** The layer above asks for every growth before it writes there: room is taken for what is written, and not for a size. */
  override async truncate(size: number, preallocation: Preallocation): Promise<void> {
    if (preallocation !== 'off' || size < this.#end) await super.truncate(size, preallocation);
    this.#end = size;
  }

  override status(offset: number, length: number): MaybePromise<Extent> {
    const limit = Math.min(length, this.#end - offset);
    return offset < this.below.size() ? super.status(offset, limit) : { length: limit, kind: 'hole' };
  }

  override async flush(): Promise<void> {
    if (this.below.size() < this.#end) await this.below.truncate(this.#end);
    await super.flush();
  }

  override async close(): Promise<void> {
    if (this.below.size() !== this.#end) await this.below.truncate(this.#end);
  }

  /** Takes room up to `end` and beyond; just as much as is needed where there is not enough for more. */
  async #reach(end: number): Promise<void> {
    if (end <= this.below.size()) return;
    try {
      await this.below.truncate(alignUp(end + this.#room, this.#align), 'falloc');
    } catch {
      await this.below.truncate(end);
    }
  }
}

/** The filter. */
export const preallocate: FilterDriver = {
  name: 'preallocate',
  roles: [{ role: 'file' }],
  weak: /^prealloc-/,
  open: async ({ below, options, readOnly }: FilterContext) => {
    const { 'prealloc-align': align, 'prealloc-size': room } = filterValues('preallocate', openOptions, options);
    if (align % SECTOR !== 0) {
      throw invalidArgument(`prealloc-align parameter of preallocate filter is not aligned to ${SECTOR}`);
    }
    return readOnly ? new PassingStorage(below) : new RoomyStorage(below, Math.max(SECTOR, align), room);
  },
};
