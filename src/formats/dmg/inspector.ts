/** What the trailer of an Apple disk image says that matters before an image of somebody else is opened. */
import type { FormatInspector } from '../../block/inspection.ts';
import { findTrailer } from './trailer.ts';

/** Tables are kept as a whole while they are read: these are those of a disk of 40 GB. */
const MOST_BYTES = 8388608;

/** Looks at how much opening the image would read. */
export const inspect: FormatInspector = async (file, inspection) => {
  const trailer = await findTrailer(file);
  if (!trailer) return;
  const { propertyList, resourceFork } = trailer;
  const bytes = Math.max(propertyList.length, resourceFork.length);
  if (bytes > MOST_BYTES) inspection.fail('sizes', `the tables have ${bytes} bytes`);
};
