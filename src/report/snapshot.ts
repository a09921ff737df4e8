/** What `snapshot` prints. */
import type { BlockError } from '../base/error.ts';
import type { SnapshotResult } from '../operations/snapshot.ts';
import { snapshotLine, snapshotTitle } from './snapshots.ts';

/** The table of snapshots; nothing if there are none. */
export function formatSnapshots(result: SnapshotResult): string {
  if (result.snapshots.length === 0) return '';
  return `${['Snapshot list:', snapshotTitle, ...result.snapshots.map(snapshotLine)].join('\n')}\n`;
}

/** The line that comes before the error's own, if its cause says more than its POSIX text. */
export function causeLine(error: BlockError): string | undefined {
  const { cause } = error;
  if (!(cause instanceof Error) || !/apply snapshot/.test(error.message)) return undefined;
  return cause.message === error.strerror ? undefined : cause.message;
}
