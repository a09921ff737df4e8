/** The snapshot table in a check: damage that keeps it from being read can be cut off. */
import { asBlockError, BlockError } from '../../base/error.ts';
import { divideUp } from '../../base/offset.ts';
import type { RepairMode } from '../../block/driver.ts';
import type { Qcow2Image } from './image.ts';
import type { Report } from './l2Walk.ts';
import { MAX_SNAPSHOTS } from './layout.ts';
import { Snapshots } from './snapshot.ts';
import { readSnapshotTable, type SnapshotTable } from './snapshotTable.ts';

/** The table of an image that is checked. */
interface CheckedTable {
  readonly table: SnapshotTable;
  /** Pieces of damage; {@link rewriteSnapshots} repairs them. */
  readonly damage: number;
}

/**
 * Reads the snapshot table and reports what is wrong with it.
 * @throws BlockError if it cannot be read.
 */
export async function readForCheck(image: Qcow2Image, repair: RepairMode, report: Report): Promise<CheckedTable> {
  const { header, file } = image;
  const mend = repair === 'all';
  let damage = 0;
  const cut = (index: number, size: number, limit: number): void => {
    report(`Discarding too much extra metadata in snapshot table entry ${index} (${size} > ${limit})`);
    damage++;
  };
  checkPlace(image, report);
  const overhang = header.snapshotCount - MAX_SNAPSHOTS;
  if (overhang > 0) {
    if (!mend) throw tooMany(overhang, report);
    report(`Discarding ${overhang} overhanging snapshots`);
    damage += overhang;
  }
  let table: SnapshotTable;
  try {
    const shown = {
      snapshotsOffset: header.snapshotsOffset,
      snapshotCount: Math.min(header.snapshotCount, MAX_SNAPSHOTS),
    };
    table = await readSnapshotTable(file, shown, mend ? cut : undefined);
  } catch (thrown) {
    const error = asBlockError(thrown);
    const hint = error.hint === undefined ? '' : `\n${error.hint}`;
    report(`qemu-img: ERROR failed to read the snapshot table: ${error.message}${hint}`);
    throw error;
  }
  for (const [index, entry] of table.entries.entries()) {
    if (header.version < 3 || !entry.incomplete) continue;
    report(`${mend ? 'Repairing' : 'ERROR'} snapshot table entry ${index} is incomplete`);
    damage++;
  }
  return { table, damage };
}

function checkPlace({ header, geometry }: Qcow2Image, report: Report): void {
  const { snapshotsOffset: offset } = header;
  if (offset % geometry.clusterSize === 0 && offset < 2 ** 63) return;
  report('qemu-img: ERROR snapshot table offset invalid');
  throw new BlockError('invalid-argument', 'Invalid argument');
}

function tooMany(overhang: number, report: Report): BlockError {
  report(
    'qemu-img: ERROR snapshot table too large\n' +
      `You can force-remove all ${overhang} overhanging snapshots with qemu-img check -r all`,
  );
  return new BlockError('too-large', 'File too large');
}

/** Stores the table again without what was wrong with it, in a new place. The refcounts are right. */
export async function rewriteSnapshots(image: Qcow2Image, table: SnapshotTable, report: Report): Promise<void> {
  const { clusterSize } = image.geometry;
  const first = image.header.snapshotsOffset / clusterSize;
  const clusters = divideUp(table.size, clusterSize);
  // What lay beyond the end of the file was never counted.
  const counted = await image.refcounts.usedRun(first, clusters);
  await new Snapshots(image, { ...table, size: counted * clusterSize }).rewrite();
  if (counted < clusters) report('qcow2_free_clusters failed: Invalid argument');
}
