/** The snapshot table in a check: damage that keeps it from being read can be cut off. */
import { asBlockError, BlockError, invalidArgument } from '../../../base/error.ts';
import { divideUp } from '../../../base/offset.ts';
import type { RepairMode } from '../../../block/capabilities.ts';
import type { Qcow2State } from '../state.ts';
import type { Report } from './l2Walk.ts';
import { MAX_SNAPSHOTS } from '../structure/layout.ts';
import type { MetadataGuard } from '../clusters/guard.ts';
import type { ReferenceWalk } from './references.ts';
import { Snapshots } from '../snapshots/store.ts';
import { readSnapshotTable, type SnapshotTable, type TableCuts } from '../snapshots/table.ts';

/** The table of an image that is checked. */
interface CheckedTable {
  readonly table: SnapshotTable;
  /** Entries that are too many; they are not in `table`. */
  readonly overhang: number;
  /** Pieces of damage in the entries. */
  readonly damage: number;
}

/**
 * Reads the snapshot table and reports what is wrong with it.
 * @throws BlockError if it cannot be read.
 */
export async function readForCheck(image: Qcow2State, repair: RepairMode, report: Report): Promise<CheckedTable> {
  const { header, file } = image;
  const mend = repair === 'all';
  let damage = 0;
  let dropped = 0;
  const cuts: TableCuts = {
    extra(index, size, limit) {
      report(`Discarding too much extra metadata in snapshot table entry ${index} (${size} > ${limit})`);
      damage++;
    },
    overhang(count) {
      report(`Discarding ${count} overhanging snapshots (snapshot table is too big)`);
      dropped += count;
    },
  };
  checkPlace(image, report);
  const overhang = header.snapshotCount - MAX_SNAPSHOTS;
  if (overhang > 0) {
    if (!mend) throw tooMany(overhang, report);
    report(`Discarding ${overhang} overhanging snapshots`);
    dropped += overhang;
  }
  let table: SnapshotTable;
  try {
    const shown = {
      snapshotsOffset: header.snapshotsOffset,
      snapshotCount: Math.min(header.snapshotCount, MAX_SNAPSHOTS),
    };
    table = await readSnapshotTable(file, shown, mend ? cuts : undefined);
  } catch (thrown) {
    const error = asBlockError(thrown);
    const hint = error.hints.find((one) => typeof one !== 'string');
    report(`ERROR failed to read the snapshot table: ${error.message}`, {
      severity: 'error',
      ...(hint ? { hint } : {}),
    });
    throw error;
  }
  for (const [index, entry] of table.entries.entries()) {
    if (header.version < 3 || !entry.incomplete) continue;
    report(`${mend ? 'Repairing' : 'ERROR'} snapshot table entry ${index} is incomplete`);
    damage++;
  }
  return { table, overhang: dropped, damage };
}

function checkPlace({ header, geometry }: Qcow2State, report: Report): void {
  const { snapshotsOffset: offset } = header;
  if (offset % geometry.clusterSize === 0 && offset < 2 ** 63) return;
  report('ERROR snapshot table offset invalid', { severity: 'error' });
  throw invalidArgument('Invalid argument');
}

function tooMany(overhang: number, report: Report): BlockError {
  const hint = { about: 'snapshot-overhang', count: overhang } as const;
  report('ERROR snapshot table too large', { severity: 'error', hint });
  return new BlockError('too-large', 'File too large');
}

/** Repairs what {@link readForCheck} found. The refcounts are right. */
export async function repairSnapshots({ image, guard, report }: ReferenceWalk, found: CheckedTable): Promise<void> {
  if (found.damage > 0) return rewrite(image, found.table, guard, report);
  // What is left of the table is sound where it is.
  await image.changeHeader((header) => {
    header.snapshotCount = found.table.entries.length;
  });
}

/** Stores the table again without what was wrong with it, in a new place. */
async function rewrite(image: Qcow2State, table: SnapshotTable, guard: MetadataGuard, report: Report): Promise<void> {
  const { clusterSize } = image.geometry;
  const first = image.header.snapshotsOffset / clusterSize;
  const clusters = divideUp(table.size, clusterSize);
  // What lay beyond the end of the file was never counted.
  const counted = await image.refcounts.usedRun(first, clusters);
  const failed = (): void => report('ERROR failed to update snapshot table: Input/output error');
  await new Snapshots(image, { ...table, size: counted * clusterSize }).rewrite((offset, length) =>
    guard.check(offset, length, 'new structure', failed),
  );
  if (counted < clusters) report('qcow2_free_clusters failed: Invalid argument');
}
