/** `throttle`: requests wait as long as the limits of a group of disks ask for. */
import { invalidArgument } from '../../base/error.ts';
import type { Compressor } from '../../block/capabilities.ts';
import type { FilterContext, FilterDriver, FilterStorage } from '../../block/filter.ts';
import { coerceTree, filterValues } from '../../block/graph/openOptions.ts';
import { ImageNode } from '../../block/node/node.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import { PassingStorage } from '../../storage/passing.ts';
import type { Storage, ZeroFlags } from '../../storage/storage.ts';
import { type Direction, groupOf, type Meter } from './meter.ts';

const openOptions = {
  'throttle-group': { kind: 'string', help: 'Id of the group' },
} as const satisfies OptionTable;

/** Waits before it passes requests on. */
class ThrottledStorage extends PassingStorage implements FilterStorage {
  readonly #meter: Meter;

  constructor(below: Storage, meter: Meter) {
    super(below);
    this.#meter = meter;
  }

  override async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#meter.pass('read', into.length);
    await super.read(offset, into);
  }

  override write(offset: number, from: Uint8Array): Promise<void> {
    return this.#writing(from.length, () => super.write(offset, from));
  }

  override writeZeroes(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    return this.#writing(length, () => super.writeZeroes(offset, length, flags));
  }

  override discard(offset: number, length: number): Promise<void> {
    return this.#writing(length, () => super.discard(offset, length));
  }

  get compressor(): Compressor | undefined {
    const image = this.below;
    const coder = image instanceof ImageNode ? image.compressor : undefined;
    if (!coder || !(image instanceof ImageNode)) return undefined;
    return {
      ...coder,
      encode: (offset, bytes, mayOverwrite) => coder.encode(offset, bytes, mayOverwrite),
      store: (offset, coded) => this.#writing(coder.unit, () => image.storeCompressed(offset, coded)),
    };
  }

  async #writing(length: number, request: () => unknown): Promise<void> {
    await this.#meter.pass('write' satisfies Direction, length);
    await request();
  }
}

/** The filter. */
export const throttle: FilterDriver = {
  name: 'throttle',
  roles: [{ role: 'file' }],
  compresses: true,
  open: async ({ below, options, services }: FilterContext) => {
    const { values } = coerceTree(openOptions, options);
    const { 'throttle-group': id } = values as OptionValues<typeof openOptions>;
    if (id === undefined) throw invalidArgument('Please specify a throttle group');
    const group = services.objects.get(id);
    if (group?.type !== 'throttle-group') throw invalidArgument(`Throttle group '${id}' does not exist`);
    filterValues('throttle', openOptions, options);
    return new ThrottledStorage(below, groupOf(group, services));
  },
};
