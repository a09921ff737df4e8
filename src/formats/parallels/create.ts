/** New Parallels images. */
import { BlockError, invalidArgument, withStrerror } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { CreateContext } from '../../block/format.ts';
import type { OptionValues } from '../../options/table.ts';
import { encodeHeader, layoutOf, MAX_ENTRIES } from './header.ts';

/** Options of `create -o`, in the order in which the real tool repeats them. */
export const createOptions = {
  size: { kind: 'size', help: 'Size of the virtual disk' },
  cluster_size: { kind: 'size', help: 'Size of one cluster', default: 1048576 },
} as const;

/** Values of {@link createOptions}. */
type CreateOptions = OptionValues<typeof createOptions>;

/** BAT entries have 32 bits. */
const MAX_CLUSTERS = 2 ** 32;
/** Cluster sizes from here on cannot be combined with every entry of a BAT below 2^63. */
const CLUSTER_LIMIT = 2147483647;

/** Writes an empty image into `context.file`. */
export async function create(context: CreateContext, options: CreateOptions): Promise<void> {
  const size = options.size ?? 0;
  const cluster = alignUp(options.cluster_size, SECTOR);
  if (cluster >= CLUSTER_LIMIT) throw invalidArgument('Cluster size is too large');
  if (size >= MAX_CLUSTERS * cluster) throw invalidArgument('Image size is too large for this cluster size');
  const layout = layoutOf(size, cluster);
  if (layout.entries > MAX_ENTRIES) {
    throw new BlockError(
      'too-large',
      "The image size is too large for file format 'parallels' (try using a larger cluster size)",
    );
  }
  // An empty BAT is all zeroes. The header comes last, so that an unfinished image is not taken for an image.
  await withStrerror('Failed to create Parallels image', async () => {
    await context.file.truncate(layout.dataOffset);
    await context.file.write(0, encodeHeader(layout, cluster));
  });
}
