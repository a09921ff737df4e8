/** What a deep check adds for formats whose own checks, like the real tool's, do not look whether all stored bytes are there. */
import { BlockError } from '../../base/error.ts';
import { alignDown, MiB } from '../../base/offset.ts';
import type { CheckFindings, ImageDriver } from '../capabilities.ts';
import type { Report } from '../report.ts';
import { hex, StructureCheck } from './structureCheck.ts';

/** Checks that the files reach to the end of all stored runs, and that what is coded can be decoded. */
export async function checkStored(image: ImageDriver, report: Report): Promise<CheckFindings> {
  const check = new StructureCheck(report, 0);
  for (let at = 0; at < image.virtualSize; ) at += await checkRun(image, at, check);
  return check.finish(undefined);
}

/** Looks at the run at a guest offset; returns its length. */
async function checkRun(image: ImageDriver, at: number, check: StructureCheck): Promise<number> {
  const run = await image.map(at, image.virtualSize - at);
  if (run.kind === 'data') {
    const missing = run.offset + run.length - run.storage.size();
    if (missing > 0) {
      check.damage(
        `'${run.storage.name}' ends before the data of the disk at ${hex(at + Math.max(0, run.length - missing))}`,
      );
    }
  }
  if (run.kind !== 'special' || !run.compressed) return run.length;
  const unit = image.allocationUnit ?? MiB;
  const length = Math.min(run.length, alignDown(at, unit) + unit - at);
  if (!(await canDecode(image, at, length))) check.damage(`the data of the disk at ${hex(at)} cannot be decompressed`);
  return length;
}

async function canDecode(image: ImageDriver, at: number, length: number): Promise<boolean> {
  try {
    for (let done = 0; done < length; done += MiB) {
      await image.readSpecial?.(at + done, new Uint8Array(Math.min(MiB, length - done)));
    }
    return true;
  } catch (error) {
    if (error instanceof BlockError && (error.kind === 'io' || error.kind === 'invalid-image')) return false;
    throw error;
  }
}
