/** How far the real tool looks at once, which shows in the steps of its progress. */
import type { BlockStatus } from '../../block/node/chain.ts';
import type { ImageNode } from '../../block/node/node.ts';

/** Longest area that the real tool copies or compares as one. */
export const STRIDE: number = 2 * 1024 ** 2;

/** `length` bytes from `offset` on without those in a last cluster of the image that they do not fill, if that leaves any. */
export function wholeUnitsOf({ quirks, allocationUnit }: ImageNode, offset: number, length: number): number {
  const tail = quirks.unknownClusters ? 0 : (offset + length) % (allocationUnit ?? 1);
  return length > tail ? length - tail : length;
}

/** The end of the area that the real tool sees as one run at `offset`, whatever follows it. */
export function strideEnd(layers: readonly ImageNode[], status: BlockStatus, offset: number): number {
  const units = layers.slice(0, status.depth + 1).map(({ quirks }) => quirks.strideUnit);
  // Each compressed unit has a place of its own.
  if (status.compressed) units.push(status.node.allocationUnit);
  const ends = units.map((unit) => (unit === undefined ? Number.POSITIVE_INFINITY : offset - (offset % unit) + unit));
  return Math.min(...ends);
}
