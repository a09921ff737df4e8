/** New Parallels images. */
import { BlockError } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { CreateContext } from '../../block/driver.ts';
import type { AnyOptionValues } from '../../options/table.ts';
import { encodeHeader, layoutOf, MAX_ENTRIES } from './header.ts';

/** Guest bytes in a cluster unless told otherwise. */
export const DEFAULT_CLUSTER: number = 1048576;
/** BAT entries have 32 bits. */
const MAX_CLUSTERS = 2 ** 32;
/** Cluster sizes from here on cannot be combined with every entry of a BAT below 2^63. */
const CLUSTER_LIMIT = 2147483647;

/** Writes an empty image into `context.file`. */
export async function create(context: CreateContext, options: AnyOptionValues): Promise<void> {
  const size = Number(options['size'] ?? 0);
  const cluster = alignUp(Number(options['cluster_size'] ?? DEFAULT_CLUSTER), SECTOR);
  if (cluster >= CLUSTER_LIMIT) throw new BlockError('invalid-argument', 'Cluster size is too large');
  if (size >= MAX_CLUSTERS * cluster)
    throw new BlockError('invalid-argument', 'Image size is too large for this cluster size');
  const layout = layoutOf(size, cluster);
  if (layout.entries > MAX_ENTRIES) {
    throw new BlockError(
      'too-large',
      "The image size is too large for file format 'parallels' (try using a larger cluster size)",
    );
  }
  // An empty BAT is all zeroes. The header comes last, so that an unfinished image is not taken for an image.
  await context.file.truncate(layout.dataOffset);
  await context.file.write(0, encodeHeader(layout, cluster));
}
