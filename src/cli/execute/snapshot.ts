/** `snapshot`: operation and printing. */
import { BlockError } from '../../base/error.ts';
import type { SnapshotRequest } from '../../operations/requests.ts';
import { snapshot } from '../../operations/snapshot.ts';
import { causeLine, formatSnapshots } from '../../report/snapshot.ts';
import type { Executor } from './executor.ts';

/** Lists or changes snapshots. */
export const execute: Executor<SnapshotRequest> = async (context, request, _view, { out, err }) => {
  try {
    const result = await snapshot(context, request);
    if (request.action === 'list') out(formatSnapshots(result));
  } catch (thrown) {
    const line = thrown instanceof BlockError ? causeLine(thrown) : undefined;
    if (line !== undefined) err(`qemu-img: ${line}\n`);
    throw thrown;
  }
  return 0;
};
