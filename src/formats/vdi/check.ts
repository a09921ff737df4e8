/** Structure check of VDI images: every block of the file belongs to at most one guest block. */
import type { CheckFindings, Checker } from '../../block/capabilities.ts';
import { UnitSet } from '../../block/kit/unitSet.ts';
import type { Report } from '../../block/report.ts';
import { FIRST_UNALLOCATED } from './header.ts';
import type { VdiState } from './state.ts';

/** Errors that are described one by one; more are only counted, so that a hostile image cannot fill a disk with text. */
const MAX_LINES = 10000;

/** The checker of an image; like the real tool it cannot repair anything. */
export function checkerOf(image: VdiState): Checker {
  return { deepOnly: false, repairs: false, check: (_, report) => check(image, report) };
}

/** State of one check. */
class Findings {
  allocated = 0;
  errors = 0;
  /** Blocks of the file that were named. */
  readonly used = new UnitSet();
  readonly #report: Report;

  constructor(report: Report) {
    this.#report = report;
  }

  error(line: string): void {
    this.errors++;
    if (this.errors <= MAX_LINES) this.#report({ severity: 'finding', text: `ERROR: ${line}` });
  }

  /** Errors that were counted without being described. */
  repeat(count: number): void {
    this.errors += count;
    this.allocated += count;
  }

  finish(): void {
    if (this.errors > MAX_LINES)
      this.#report({ severity: 'finding', text: `(${this.errors - MAX_LINES} more errors)` });
  }
}

async function check(image: VdiState, report: Report): Promise<CheckFindings> {
  const { blocks } = image.header;
  const found = new Findings(report);
  const { map } = image;
  for (let block = 0; block < blocks; block += map.rest(block)) {
    // Entries that the file does not have are all zero: they need not be looked at one by one.
    if (block > map.stored && found.errors > MAX_LINES) {
      found.repeat(blocks - block);
      break;
    }
    const { view } = await map.page(block);
    const count = Math.min(blocks - block, map.rest(block));
    for (let i = 0; i < count; i++) look(found, image, block + i, view.getUint32(i * 4, true));
  }
  if (found.allocated !== image.header.allocated) {
    found.error(`allocated blocks mismatch, is ${found.allocated}, should be ${image.header.allocated}`);
  }
  found.finish();
  return { corruptions: found.errors, leaks: 0, checkErrors: 0, corruptionsFixed: 0, leaksFixed: 0 };
}

function look(found: Findings, image: VdiState, block: number, index: number): void {
  if (index >= FIRST_UNALLOCATED) return;
  if (index >= image.header.blocks) {
    found.error(`block index ${block} too large, is ${index}`);
    return;
  }
  found.allocated++;
  if (!found.used.add(index)) found.error(`block index ${index} also used by ${index}`);
  // The real tool does not look at that.
  else if (image.place(index) + image.bytesIn(block) > image.file.size()) {
    found.error(`block index ${block} is not in the file, which was cut off`);
  }
}
