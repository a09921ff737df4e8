/** Keeps the writes of a repair off other metadata: damaged tables may lie over each other. */
import { BlockError } from '../../base/error.ts';
import { entryOffset } from './geometry.ts';
import type { Qcow2Image } from './image.ts';

/** What can be overlapped, with the names of the real tool. */
export type MetadataKind = 'active L1 table' | 'active L2 table' | 'new refcount block';

/**
 * Refuses to write where other metadata is.
 * @param own the kind of what is written: overlaps with it are no harm.
 * @param complain is called before the error is thrown.
 * @throws BlockError `io`; the image is marked as corrupt then.
 */
export async function guardMetadata(
  image: Qcow2Image,
  offset: number,
  length: number,
  own: MetadataKind,
  complain: () => void = () => undefined,
): Promise<void> {
  if (!image.isGivenUp) {
    const what = await overlapped(image, offset, length, own);
    if (what === undefined) return;
    await image.damaged(`Preventing invalid write on metadata (overlaps with ${what})`);
  }
  complain();
  throw new BlockError('io', 'Input/output error');
}

async function overlapped(
  image: Qcow2Image,
  offset: number,
  length: number,
  own: MetadataKind,
): Promise<string | undefined> {
  const { header, geometry } = image;
  const { clusterSize } = geometry;
  const hits = (start: number, size: number): boolean => size > 0 && offset < start + size && start < offset + length;
  if (hits(0, clusterSize)) return 'qcow2_header';
  if (own !== 'active L1 table' && hits(header.l1Offset, header.l1Entries * 8)) return 'active L1 table';
  if (own !== 'active L2 table' && leadsTo(await image.l1.view(), hits, clusterSize)) return 'active L2 table';
  if (hits(header.reftableOffset, header.reftableClusters * clusterSize)) return 'refcount table';
  if (leadsTo(await image.refcounts.table(), hits, clusterSize)) return 'refcount block';
  return header.snapshotCount > 0 && hits(header.snapshotsOffset, 1) ? 'snapshot table' : undefined;
}

/** True if one of the clusters that a table leads to is hit. */
function leadsTo(table: DataView, hits: (start: number, size: number) => boolean, clusterSize: number): boolean {
  for (let at = 0; at < table.byteLength; at += 8) {
    const place = entryOffset(table, at);
    if (place !== 0 && hits(place, clusterSize)) return true;
  }
  return false;
}
