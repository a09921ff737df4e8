/**
 * `gzip`, `xz`, `zstd`, `bzip2`: what is in a compressed file, as a storage to read. Where the file has blocks or frames, reading
 * can begin at each of them; else it goes from the beginning to the end (`src/storage/forward.ts`).
 */
import { BlockError } from '../../base/error.ts';
import type { FilterContext, FilterDriver } from '../../block/filter.ts';
import { filterValues } from '../../block/graph/openOptions.ts';
import type { FileCompression } from '../../codec/codec.ts';
import { damaged } from '../../codec/damaged.ts';
import { ForwardStorage } from '../../storage/forward.ts';
import type { Storage } from '../../storage/storage.ts';
import { gzipLayout } from './gzip.ts';
import { countBytes, type Expand, type Layout, plainLayout } from './layout.ts';
import { xzLayout } from './xz.ts';
import { zstdLayout } from './zstd.ts';

async function open(
  method: FileCompression,
  find: (file: Storage, expand: Expand) => Promise<Layout> | Layout,
  context: FilterContext,
): Promise<ForwardStorage> {
  const { below, options } = context;
  if (!context.readOnly) throw new BlockError('read-only', `A file compressed with ${method} can only be read`);
  filterValues(method, {}, options);
  const expand: Expand = (input) => context.expand(method, input);
  const layout = await find(below, expand);
  // Without a size that can be relied on everything has to be decoded to know it.
  const size = layout.size ?? (await countBytes(await layout.open(0)));
  return new ForwardStorage(layout, {
    size,
    ...context.spool,
    wrongSize: (real) =>
      damaged(
        method,
        real === undefined
          ? `there is more than the ${size} bytes it states`
          : `it ends after ${real} of ${size} bytes`,
      ),
    allocatedSize: () => below.allocatedSize(),
  });
}

function compressed(
  name: FileCompression,
  find: (file: Storage, expand: Expand) => Promise<Layout> | Layout,
): FilterDriver {
  return { name, roles: [{ role: 'file' }], opaque: true, unnamed: true, open: (context) => open(name, find, context) };
}

/** RFC 1952. */
export const gzip: FilterDriver = compressed('gzip', gzipLayout);

/** "The .xz File Format". */
export const xz: FilterDriver = compressed('xz', xzLayout);

/** RFC 8878. */
export const zstd: FilterDriver = compressed('zstd', zstdLayout);

/** Files of the bzip2 program. */
export const bzip2: FilterDriver = compressed('bzip2', (file, expand) => plainLayout(file, expand));
