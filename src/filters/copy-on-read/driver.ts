/** `copy-on-read`: what is read from a backing image is kept in the image above it. */
import { type MaybePromise, RangeLock } from '../../base/async.ts';
import { BlockError, invalidArgument } from '../../base/error.ts';
import { alignDown, alignUp, MiB } from '../../base/offset.ts';
import type { FilterContext, FilterDriver, FilterStorage } from '../../block/filter.ts';
import { filterValues } from '../../block/graph/openOptions.ts';
import { ImageNode } from '../../block/node/node.ts';
import type { OptionTable } from '../../options/table.ts';
import { PassingStorage } from '../../storage/passing.ts';
import type { Storage, ZeroFlags } from '../../storage/storage.ts';

const openOptions = {
  bottom: { kind: 'string', help: 'Name of the lowest node from which data is kept' },
} as const satisfies OptionTable;

/** Keeps what it reads. */
class KeepingStorage extends PassingStorage implements FilterStorage {
  readonly #ranges = new RangeLock();
  /** The lowest node from which data is kept; undefined: all. */
  readonly #lowest: Storage | undefined;

  constructor(below: Storage, lowest: Storage | undefined) {
    super(below);
    this.#lowest = lowest;
  }

  override async read(offset: number, into: Uint8Array): Promise<void> {
    const image = this.below;
    if (image instanceof ImageNode && image.backing) {
      await this.#ranges.run(...this.#units(offset, into.length), () => this.#keep(image, offset, into.length));
    }
    await super.read(offset, into);
  }

  override write(offset: number, from: Uint8Array): MaybePromise<void> {
    return this.#ranges.run(...this.#units(offset, from.length), () => super.write(offset, from));
  }

  override writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    return this.#ranges.run(...this.#units(offset, length), () => super.writeZeroes(offset, length, flags));
  }

  /** What nobody else may write to while it is copied. */
  #units(offset: number, length: number): [start: number, end: number] {
    const unit = (this.below instanceof ImageNode ? this.below.allocationUnit : undefined) ?? 1;
    return [alignDown(offset, unit), alignUp(offset + length, unit)];
  }

  /** Copies what the image does not have, in whole allocation units. */
  async #keep(image: ImageNode, offset: number, length: number): Promise<void> {
    const [start, stop] = this.#units(offset, length);
    const end = Math.min(image.size(), stop);
    for (let at = start; at < end; ) {
      const run = await this.#look(image, at, Math.min(MiB, end - at));
      if (run.isBelow) await copyUp(image, at, run.length);
      at += run.length;
    }
  }

  /** Whether a run is not in the image, but in one of those below from which data is kept. */
  async #look(image: ImageNode, at: number, most: number): Promise<{ length: number; isBelow: boolean }> {
    let { kind, length } = await image.map(at, most);
    if (kind !== 'unallocated') return { length, isBelow: false };
    if (this.#lowest === undefined) return { length, isBelow: true };
    let node: ImageNode | undefined = image;
    while (kind === 'unallocated' && node !== this.#lowest) {
      node = node.backing;
      if (!node || at >= node.size()) break;
      ({ kind, length } = await node.map(at, Math.min(length, node.size() - at)));
    }
    return { length, isBelow: kind !== 'unallocated' };
  }
}

/** Zeroes of the images below are recorded as such, where that can be done. */
async function copyUp(image: ImageNode, start: number, length: number): Promise<void> {
  for (let at = start; at < start + length; ) {
    const extent = await image.status(at, start + length - at);
    const count = Math.min(extent.length, start + length - at);
    if (extent.kind === 'hole' && image.recordsZeroes) await image.writeZeroes(at, count);
    else {
      const bytes = new Uint8Array(count);
      await image.read(at, bytes);
      await image.write(at, bytes);
    }
    at += count;
  }
}

function refuseReadOnly(below: Storage, readOnly: boolean): void {
  if (readOnly || below.readOnly) throw new BlockError('read-only', 'Block node is read-only');
}

/** The filter. */
export const copyOnRead: FilterDriver = {
  name: 'copy-on-read',
  roles: [{ role: 'file' }],
  open: async ({ below, options, readOnly, findNode }: FilterContext) => {
    refuseReadOnly(below, readOnly);
    const { bottom } = filterValues('copy-on-read', openOptions, options);
    const lowest = bottom === undefined ? undefined : findNode(bottom);
    if (bottom !== undefined && !lowest) throw invalidArgument(`Bottom node '${bottom}' not found`);
    return new KeepingStorage(below, lowest);
  },
};
