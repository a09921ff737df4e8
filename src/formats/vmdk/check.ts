/** Checking: every grain that a table names, and every flat extent, has to begin inside its file. There are no repairs. */
import { invalidImage } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import type { CheckFindings, ImageDriver } from '../../block/capabilities.ts';
import type { Report } from '../../block/report.ts';
import { checkStored } from '../../block/kit/storedCheck.ts';
import type { Extent } from './extent.ts';

/**
 * Looks through all extents, and stops at the first damage.
 * @param deep also whether all stored bytes are there, and can be decoded.
 * @throws BlockError at damage, after `report` was called with a line about it.
 */
export async function checkImage(
  image: ImageDriver & { readonly extents: readonly Extent[] },
  report: Report,
  deep: boolean,
): Promise<CheckFindings> {
  let start = 0;
  for (const extent of image.extents) {
    await (extent.grainBytes > 0 ? checkExtent(extent, start, report) : checkFlat(extent, start, report));
    start += extent.bytes;
  }
  const { corruptions } = deep ? await checkStored(image, report) : { corruptions: 0 };
  return { corruptions, leaks: 0, checkErrors: 0, corruptionsFixed: 0, leaksFixed: 0 };
}

async function checkExtent(extent: Extent, start: number, report: Report): Promise<void> {
  // Entries of a damaged directory may all name one table, which is looked at once.
  const seen = new Set<number>();
  for (let at = 0; at < extent.bytes; ) {
    const sector = (start + at) / SECTOR;
    const run = await grainsOfTable(extent, at, seen).catch(() => undefined);
    if (!run) return damaged(report, `ERROR: could not get cluster_offset for sector ${sector}`);
    const beyond = run.place === undefined ? run.length : Math.max(0, sizeOf(extent) - run.place);
    if (beyond < run.length) {
      // The grain that begins first at or behind the end of the file; one that only ends there is no damage.
      const bad = Math.ceil(beyond / extent.grainBytes) * extent.grainBytes;
      if (bad < run.length) reportBeyond(report, sector + bad / SECTOR);
    }
    at += run.length;
  }
}

/** The run at `offset`, in one table where there are some; all that a table says that was `seen` before. */
async function grainsOfTable(extent: Extent, offset: number, seen: Set<number>): ReturnType<typeof grainsAt> {
  if (!extent.tableOf) return grainsAt(extent, offset);
  const { table, coverage } = await extent.tableOf(offset);
  const rest = coverage - (offset % coverage);
  if (table === 0 || rest < coverage) return grainsAt(extent, offset, table === 0 ? undefined : rest);
  if (seen.has(table)) return { length: rest };
  seen.add(table);
  return grainsAt(extent, offset, rest);
}

/** Only the start counts, as in the real tool; what is missing behind it reads as zeroes. */
async function checkFlat(extent: Extent, start: number, report: Report): Promise<void> {
  const { place } = await grainsAt(extent, 0);
  if (place !== undefined && place >= sizeOf(extent)) reportBeyond(report, start / SECTOR);
}

/** Bytes of an extent's file. */
function sizeOf({ storage }: Extent): number {
  return storage?.size() ?? 0;
}

function reportBeyond(report: Report, sector: number): never {
  damaged(report, `ERROR: cluster offset for sector ${sector} points after EOF`);
}

function damaged(report: Report, text: string): never {
  report({ severity: 'finding', text });
  throw invalidImage('Invalid argument');
}

/** A run of grains that lie one behind the other at `place` of the file, or that are not stored. */
async function grainsAt(
  extent: Extent,
  offset: number,
  most: number = Number.POSITIVE_INFINITY,
): Promise<{ readonly length: number; readonly place?: number }> {
  const mapping = await extent.map(offset, Math.min(most, extent.bytes - offset));
  if (mapping.kind === 'data') return { length: mapping.length, place: mapping.offset };
  if (mapping.kind !== 'special') return { length: mapping.length };
  const place = await extent.placeOf?.(offset);
  return { length: Math.min(extent.grainBytes, mapping.length), ...(place === undefined ? {} : { place }) };
}
