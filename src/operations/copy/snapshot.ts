/** An internal snapshot as the source of a copy. */
import { asBlockError, BlockError, unsupported } from '../../base/error.ts';
import type { ImageNode } from '../../block/node/node.ts';
import type { SnapshotSelector } from '../requests.ts';

/**
 * The content of a snapshot. Closing the node leaves the image open that has the snapshot.
 * @throws BlockError whose message begins with `Failed to load snapshot: `.
 */
export async function snapshotNode(node: ImageNode, select: SnapshotSelector): Promise<ImageNode> {
  try {
    const store = node.snapshots;
    if (!store || !node.showsSnapshots) {
      throw unsupported(
        `Block format '${node.format}' used by device '' does not support temporarily loading internal snapshots`,
      );
    }
    return await store.view(await chosen(store, select));
  } catch (thrown) {
    throw asBlockError(thrown).prepend('Failed to load snapshot: ');
  }
}

async function chosen(
  store: NonNullable<ImageNode['snapshots']>,
  select: SnapshotSelector,
): Promise<{ id?: string; name?: string }> {
  const list = await store.list();
  const found =
    'either' in select
      ? (list.find(({ id }) => id === select.either) ?? list.find(({ name }) => name === select.either))
      : list.find(
          ({ id, name }) =>
            (select.id === undefined || id === select.id) && (select.name === undefined || name === select.name),
        );
  if (!found) throw new BlockError('not-found', "Can't find snapshot");
  return { id: found.id };
}
