/** What `snapshot` prints. */
import type { SnapshotResult } from '../operations/snapshot.ts';
import { snapshotLine, snapshotTitle } from './snapshots.ts';

/** The table of snapshots; nothing if there are none. */
export function formatSnapshots(result: SnapshotResult): string {
  if (result.snapshots.length === 0) return '';
  return `${['Snapshot list:', snapshotTitle, ...result.snapshots.map(snapshotLine)].join('\n')}\n`;
}
