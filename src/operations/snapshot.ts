/** `snapshot`: lists, makes, applies and removes internal snapshots. */
import { asBlockError, BlockError, invalidArgument, unsupported } from '../base/error.ts';
import type { ImageNode } from '../block/node/node.ts';
import type { OperationContext } from './context.ts';
import type { SnapshotEntry } from './info.ts';
import type { SnapshotRequest } from './requests.ts';
import { oneOf } from './shorthand.ts';
import { withSource } from './source.ts';

/** Result of {@link snapshot}. */
export interface SnapshotResult {
  /** The snapshots that there are now, in the order of their making. */
  readonly snapshots: readonly SnapshotEntry[];
}

/**
 * Does what is asked for with the snapshots of an image.
 * @throws BlockError with the real tool's message. Where that has two lines, the first is the message of the cause.
 */
export async function snapshot(context: OperationContext, request: SnapshotRequest): Promise<SnapshotResult> {
  const { action = 'list', name = '', forceShare } = request;
  oneOf('action', action, ['list', 'create', 'apply', 'delete']);
  if (action !== 'list' && request.name === undefined) {
    throw invalidArgument('A snapshot name is needed');
  }
  return withSource(context, request.image, { forceShare, writable: action !== 'list' }, async (node) => {
    const store = node.snapshots;
    if (action === 'create') await create(store, name);
    else if (action === 'apply') await apply(node, store, name);
    else if (action === 'delete') await remove(store, name);
    const list = (await store?.list()) ?? [];
    return {
      snapshots: list.map((entry) => ({ ...entry, zoneOffset: context.services.zoneOffset(entry.dateSeconds) })),
    };
  });
}

async function create(store: ImageNode['snapshots'], name: string): Promise<void> {
  const what = `Could not create snapshot '${name}'`;
  if (!store) throw unsupported(`${what}: Operation not supported`);
  try {
    await store.create(name);
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(`${what}: ${error.strerror}`);
  }
}

async function apply(node: ImageNode, store: ImageNode['snapshots'], name: string): Promise<void> {
  const what = `Could not apply snapshot '${name}'`;
  const bitmaps = (await node.bitmaps?.list()) ?? [];
  // They would not know what has changed.
  if (bitmaps.length > 0) throw new BlockError('busy', `${what}: Device has active dirty bitmaps`);
  if (!store) throw unsupported(`${what}: Block driver does not support snapshots`);
  try {
    await store.apply(name);
  } catch (thrown) {
    const error = asBlockError(thrown);
    // A cause that says more than the C library's text stands above.
    const hints = error.message === error.strerror ? error.hints : [{ about: 'first', error } as const];
    throw error.reworded(`${what}: Failed to load snapshot: ${error.strerror}`, hints);
  }
}

async function remove(store: ImageNode['snapshots'], name: string): Promise<void> {
  const what = `Could not delete snapshot '${name}'`;
  if (!store) throw new BlockError('not-found', `${what}: snapshot not found`);
  try {
    await store.remove({ name });
  } catch (thrown) {
    throw asBlockError(thrown).prepend(`${what}: `);
  }
}
