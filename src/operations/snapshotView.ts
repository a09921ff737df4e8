/** Reading an internal snapshot instead of the current content of its image. */
import { asBlockError, BlockError } from '../base/error.ts';
import { ImageNode } from '../block/node.ts';
import type { SnapshotSelector } from './requests.ts';

/**
 * The content of a snapshot as a read-only image over the same backing image. It is not closed by itself: close `node`.
 * @param select id or name, or both.
 * @throws BlockError `Failed to load snapshot: ...`.
 */
export async function snapshotView(node: ImageNode, select: SnapshotSelector): Promise<ImageNode> {
  const { snapshots } = node.image;
  if (!snapshots) {
    throw new BlockError(
      'unsupported',
      `Failed to load snapshot: Block format '${node.format}' used by device '' does not support temporarily loading ` +
        'internal snapshots',
    );
  }
  const list = await snapshots.list();
  const found =
    'either' in select
      ? (list.find((entry) => entry.id === select.either) ?? list.find((entry) => entry.name === select.either))
      : list.find(
          (entry) =>
            (select.id !== undefined || select.name !== undefined) &&
            (select.id === undefined || entry.id === select.id) &&
            (select.name === undefined || entry.name === select.name),
        );
  if (!found) throw new BlockError('not-found', "Failed to load snapshot: Can't find snapshot");
  try {
    const driver = await snapshots.view({ id: found.id });
    const { backing } = node;
    const name = node.name;
    return new ImageNode({ name, format: node.format, driver, readOnly: true, ...(backing ? { backing } : {}) });
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(`Failed to load snapshot: ${error.message}`);
  }
}
