/** `compress`: what is written is stored compressed, in formats that can do that. */
import { ioError, unsupported } from '../../base/error.ts';
import type { FilterContext, FilterDriver } from '../../block/filter.ts';
import { filterValues } from '../../block/graph/openOptions.ts';
import { ImageNode } from '../../block/node/node.ts';
import type { Coder } from '../../block/capabilities.ts';
import { PassingStorage } from '../../storage/passing.ts';
import type { Limits } from '../../storage/storage.ts';

/** Writes whole units, each of which may be written once. */
class CompressingStorage extends PassingStorage {
  readonly #image: ImageNode;
  readonly #coder: Coder;

  constructor(image: ImageNode, coder: Coder) {
    super(image);
    this.#image = image;
    this.#coder = coder;
  }

  override get limits(): Limits {
    return { ...super.limits, requestAlignment: this.#coder.unit };
  }

  override async write(offset: number, from: Uint8Array): Promise<void> {
    const { unit } = this.#coder;
    const coded = await this.#coder.encode(offset, from);
    for (const [index, bytes] of coded.entries()) {
      const at = index * unit;
      const place = offset + at;
      // A compressed unit cannot take the place of what is there.
      if ((await this.#image.map(place, 1)).kind !== 'unallocated') throw ioError({ filename: this.#image.name });
      if (bytes) await this.#image.storeCompressed(place, bytes);
      else await this.#image.write(place, from.subarray(at, at + unit));
    }
  }
}

/** The filter. */
export const compress: FilterDriver = {
  name: 'compress',
  roles: [{ role: 'file' }],
  open: async ({ below, options }: FilterContext) => {
    if (!(below instanceof ImageNode && below.compresses)) {
      throw unsupported(`Compression is not supported for underlying format: ${formatOf(below)}`);
    }
    filterValues('compress', {}, options);
    // Some images of such formats have no clusters that could be compressed.
    return below.compressor ? new CompressingStorage(below, below.compressor) : new PassingStorage(below);
  },
};

function formatOf(below: FilterContext['below'] & { readonly protocol?: string }): string {
  return below instanceof ImageNode ? below.format : (below.protocol ?? 'file');
}
