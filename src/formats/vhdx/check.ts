/** `check` of VHDX images: the real tool looks at the places of blocks, and replays the log when it may repair. */
import type { CheckFindings, Checker, RepairMode } from '../../block/capabilities.ts';
import type { Report } from '../../block/report.ts';
import type { Metadata } from './metadata.ts';
import type { RegionMap } from './regions.ts';
import type { BlockTable } from './tables.ts';

/** Checks an open image. */
export class VhdxChecker implements Checker {
  readonly deepOnly = false;
  readonly repairs = true;
  readonly #table: BlockTable;
  readonly #metadata: Metadata;
  readonly #regions: RegionMap;
  /** The log was replayed when the image was opened, and nobody was told yet. */
  #replayed: boolean;

  constructor(table: BlockTable, metadata: Metadata, regions: RegionMap, replayed: boolean) {
    this.#table = table;
    this.#metadata = metadata;
    this.#regions = regions;
    this.#replayed = replayed;
  }

  async check(_repair: RepairMode, report: Report): Promise<CheckFindings> {
    let corruptions = 0;
    await this.#table.check(this.#metadata, this.#regions, (text) => {
      corruptions++;
      report({ severity: 'error', text });
      return true;
    });
    const corruptionsFixed = this.#replayed ? 1 : 0;
    this.#replayed = false;
    return { corruptions, leaks: 0, checkErrors: 0, corruptionsFixed, leaksFixed: 0 };
  }
}
